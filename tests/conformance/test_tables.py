"""Tables from their definitions, on every engine: what is asked for, what is told of it afterwards, and the commands.

The engines keep few settings, so here the strict door keeps them (`door_keeps`) and every request can be looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from door import Door
from door_faults import throttle
from door_keeps import KeptSettings, key_arn
from migrator.cli.app import run_command
from migrator.errors import TargetError
from migrator.mapping.document import load_mapping
from migrator.mapping.model import AWS_MANAGED, Capacity, IndexDefinition, KeyAttribute, TableDefinition
from migrator.target.table import Made, compare, create_table, inspect_table, setting_requests

BUSY = "com.amazonaws.dynamodb.v20120810#ResourceInUseException"
NOT_YET = "com.amazonaws.dynamodb.v20120810#ContinuousBackupsUnavailableException"

EVERYTHING = """
version: 1
table:
  name: TablesTest
  partition_key: {id: N}
  sort_key: {part: B}
  global_indexes:
    byEmail: {partition_key: email, sort_key: {age: N}, projection: [name, city], capacity: {read: 3, write: 4}}
    byHash: {partition_key: {hash: B}, projection: KEYS_ONLY}
  local_indexes:
    byDate: {sort_key: date, projection: ALL}
  billing_mode: {read: 5, write: 6}
  warm_throughput: {read: 13000, write: 5000}
  time_to_live: ttl
  point_in_time_recovery: true
  encryption: {kms_key: alias/shop}
  deletion_protection: true
  table_class: STANDARD_INFREQUENT_ACCESS
  contributor_insights: true
  stream: OLD_IMAGE
  tags: {Project: shop, "a b": ""}
entities:
  Part:
    source: parts
    key: {id: id, part: part}
