"""Plan files: defaults, settings, paths, and what is said of a bad one."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml

from migrator.errors import DocumentError
from migrator.run import plan as plan_module
from migrator.run import settings as settings_module
from migrator.run.increments import ByHash, ByWatermark, DeleteLimit
from migrator.run.plan import PLAN_KEYS, load_plan
from migrator.run.settings import Settings
from migrator.run.unattended import CloudWatch, Command, Metrics
from migrator.target.session import TargetSettings
from migrator.yamlfile import load_yaml

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((files("migrator") / "schemas" / "plan.schema.json").read_text("utf-8"))

MAPPING = """
table: {{name: {table}, partition_key: PK}}
{fixed}
entities:
  {entity}: {{source: users, key: {{PK: "{{id}}"}}}}
"""


def mapping(entity, table="shop", fixed=""):
    return MAPPING.format(entity=entity, table=table, fixed=fixed)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plans").mkdir()
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "shop.yaml").write_text(mapping("User", fixed="items: [{PK: x}]"))
    (tmp_path / "mappings" / "more.yaml").write_text(mapping("Order", "more"))
    return tmp_path


@pytest.fixture
def load(folder):
    def write_and_load(**changes):
        blocks = {"name": "shop", "source": "../shop.sqlite", "mappings": "[../mappings/shop.yaml]"} | changes
        text = "\n".join(f"{key}: {value}" for key, value in blocks.items() if value is not None)
        (folder / "plans" / "shop.yaml").write_text(text, "utf-8")
        return load_plan("plans/shop.yaml")

    return write_and_load


@pytest.fixture
def problems(load):
    def of(**changes):
        with pytest.raises(DocumentError) as caught:
            load(**changes)
        return [str(problem) for problem in caught.value.problems]

    return of


def test_the_defaults_are_the_documented_ones(load, folder):
    plan = load()
    assert plan.settings == Settings(
        create_table="if_missing",
        batch_size=25,
        parallelism=len(os.sched_getaffinity(0)),
        write_rate=None,
        validate=True,
        on_reject="continue",
        max_rejects=None,
        on_existing="replace",
        on_changed="refuse",
        backup=False,
        rollback=False,
        verify="none",
        integrity_check="full",
        max_duration_s=None,
        lock_wait_s=0,
        give_up_after_s=300,
        max_attempts=10,
        keep_runs=30,
        state_dir=str(folder / "plans" / ".migrator"),
    )
    assert plan.target == TargetSettings(connect_timeout_s=5, read_timeout_s=30, connections=64)
    assert (plan.file, plan.name, plan.entities) == ("plans/shop.yaml", "shop", None)


def test_every_setting_is_read(load, folder):
    plan = load(
        target="{region: eu-west-1, endpoint_url: 'http://localhost:8000', profile: p, role_arn: 'arn:x'}",
        settings="{create_table: never, batch_size: 10, parallelism: 3, write_rate: 4000, validate: false,"
        " on_reject: stop, max_rejects: 0, on_existing: skip, on_changed: restart, backup: {name: b}, rollback: true,"
        " verify: full, integrity_check: off, max_duration: 6h, lock_wait: 1.5s, give_up_after: 2m, max_attempts: 3,"
        " keep_runs: 5, state_dir: ../state, on_start: begin 'a b', on_success: [./end, ''], on_failure: fail,"
        " hook_timeout: 5s, metrics: {prometheus: m.prom, cloudwatch: {namespace: N, file: ../emf.log}},"
        " connect_timeout: 500ms, read_timeout: 10, connections: 8}",
    )
    assert plan.settings == Settings(
        create_table="never",
        batch_size=10,
        parallelism=3,
        write_rate=4000,
        validate=False,
        on_reject="stop",
        max_rejects=0,
        on_existing="skip",
        on_changed="restart",
        backup="b",
        rollback=True,
        verify="full",
        integrity_check="off",
        max_duration_s=21600,
        lock_wait_s=1.5,
        give_up_after_s=120,
        max_attempts=3,
        keep_runs=5,
        state_dir=str(folder / "state"),
        on_start=Command(("begin", "a b"), str(folder / "plans")),
        on_success=Command(("./end", ""), str(folder / "plans")),
        on_failure=Command(("fail",), str(folder / "plans")),
        hook_timeout_s=5,
        metrics=Metrics(str(folder / "plans" / "m.prom"), CloudWatch("N", str(folder / "emf.log"))),
    )
    assert plan.target == TargetSettings("eu-west-1", "http://localhost:8000", "p", "arn:x", 0.5, 10, 8)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6h", 21600), ("300s", 300), ("90m", 5400), ("2d", 172800), ("45", 45), ("0.5", 0.5), ("250ms", 0.25)],
)
def test_a_duration_has_a_unit_or_is_in_seconds(load, text, seconds):
    assert load(settings=f"{{lock_wait: {text}}}").settings.lock_wait_s == seconds


def test_settings_may_come_from_variables(load, monkeypatch):
    monkeypatch.setenv("WORKERS", "3")
    monkeypatch.setenv("WAIT", "20")
    settings = load(settings='{parallelism: "${WORKERS}", lock_wait: "${WAIT}", validate: "${V:-false}"}').settings
    assert (settings.parallelism, settings.lock_wait_s, settings.validate) == (3, 20, False)


def test_a_target_may_be_left_open_by_a_variable(load, monkeypatch):
    monkeypatch.delenv("ENDPOINT", raising=False)
    assert load(target='{endpoint_url: "${ENDPOINT:-}"}').target.endpoint_url is None


def test_sources_are_relative_to_the_plan(load, folder):
    assert load().sources == (str(folder / "shop.sqlite"),)
    assert load(source="[../a.sqlite, /b.sqlite, ../a.sqlite]").sources == (str(folder / "a.sqlite"), "/b.sqlite")


def test_a_glob_finds_databases_and_not_their_companions(load, folder):
    for name in ("b.sqlite", "a.sqlite", "a.sqlite-wal", "a.sqlite-shm", "a.sqlite-journal"):
        (folder / name).touch()
    (folder / "c.sqlite").mkdir()
    assert load(source='"../*.sqlite*"').sources == (str(folder / "a.sqlite"), str(folder / "b.sqlite"))


def test_a_glob_that_finds_nothing_stands_as_it_is(load, folder):
    assert load(source='"../none-*.sqlite"').sources == (str(folder / "none-*.sqlite"),)


def test_a_file_whose_name_looks_like_a_glob_is_taken(load, folder):
    (folder / "a[1].sqlite").touch()
    (folder / "a1.sqlite").touch()
    assert load(source='"../a[1].sqlite"').sources == (str(folder / "a[1].sqlite"),)


def test_what_is_in_s3_stands_as_it_is_written(load, folder):
    urls = ("s3://bucket/tenants/*.sqlite", "s3://bucket/a//b.sqlite")
    assert load(source=json.dumps([*urls, "../shop.sqlite"])).sources == (*urls, str(folder / "shop.sqlite"))


@pytest.mark.parametrize("url", ["s3://", "s3://bucket", "s3://bucket/", "s3:///shop.sqlite", "s3://bucket/tenants/"])
def test_a_url_of_no_file_is_refused(problems, url):
    assert problems(source=url) == [
        f'plans/shop.yaml: source: "{url}" names no file\n  name a file, as s3://bucket/shop.sqlite,'
        " or several, as s3://bucket/tenants/*.sqlite"
    ]


def test_the_groups_of_a_source_pattern_are_known_by_their_names(load):
    plan = load(source_pattern="'/(?P<region>[a-z]+)/(?P<tenant>[^/]+)\\.sqlite$'")
    assert plan.source_groups == ("region", "tenant")
    assert load().source_groups == ()


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("'('", "is no regular expression: missing ), unterminated subpattern at position 0"),
        ("'tenants/.*'", "names no group\n  write (?P<tenant>…) around what templates are to know as {@tenant}"),
        (
            "'(?P<stem>.*)'",
            'the name "stem" is taken: templates know @stem already\n  give the group another name',
        ),
    ],
)
def test_a_source_pattern_that_is_of_no_use_is_refused(problems, pattern, says):
    assert problems(source_pattern=pattern) == [f"plans/shop.yaml: source_pattern: {says}"]


def test_entities_keep_their_order(load):
    plan = load(mappings="[../mappings/shop.yaml, ../mappings/more.yaml]", entities="[Order, User, items]")
    assert plan.entities == ("Order", "User", "items")
    assert [m.file for m in plan.mappings] == ["mappings/shop.yaml", "mappings/more.yaml"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": None}, ['the key "name" is missing']),
        ({"source": None}, ['the key "source" is missing']),
        ({"name": "../x"}, ['name: "../x" cannot name a folder: no /, no . at its start, at most 100 bytes']),
        ({"mappings": "[]"}, ["mappings: names no file"]),
        (
            {"entities": "[Usr]"},
            ['entities[0]: entity "Usr" is in no mapping\n  entities: User, items.  Did you mean "User"?'],
        ),
        ({"entities": "[User, User]"}, ['entities[1]: entity "User" is named twice']),
        ({"entities": "[]"}, ["entities: names no entity\n  without entities: all are run"]),
        (
            {"target": "{regoin: x}"},
            ['target: unknown key "regoin"\n  known: region, endpoint_url, profile, role_arn.  Did you mean "region"?'],
        ),
        (
            {"incremental": "hash"},
            [f'unknown key "incremental"\n  known: {", ".join(PLAN_KEYS)}\n  there is "incremental" under settings:'],
        ),
        (
            {"regin": "eu-west-1"},
            [f'unknown key "regin"\n  known: {", ".join(PLAN_KEYS)}\n  there is "region" under target:'],
        ),
        (
            {"settings": "{batch_size: 26}"},
            ["settings.batch_size: must be a whole number from 1 to 25, and is 26"],
        ),
        (
            {"settings": "{on_existing: overwrite}"},
            [
                'settings.on_existing: must be replace or skip or error, and is "overwrite"\n'
                "  known: replace, skip, error"
            ],
        ),
        (
            {"settings": "{lock_wait: 5 minutes}"},
            ['settings.lock_wait: must be a duration, as 30s, 90m, 6h or 2d, and is "5 minutes"'],
        ),
        (
            {"settings": "{incremental: hashes}"},
            [
                'settings.incremental: must be off or hash, and is "hashes"\n'
                '  known: off, hash.  Did you mean "hash"?\n'
                "  or a map: {watermark: {column: updated_at, overlap: 5m}}"
            ],
        ),
        (
            {"settings": "{incremental: {watermark: {overlap: 5m}}}"},
            ['settings.incremental.watermark: the key "column" is missing'],
        ),
        (
            {"settings": "{incremental: {hash: {max_deletes: 101%, on_missing: drop}}}"},
            [
                'settings.incremental.hash.on_missing: must be delete or keep, and is "drop"\n  known: delete, keep',
                'settings.incremental.hash.max_deletes: must be at most 100%, and is "101%"',
            ],
        ),
        (
            {"settings": "{incremental: {hash: {}, watermark: {column: a}}}"},
            [
                "settings.incremental: must name one way: hash, or watermark\n"
                "  as in {watermark: {column: updated_at, overlap: 5m}}"
            ],
        ),
        (
            {"settings": "{incremental: hash, on_existing: skip}"},
            [
                "settings: incremental does not go with on_existing: skip\n"
                "  an item that changed takes the place of the one that is there: leave on_existing out"
            ],
        ),
        ({"settings": "{give_up_after: 0s}"}, ["settings.give_up_after: must be longer than nothing"]),
        ({"settings": "{validate: yes}"}, ['settings.validate: must be true or false, and is "yes"']),
        (
            {"settings": "{on_start: true}"},
            ["settings.on_start: must be a command, as text or as a list of arguments, and is true"],
        ),
        (
            {"settings": """{on_failure: "mail 'x"}"""},
            ["settings.on_failure: cannot be cut into arguments: no closing quotation\n  write them as a list"],
        ),
        ({"settings": "{on_success: []}"}, ["settings.on_success: names no program"]),
        ({"settings": "{metrics: {}}"}, ["settings.metrics: names neither prometheus nor cloudwatch"]),
        (
            {"settings": "{metrics: {prometheus: m.txt}}"},
            [
                "settings.metrics.prometheus: must end in .prom\n"
                "  node_exporter's textfile collector reads no other file"
            ],
        ),
        (
            {"settings": "{metrics: {cloudwatch: {namespace: AWS/DynamoDB}}}"},
            [
                'settings.metrics.cloudwatch.namespace: "AWS/DynamoDB" is no namespace of CloudWatch\n'
                "  up to 255 letters, digits and . - _ / # :, not beginning with : or AWS/"
            ],
        ),
        ({"settings": ""}, ["settings: must be a map, and is empty"]),
        (
            {"settings": "{parallelism: 0, max_attempts: many}"},
            [
                "settings.parallelism: must be a whole number from 1 to 256, and is 0",
                'settings.max_attempts: must be a whole number, and is "many"',
            ],
        ),
    ],
)
def test_a_bad_plan_says_where_what_and_what_to_do(problems, changes, expected):
    assert problems(**changes) == [f"plans/shop.yaml: {problem}" for problem in expected]


@pytest.mark.parametrize("key", ["schedule", "trigger"])
def test_settings_of_other_versions_are_unknown_keys(problems, key):
    (problem,) = problems(settings=f"{{{key}: true}}")
    assert problem.startswith(f'plans/shop.yaml: settings: unknown key "{key}"\n  known: create_table, ')


def test_problems_of_plan_and_mappings_are_told_at_once(problems, folder):
    (folder / "mappings" / "shop.yaml").write_text(mapping("User").replace("users, key:", "users, kye:"))
    found = problems(mappings="[../mappings/shop.yaml, ../mappings/none.yaml]", settings="{validate: 1}")
    assert [line.split("\n")[0] for line in found] == [
        "plans/shop.yaml: settings.validate: must be true or false, and is 1",
        'mappings/shop.yaml: entities.User: unknown key "kye"',
        'mappings/shop.yaml: entities.User: the key "key" is missing',
        "mappings/none.yaml: there is no such file",
    ]


def test_entity_names_are_unique_over_all_mappings(problems, folder):
    (folder / "mappings" / "more.yaml").write_text(mapping("User", "more"))
    assert problems(mappings="[../mappings/shop.yaml, ../mappings/more.yaml]") == [
        'plans/shop.yaml: mappings: entity "User" is in mappings/shop.yaml and in mappings/more.yaml\n  rename one'
    ]


def test_a_table_is_defined_one_way(problems, folder):
    (folder / "mappings" / "more.yaml").write_text(mapping("Order").replace("PK}", "PK, time_to_live: ttl}", 1))
    assert problems(mappings="[../mappings/shop.yaml, ../mappings/more.yaml]") == [
        'plans/shop.yaml: mappings: table "shop" is defined in two ways, in mappings/shop.yaml and mappings/more.yaml'
        "\n  they differ in time_to_live"
    ]


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("off", None),
        ("hash", ByHash()),
        ("{hash: {on_missing: keep}}", ByHash("keep")),
        ("{hash: {max_deletes: 2.5%}}", ByHash(max_deletes=DeleteLimit("2.5%", share=Fraction(1, 40)))),
        ("{hash: {max_deletes: 100}}", ByHash(max_deletes=DeleteLimit("100", number=100))),
        ("{watermark: {column: updated_at}}", ByWatermark("updated_at", 300)),
        ("{watermark: {column: updated_at, overlap: 1h}}", ByWatermark("updated_at", 3600)),
    ],
)
def test_a_run_may_send_only_what_changed(load, text, way):
    assert load(settings=f"{{incremental: {text}}}").settings.incremental == way


def test_a_missing_plan_is_a_document_error(folder):
    with pytest.raises(DocumentError, match=r"plans/none.yaml: there is no such file"):
        load_plan("plans/none.yaml")


# ---- the JSON Schema for editors


def schema_problem(data):
    return next(jsonschema.Draft202012Validator(SCHEMA).iter_errors(data), None)


def test_the_schema_is_valid_and_knows_the_keys_that_the_reader_knows():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    blocks = SCHEMA["properties"]
    assert list(blocks) == list(plan_module.PLAN_KEYS)
    assert list(blocks["target"]["properties"]) == list(plan_module.TARGET_KEYS)
    assert list(blocks["settings"]["properties"]) == list(settings_module.SETTINGS)


@pytest.mark.parametrize("path", sorted((ROOT / "plans").glob("*.yaml")), ids=lambda path: path.name)
def test_reader_and_schema_take_every_plan_that_ships(path):
    plan = load_plan(path)
    assert plan.target.endpoint_url is None
    assert schema_problem(load_yaml(path).data) is None


@pytest.mark.parametrize(
    "block",
    [
        "name: a/b",
        "sources: x",
        "entities: []",
        "target: {regoin: x}",
        "settings: {rollback: 1}",
        "settings: {batch_size: 26}",
        "settings: {lock_wait: 5 minutes}",
        "settings: {incremental: true}",
        "settings: {on_existing: overwrite}",
        "settings: {on_start: true}",
        "settings: {on_success: []}",
        "settings: {metrics: {}}",
        "settings: {metrics: {prometheus: m.txt}}",
        "settings: {metrics: {cloudwatch: {namespace: AWS/DynamoDB}}}",
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(problems, block):
    key, _, value = block.partition(": ")
    good = {"name": "shop", "source": "a", "mappings": ["b"]}
    assert problems(**{key: value})
    assert schema_problem(good) is None
    assert schema_problem(good | yaml.safe_load(block)) is not None


def test_a_mapping_in_the_place_of_a_plan_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "orders.yaml").write_text("table: {name: t, partition_key: PK}\nentities: {}\n", encoding="utf-8")
    with pytest.raises(DocumentError, match="this is a mapping\n  name the plan that lists it under mappings:"):
        load_plan(tmp_path / "orders.yaml")
