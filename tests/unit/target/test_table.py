import pytest
from moto import mock_aws
from msgspec.structs import replace

from migrator.errors import TargetError
from migrator.mapping.model import Capacity, IndexDefinition, KeyAttribute, TableDefinition
from migrator.target.backoff import Timing
from migrator.target.session import TargetSettings, create_client
from migrator.target.table import (
    Made,
    compare,
    complete_imported,
    create_request,
    create_table,
    inspect_table,
    wait_until_active,
)
from migrator.target.tablerequests import import_request
from migrator.target.tableshow import table_text

PK, SK = KeyAttribute("PK"), KeyAttribute("SK")
BY_EMAIL = IndexDefinition("byEmail", KeyAttribute("email"), KeyAttribute("n", "N"))
FULL = TableDefinition(
    "orders",
    PK,
    SK,
    global_indexes=(BY_EMAIL, IndexDefinition("some", KeyAttribute("x", "B"), None, "INCLUDE", ("b", "a"))),
    local_indexes=(IndexDefinition("byDate", PK, KeyAttribute("date"), "KEYS_ONLY"),),
    warm_throughput=Capacity(12_000, 4_000),
    time_to_live="ttl",
    point_in_time_recovery=True,
    encryption="alias/orders",
    deletion_protection=True,
    table_class="STANDARD",
    stream="NEW_AND_OLD_IMAGES",
    tags=(("Project", "madmall"),),
)


@pytest.fixture
def timing(clock):
    return Timing(clock, clock.sleep)


@pytest.fixture
def client():
    with mock_aws():
        yield create_client(TargetSettings(region="us-east-1"))


def paths(differences):
    return [difference.path for difference in differences]


# ---- the request


def test_only_key_attributes_are_declared_each_once():
    declared = create_request(FULL)["AttributeDefinitions"]
    assert {each["AttributeName"]: each["AttributeType"] for each in declared} == {
        "PK": "S",
        "SK": "S",
        "email": "S",
        "n": "N",
        "x": "B",
        "date": "S",
    }
    assert len(declared) == 6