"""
PLAN = "version: 1\nname: tables\nsource: missing.sqlite\nmappings: [mapping.yaml]\n"


@pytest.fixture
def kept(door: Door) -> KeptSettings:
    settings = KeptSettings()
    door.keeps(settings)
    return settings


@pytest.fixture
def everything(tmp_path: Path) -> TableDefinition:
    path = tmp_path / "mapping.yaml"
    path.write_text(EVERYTHING, encoding="utf-8")
    return load_mapping(path).table


def bare(definition: TableDefinition) -> TableDefinition:
    """The same keys and billing, and nothing else."""
    return TableDefinition(
        definition.name,
        definition.partition_key,
        definition.sort_key,
        local_indexes=definition.local_indexes,
        capacity=definition.capacity,
    )


def paths(differences: Any) -> list[str]:
    return [difference.path for difference in differences]


# ---- a new table


def test_a_table_with_every_setting_equals_its_definition(
    dynamodb: Any, kept: KeptSettings, everything: TableDefinition
) -> None:
    assert create_table(dynamodb, everything).warnings == ()
    assert compare(dynamodb, everything) == []


def test_what_is_asked_for_is_sent_as_the_api_wants_it(
    dynamodb: Any, kept: KeptSettings, everything: TableDefinition
) -> None:
    create_table(dynamodb, everything)
    (created,) = kept.of("CreateTable")
    told = {name: created[name] for name in ("TableClass", "WarmThroughput", "SSESpecification", "StreamSpecification")}
    assert told == {
        "TableClass": "STANDARD_INFREQUENT_ACCESS",
        "WarmThroughput": {"ReadUnitsPerSecond": 13_000, "WriteUnitsPerSecond": 5_000},
        "SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/shop"},
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"},
    }
    assert created["DeletionProtectionEnabled"] is True
    assert created["Tags"] == [{"Key": "Project", "Value": "shop"}, {"Key": "a b", "Value": ""}]


def test_what_create_table_has_no_parameter_for_follows_in_its_order(
    dynamodb: Any, kept: KeptSettings, everything: TableDefinition
) -> None:
    create_table(dynamodb, everything)
    assert kept.requests[1:] == list(setting_requests(everything).items())
    assert [operation for operation, _ in kept.requests[1:]] == [
        "UpdateTimeToLive",
        "UpdateContinuousBackups",
        "UpdateContributorInsights",
    ]


def test_each_index_has_the_capacity_that_it_is_given(
    dynamodb: Any, kept: KeptSettings, everything: TableDefinition
) -> None:
    create_table(dynamodb, everything)
    by_email, by_hash = everything.global_indexes
    other = replace(everything, global_indexes=(replace(by_email, capacity=Capacity(9, 9)), by_hash))
    (difference,) = compare(dynamodb, other)
    assert str(difference) == "index_capacity.byEmail: should be read 9 / write 9, is read 3 / write 4"


def test_recovery_that_is_not_available_yet_is_asked_for_again(
    dynamodb: Any, door: Door, kept: KeptSettings, everything: TableDefinition
) -> None:
    door.faults.append(throttle(2, ["UpdateContinuousBackups"], NOT_YET))
    create_table(dynamodb, everything)
    assert len(kept.of("UpdateContinuousBackups")) == 1
    assert compare(dynamodb, everything) == []


def test_a_key_managed_by_aws_is_named_by_no_id(dynamodb: Any, kept: KeptSettings, everything: TableDefinition) -> None:
    create_table(dynamodb, replace(everything, encryption=AWS_MANAGED))
    assert kept.of("CreateTable")[0]["SSESpecification"] == {"Enabled": True, "SSEType": "KMS"}


# ---- a table that is there


def test_a_table_that_is_there_is_given_what_it_misses(
    dynamodb: Any, kept: KeptSettings, everything: TableDefinition
) -> None:
    settled_at_creation = {"encryption": None, "table_class": None, "warm_throughput": None}
    # dynalite adds no index to a table that is there; tests/unit/target/test_table.py does.
    wanted = replace(everything, global_indexes=(), **settled_at_creation)
    create_table(dynamodb, bare(everything))
    assert create_table(dynamodb, wanted) == Made(
        created=False,
        applied=(
            "time_to_live",
            "point_in_time_recovery",
            "contributor_insights",
            "tags",
            "deletion_protection",
            "stream",
        ),
        warnings=(),
    )
    assert compare(dynamodb, wanted) == []


def test_what_is_there_already_is_not_asked_for_again(
    dynamodb: Any, kept: KeptSettings, everything: TableDefinition
) -> None:
    create_table(dynamodb, everything)
    before = list(kept.requests)
    assert create_table(dynamodb, everything).applied == ()
    assert kept.requests == before


def test_a_change_waits_for_the_one_under_way(
    dynamodb: Any, door: Door, kept: KeptSettings, everything: TableDefinition
) -> None:
    create_table(dynamodb, bare(everything))
    door.faults.append(throttle(3, ["UpdateTable"], BUSY))
    wanted = replace(bare(everything), stream="KEYS_ONLY", deletion_protection=True)
    create_table(dynamodb, wanted)
    assert compare(dynamodb, wanted) == []


def test_what_cannot_be_changed_is_a_difference_and_is_left_alone(
    dynamodb: Any, kept: KeptSettings, everything: TableDefinition
) -> None:
    create_table(dynamodb, replace(everything, contributor_insights=None))
    before = list(kept.requests)
    other = replace(
        everything,
        time_to_live="expires",
        contributor_insights=None,
        capacity=None,
        global_indexes=tuple(replace(index, capacity=None) for index in everything.global_indexes),
        local_indexes=(*everything.local_indexes, IndexDefinition("more", KeyAttribute("id", "N"), KeyAttribute("x"))),
        encryption="AWS_OWNED",
        table_class="STANDARD",
        stream="NEW_IMAGE",
    )
    assert create_table(dynamodb, other).applied == ()
    assert kept.requests == before
    assert set(paths(compare(dynamodb, other))) == {
        "time_to_live",
        "billing_mode",
        "local_indexes.more",
        "encryption",
        "table_class",
        "stream",
    }


def test_a_table_with_other_keys_is_given_nothing(
    dynamodb: Any, kept: KeptSettings, everything: TableDefinition
) -> None:
    create_table(dynamodb, TableDefinition("TablesTest", KeyAttribute("id", "S")))
    before = list(kept.requests)
    with pytest.raises(TargetError) as refused:
        create_table(dynamodb, everything)
    assert refused.value.code == "table_mismatch"
    assert kept.requests == before


def test_what_an_engine_lacks_is_a_warning_and_no_difference(dynamodb: Any) -> None:
    definition = TableDefinition("TablesTest", KeyAttribute("PK"), contributor_insights=True, table_class="STANDARD")
    assert create_table(dynamodb, definition).warnings == (
        'table "TablesTest": this engine has no contributor insights; going on without it',
    )
    assert compare(dynamodb, definition) == []


# ---- whose key it is


def find_key(alias: str) -> str:
    return key_arn({"KMSMasterKeyId": alias})


SHOP = find_key("alias/shop")


@pytest.mark.parametrize(
    ("told", "expected", "same"),
    [
        ("alias/shop", "alias/shop", True),
        ("alias/shop", "alias/other", False),
        ("alias/shop", SHOP, True),
        ("alias/shop", "of-shop", True),
        ("alias/shop", "shop", False),
        ("alias/shop", AWS_MANAGED, False),
        (AWS_MANAGED, AWS_MANAGED, True),
        (AWS_MANAGED, "AWS_OWNED", False),
        ("AWS_OWNED", "AWS_OWNED", True),
        ("AWS_OWNED", "alias/shop", False),
    ],
)
def test_a_key_is_compared_by_what_kms_says_of_it(
    dynamodb: Any, kept: KeptSettings, told: str, expected: str, same: bool
) -> None:
    definition = TableDefinition("TablesTest", KeyAttribute("PK"), encryption=told)
    create_table(dynamodb, definition)
    inspection = inspect_table(dynamodb, replace(definition, encryption=expected), find_key=find_key)
    assert (not inspection.differences, inspection.notes) == (same, ())


def test_an_alias_that_kms_does_not_tell_of_is_named_and_no_difference(dynamodb: Any, kept: KeptSettings) -> None:
    definition = TableDefinition("TablesTest", KeyAttribute("PK"), encryption="alias/shop")
    create_table(dynamodb, definition)
    inspection = inspect_table(dynamodb, definition)
    assert inspection.differences == ()
    assert inspection.notes == (
        "encryption by alias/shop could not be compared: there is no KMS to ask for alias/shop",
    )


# ---- the commands


@pytest.fixture
def plan(everything: TableDefinition, tmp_path: Path, door: Door, dynamodb: Any, monkeypatch: Any) -> Path:
    """A plan whose mapping is the one above, pointed at the door."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", door.url)
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN, encoding="utf-8")
    return path


def edit(plan: Path, old: str, new: str) -> None:
    mapping = plan.with_name("mapping.yaml")
    text = mapping.read_text(encoding="utf-8")
    assert old in text
    mapping.write_text(text.replace(old, new), encoding="utf-8")


def test_create_shows_what_came_out(plan: Path, kept: KeptSettings, capsys: Any) -> None:
    assert run_command(["table", "create", str(plan)]) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert shown == [
        "TablesTest: created",
        "table TablesTest",
        "status ACTIVE",
        "partition key id (N)",
        "sort key part (B)",
        "items about 0",
        "size about 0 bytes",
        "billing mode PROVISIONED read 5 / write 6",
        "warm throughput read 13000 / write 5000",
        "table class STANDARD_INFREQUENT_ACCESS",
        f"encryption {SHOP}",
        "point-in-time recovery on",
        "time to live ttl",
        "deletion protection on",
        "contributor insights on",
        "stream OLD_IMAGE",
        "global index byEmail ACTIVE, email (S), age (N) INCLUDE city, name, read 3 / write 4",
        "global index byHash ACTIVE, hash (B) KEYS_ONLY, read 5 / write 6",
        "local index byDate ACTIVE, id (N), date (S) ALL",
        "tags Project=shop, a b=",
        "ARN arn:aws:dynamodb:us-east-1:123456789012:table/TablesTest",
    ]