def test_indexes_carry_keys_and_projection():
    request = create_request(FULL)
    assert request["GlobalSecondaryIndexes"][1] == {
        "IndexName": "some",
        "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["b", "a"]},
    }
    assert request["LocalSecondaryIndexes"][0]["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_provisioned_indexes_take_the_tables_capacity_unless_they_have_their_own():
    own = IndexDefinition("own", KeyAttribute("y"), capacity=Capacity(1, 2))
    request = create_request(TableDefinition("orders", PK, global_indexes=(BY_EMAIL, own), capacity=Capacity(5, 6)))
    assert request["BillingMode"] == "PROVISIONED"
    assert [index["ProvisionedThroughput"] for index in request["GlobalSecondaryIndexes"]] == [
        {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
        {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2},
    ]


def test_what_the_mapping_does_not_say_is_not_in_the_request():
    assert create_request(TableDefinition("orders", PK)).keys() == {
        "TableName",
        "AttributeDefinitions",
        "KeySchema",
        "BillingMode",
    }


# ---- create, apply, compare


def test_a_created_table_equals_its_definition(client, timing):
    assert create_table(client, FULL, timing=timing).warnings == ()
    assert compare(client, FULL, timing=timing) == []


def test_creating_twice_changes_nothing(client, timing):
    create_table(client, FULL, timing=timing)
    before = client.describe_table(TableName="orders")["Table"]
    assert create_table(client, FULL, timing=timing) == Made(created=False, applied=(), warnings=())
    assert client.describe_table(TableName="orders")["Table"] == before


def test_what_an_engine_lacks_is_one_warning_and_no_difference(client, timing):
    """moto knows no contributor insights."""
    definition = TableDefinition("orders", PK, contributor_insights=True)
    assert create_table(client, definition, timing=timing).warnings == (
        'table "orders": this engine has no contributor insights; going on without it',
    )
    assert compare(client, definition, timing=timing) == []


def test_an_existing_table_is_given_what_it_misses(client, timing):
    create_table(client, TableDefinition("orders", PK, SK), timing=timing)
    more = TableDefinition(
        "orders",
        PK,
        SK,
        global_indexes=(BY_EMAIL, IndexDefinition("some", KeyAttribute("x"))),
        time_to_live="ttl",
        point_in_time_recovery=True,
        deletion_protection=True,
        stream="KEYS_ONLY",
        tags=(("a", "b"),),
    )
    assert set(paths(compare(client, more, timing=timing))) == {
        "global_indexes.byEmail",
        "global_indexes.some",
        "time_to_live",
        "point_in_time_recovery",
        "deletion_protection",
        "stream",
        "tags.a",
    }
    assert create_table(client, more, timing=timing).applied == (
        "global_indexes.byEmail",
        "global_indexes.some",
        "time_to_live",
        "point_in_time_recovery",
        "tags",
        "deletion_protection",
        "stream",
    )
    assert compare(client, more, timing=timing) == []


class Classed:
    """moto, with the table class that it forgets."""

    def __init__(self, client):
        self._client = client
        self._class = "STANDARD"

    def __getattr__(self, name):
        return getattr(self._client, name)

    def describe_table(self, **asked):
        answer = self._client.describe_table(**asked)
        answer["Table"]["TableClassSummary"] = {"TableClass": self._class}
        return answer

    def update_table(self, **change):
        self._class = change.pop("TableClass", self._class)
        return self._client.update_table(**change)


def test_an_imported_table_is_given_all_that_an_import_cannot_make(client, timing):
    definition = replace(FULL, local_indexes=(), encryption=None, table_class="STANDARD_INFREQUENT_ACCESS")
    client.create_table(**import_request(definition, "b", "p/", "t")["TableCreationParameters"])
    classed = Classed(client)
    made = complete_imported(classed, definition, timing=timing)
    assert set(made.applied) == {
        "time_to_live",
        "point_in_time_recovery",
        "tags",
        "table_class",
        "deletion_protection",
        "stream",
    }
    assert paths(compare(classed, definition, timing=timing)) == []


def test_indexes_are_added_one_at_a_time(client, timing, monkeypatch):
    create_table(client, TableDefinition("orders", PK, SK), timing=timing)
    requests = []
    update = client.update_table
    monkeypatch.setattr(client, "update_table", lambda **request: requests.append(request) or update(**request))
    indexes = (BY_EMAIL, IndexDefinition("some", KeyAttribute("x")))
    create_table(client, TableDefinition("orders", PK, SK, global_indexes=indexes), timing=timing)
    added = [[each["Create"]["IndexName"] for each in request["GlobalSecondaryIndexUpdates"]] for request in requests]
    assert added == [["byEmail"], ["some"]]


def test_an_index_that_did_not_come_is_not_said_to_be_there(client, timing, monkeypatch):
    create_table(client, TableDefinition("orders", PK), timing=timing)
    monkeypatch.setattr(client, "update_table", lambda **request: {})
    indexed = TableDefinition("orders", PK, global_indexes=(BY_EMAIL,))
    assert create_table(client, indexed, timing=timing).applied == ()
    assert paths(compare(client, indexed, timing=timing)) == ["global_indexes.byEmail"]


def test_a_change_that_stays_under_way_is_not_waited_for_without_end(client, timing, clock, error, monkeypatch):
    create_table(client, TableDefinition("orders", PK), timing=timing)

    def busy(**request):
        raise error("ResourceInUseException")

    monkeypatch.setattr(client, "update_table", busy)
    with pytest.raises(TargetError, match="set deletion_protection of table") as refused:
        create_table(client, TableDefinition("orders", PK, deletion_protection=True), timing=timing)
    assert refused.value.retryable
    assert 1_000 + 500 < clock.now < 1_000 + 700


def test_a_table_with_other_keys_is_refused(client, timing):
    create_table(client, TableDefinition("orders", PK, SK), timing=timing)
    for other in (
        TableDefinition("orders", PK),
        TableDefinition("orders", PK, KeyAttribute("SK", "N")),
        TableDefinition("orders", KeyAttribute("id"), SK),
    ):
        assert [difference.fatal for difference in compare(client, other, timing=timing)] == [True]
        with pytest.raises(TargetError, match="should be") as caught:
            create_table(client, other, timing=timing)
        assert caught.value.code == "table_mismatch"


def test_an_index_with_another_key_is_fatal_and_a_projection_is_not(client, timing):
    create_table(client, TableDefinition("orders", PK, global_indexes=(BY_EMAIL,)), timing=timing)
    other_key = IndexDefinition("byEmail", KeyAttribute("email"), KeyAttribute("n", "S"))
    (difference,) = compare(client, TableDefinition("orders", PK, global_indexes=(other_key,)), timing=timing)
    assert (difference.path, difference.fatal) == ("global_indexes.byEmail", True)
    other_projection = IndexDefinition("byEmail", KeyAttribute("email"), KeyAttribute("n", "N"), "KEYS_ONLY")
    (difference,) = compare(client, TableDefinition("orders", PK, global_indexes=(other_projection,)), timing=timing)
    assert (difference.path, difference.fatal) == ("global_indexes.byEmail", False)


def test_an_index_the_mapping_does_not_know_is_named(client, timing):
    create_table(client, TableDefinition("orders", PK, global_indexes=(BY_EMAIL,)), timing=timing)
    (difference,) = compare(client, TableDefinition("orders", PK), timing=timing)
    assert (difference.path, difference.expected, difference.fatal) == ("global_indexes.byEmail", None, False)


def test_billing_and_capacity_are_compared(client, timing):
    create_table(client, TableDefinition("orders", PK), timing=timing)
    (difference,) = compare(client, TableDefinition("orders", PK, capacity=Capacity(5, 5)), timing=timing)
    assert str(difference) == "billing_mode: should be PROVISIONED read 5 / write 5, is PAY_PER_REQUEST"


def test_a_missing_table_is_a_fatal_difference(client, timing):
    (difference,) = compare(client, FULL, timing=timing)
    assert (difference.path, difference.fatal) == ("table", True)
    assert table_text(inspect_table(client, FULL, timing=timing)) == "table orders: does not exist"


def test_show_tells_what_is_there_and_what_differs(client, timing):
    create_table(client, TableDefinition("orders", PK), timing=timing)
    definition = TableDefinition("orders", PK, time_to_live="ttl")
    shown = table_text(inspect_table(client, definition, everything=True, timing=timing))
    assert "  partition key            PK (S)\n" in shown
    assert shown.endswith("  differs: time_to_live: should be ttl, is absent")


# ---- an engine that knows little, and one that is slow


class Slow:
    """The table is not found at first, then CREATING, then its index is."""

    def __init__(self, error):
        self._error = error
        self.asked = 0

    def describe_table(self, TableName):  # noqa: N803
        self.asked += 1
        if self.asked <= 2:
            raise self._error("ResourceNotFoundException")
        status = "CREATING" if self.asked <= 4 else "ACTIVE"
        index = "CREATING" if self.asked <= 6 else "ACTIVE"
        return {"Table": {"TableStatus": status, "GlobalSecondaryIndexes": [{"IndexStatus": index}]}}


def test_the_wait_ends_when_table_and_indexes_are_active(error, timing):
    slow = Slow(error)
    wait_until_active(slow, "orders", timing=timing)
    assert slow.asked == 7


def test_the_wait_is_bounded(error, timing, clock, scripted):
    with pytest.raises(TargetError, match="still not ACTIVE"):
        wait_until_active(scripted(description={"TableStatus": "CREATING"}), "orders", timing=timing)
    assert clock.now < 1_000 + 700


class Bare:
    """An engine such as dynalite: keys and nothing else."""

    def __init__(self, error):
        self._error = error

    def describe_table(self, TableName):  # noqa: N803
        return {
            "Table": {
                "TableName": TableName,
                "TableStatus": "ACTIVE",
                "TableArn": "arn:x",
                "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"}],
                "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
            }
        }

    def __getattr__(self, name):
        def unknown(**parameters):
            raise self._error("UnknownOperationException")

        return unknown


def test_settings_of_an_engine_without_any_are_warnings_only(error, timing):
    bare = Bare(error)
    definition = TableDefinition(
        "orders",
        PK,
        time_to_live="ttl",
        point_in_time_recovery=True,
        encryption="alias/orders",
        deletion_protection=True,
        table_class="STANDARD_INFREQUENT_ACCESS",
        tags=(("a", "b"), ("c", "d")),
    )
    warnings = create_table(bare, definition, timing=timing).warnings
    assert [warning.split("has no ")[1].split(";")[0] for warning in warnings] == [
        "time to live",
        "point in time recovery",
        "encryption",
        "deletion protection",
        "table class",
        "tags",
    ]
    assert compare(bare, definition, timing=timing) == []