def test_create_says_what_it_gave_to_a_table_that_was_there(plan: Path, kept: KeptSettings, capsys: Any) -> None:
    edit(plan, "  time_to_live: ttl\n", "")
    run_command(["table", "create", str(plan)])
    edit(plan, "  stream:", "  time_to_live: ttl\n  stream:")
    capsys.readouterr()
    assert run_command(["table", "create", str(plan)]) == 0
    assert capsys.readouterr().out.startswith("TablesTest: was there; switched on: time_to_live\n")


def test_create_names_what_it_cannot_change(plan: Path, kept: KeptSettings, capsys: Any) -> None:
    run_command(["table", "create", str(plan)])
    edit(plan, "table_class: STANDARD_INFREQUENT_ACCESS", "table_class: STANDARD")
    capsys.readouterr()
    assert run_command(["table", "create", str(plan)]) == 4
    assert capsys.readouterr().out.endswith(
        "  differs: table_class: should be STANDARD, is STANDARD_INFREQUENT_ACCESS\n"
    )


def test_create_refuses_a_table_with_other_keys(plan: Path, kept: KeptSettings, capsys: Any) -> None:
    run_command(["table", "create", str(plan)])
    edit(plan, "partition_key: {id: N}", "partition_key: {id: S}")
    capsys.readouterr()
    assert run_command(["table", "create", str(plan)]) == 3
    assert "partition_key: should be id (S), is id (N)" in capsys.readouterr().err


def test_create_warns_of_what_the_engine_lacks_on_standard_error(plan: Path, capsys: Any) -> None:
    edit(plan, "deletion_protection: true", "deletion_protection: false")  # so that the test's table can go
    assert run_command(["table", "create", str(plan)]) == 0
    said = capsys.readouterr()
    assert said.err.count("this engine has no contributor insights; going on without it") == 1
    assert "WARNING" not in said.out


def test_check_says_each_difference_in_a_line(plan: Path, kept: KeptSettings, capsys: Any) -> None:
    run_command(["table", "create", str(plan)])
    edit(plan, "projection: KEYS_ONLY", "projection: ALL")
    edit(plan, "Project: shop", "Project: mall")
    capsys.readouterr()
    assert run_command(["table", "check", str(plan)]) == 4
    assert capsys.readouterr().out.splitlines() == [
        "TablesTest: differs",
        "  global_indexes.byHash: should be hash (B) ALL, is hash (B) KEYS_ONLY",
        "  tags.Project: should be mall, is shop",
    ]


def test_check_of_an_equal_table_is_0(plan: Path, kept: KeptSettings, capsys: Any) -> None:
    run_command(["table", "create", str(plan)])
    capsys.readouterr()
    assert run_command(["table", "check", str(plan)]) == 0
    said = capsys.readouterr()
    assert said.out == "TablesTest: as defined\n"
    assert said.err.count("encryption by alias/shop could not be compared") == 1


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_missing_table_is_3(plan: Path, capsys: Any, command: str) -> None:
    assert run_command(["table", command, str(plan)]) == 3
    assert "does not exist" in capsys.readouterr().out


def test_show_tells_what_an_engine_does_not_know(plan: Path, dynamodb: Any, capsys: Any) -> None:
    create_table(dynamodb, TableDefinition("TablesTest", KeyAttribute("id", "N"), KeyAttribute("part", "B")))
    assert run_command(["table", "show", str(plan)]) == 0
    assert "contributor insights     not known to this engine\n" in capsys.readouterr().out
