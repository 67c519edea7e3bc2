"""ImportTable: what is asked of it, how its end is told, and its error log as the developer guide shows it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any, ClassVar

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from migrator.errors import TargetError
from migrator.mapping.model import Capacity, IndexDefinition, KeyAttribute, TableDefinition
from migrator.target.backoff import Timing
from migrator.target.importfiles import Bucket
from migrator.target.importlog import refused_items
from migrator.target.imports import Import, Imports
from migrator.target.session import TargetSettings
from migrator.target.tablerequests import import_request, imported_changes

ORDERS = TableDefinition(
    "orders",
    KeyAttribute("pk"),
    capacity=Capacity(5, 6),
    global_indexes=(IndexDefinition("BY_DAY", KeyAttribute("day"), capacity=Capacity(7, 8)),),
    encryption="alias/orders",
    time_to_live="ttl",
    table_class="STANDARD_INFREQUENT_ACCESS",
    tags=(("a", "b"),),
    deletion_protection=True,
)
PLACE = Bucket("my-import-source", "some/where", TargetSettings())
ARN = "arn:aws:dynamodb:us-east-1:531234567890:table/orders/import/01658528578619-c4d4e311"
NO_SLEEP = Timing(sleep=lambda _: None)


def described(status: str, **more: Any) -> dict[str, Any]:
    return {"ImportTableDescription": {"ImportArn": ARN, "ImportStatus": status, **more}}


class Scripted:
    """A client that answers ImportTable, and DescribeImport with each of these in turn."""

    def __init__(self, *answers: dict[str, Any], begin: Exception | None = None) -> None:
        self.begun: list[dict[str, Any]] = []
        self._answers = iter(answers)
        self._begin = begin

    def import_table(self, **request: Any) -> dict[str, Any]:
        self.begun.append(request)
        if self._begin:
            raise self._begin
        return described("IN_PROGRESS")

    def describe_import(self, ImportArn: str) -> dict[str, Any]:  # noqa: N803
        assert ImportArn == ARN
        return next(self._answers)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "imports.json"


# ---- beginning


@pytest.mark.parametrize(
    "definition", [ORDERS, TableDefinition("plain", KeyAttribute("a", "N"), KeyAttribute("b", "B"))]
)
def test_the_request_is_one_that_the_service_knows(definition: TableDefinition) -> None:
    model = botocore.session.Session().get_service_model("dynamodb").operation_model("ImportTable")
    request = import_request(definition, "b", "p/", "0" * 32)
    known = model.input_shape.members["TableCreationParameters"].members
    assert request["TableCreationParameters"].keys() <= known.keys()
    assert not ParamValidator().validate(request, model.input_shape).has_errors()


def test_the_request_has_all_that_an_import_can_make() -> None:
    made = import_request(ORDERS, "b", "p/", "t")["TableCreationParameters"]
    assert made["ProvisionedThroughput"] == {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    assert made["SSESpecification"]["KMSMasterKeyId"] == "alias/orders"
    assert [index["IndexName"] for index in made["GlobalSecondaryIndexes"]] == ["BY_DAY"]
    assert [change.parameters["TableClass"] for change in imported_changes(ORDERS)] == ["STANDARD_INFREQUENT_ACCESS"]


def test_an_import_reads_its_tables_folder_and_no_other(path: Path) -> None:
    client = Scripted()
    Imports(client, path, timing=NO_SLEEP).begin(ORDERS, PLACE)
    assert client.begun[0]["S3BucketSource"] == {"S3Bucket": "my-import-source", "S3KeyPrefix": "some/where/orders/"}


def test_an_import_that_has_begun_is_not_begun_again(path: Path) -> None:
    client = Scripted(described("COMPLETED"))
    Imports(client, path, timing=NO_SLEEP).begin(ORDERS, PLACE)
    later = Imports(client, path, timing=NO_SLEEP)
    later.begin(ORDERS, PLACE)
    found = later.watch("orders", lambda _: None)
    assert (len(client.begun), found and found.arn) == (1, ARN)


def test_an_answer_that_was_lost_is_asked_for_with_the_same_token(path: Path) -> None:
    lost = Scripted(begin=ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ImportTable"))
    with pytest.raises(TargetError):
        Imports(lost, path, timing=NO_SLEEP).begin(ORDERS, PLACE)
    client = Scripted()
    Imports(client, path, timing=NO_SLEEP).begin(ORDERS, PLACE)
    assert lost.begun[0]["ClientToken"] == client.begun[0]["ClientToken"]


def test_a_table_that_is_there_is_told_as_such(path: Path) -> None:
    there = ClientError({"Error": {"Code": "ResourceInUseException", "Message": "Table already exists"}}, "ImportTable")
    with pytest.raises(TargetError, match="always makes a new one") as caught:
        Imports(Scripted(begin=there), path, timing=NO_SLEEP).begin(ORDERS, PLACE)
    assert caught.value.code == "table_exists"


# ---- watching


def test_an_import_is_watched_to_its_end_with_its_progress(path: Path) -> None:
    answers = (described("IN_PROGRESS", ProcessedItemCount=n) for n in (0, 40))
    client = Scripted(*answers, described("COMPLETED", ProcessedItemCount=90, ImportedItemCount=90))
    imports = Imports(client, path, timing=NO_SLEEP)
    imports.begin(ORDERS, PLACE)
    seen: list[int] = []
    found = imports.watch("orders", lambda now: seen.append(now.processed))
    assert (seen, found and found.imported) == ([0, 40, 90], 90)


def test_a_stop_leaves_the_import_alone(path: Path) -> None:
    imports = Imports(Scripted(described("IN_PROGRESS")), path, timing=NO_SLEEP)
    imports.begin(ORDERS, PLACE)
    assert imports.watch("orders", lambda _: None, stop=lambda: True) is None


def test_an_import_that_failed_says_why_and_begins_anew_when_it_is_run_again(path: Path) -> None:
    why = {"FailureCode": "S3AccessDenied", "FailureMessage": "Access Denied"}
    client = Scripted(described("FAILED", ErrorCount=0, **why))
    imports = Imports(client, path, timing=NO_SLEEP)
    imports.begin(ORDERS, PLACE)
    with pytest.raises(TargetError, match="S3AccessDenied: Access Denied") as caught:
        imports.watch("orders", lambda _: None)
    assert caught.value.code == "import_failed"
    Imports(client, path, timing=NO_SLEEP).begin(ORDERS, PLACE)
    assert len({request["ClientToken"] for request in client.begun}) == 2


def test_an_import_that_refused_some_items_is_through(path: Path) -> None:
    counts = {"ProcessedItemCount": 90, "ImportedItemCount": 89, "ErrorCount": 1}
    imports = Imports(Scripted(described("FAILED", FailureCode="ItemValidationError", **counts)), path, timing=NO_SLEEP)
    imports.begin(ORDERS, PLACE)
    found = imports.watch("orders", lambda _: None)
    assert found is not None
    assert (found.imported, found.errors) == (89, 1)


# ---- its log


class InMemory(Bucket):
    """The bucket's one file."""

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        assert name == "orders/000003-0.json.gz"
        lines = b"".join(b'{"Item":{"pk":{"S":"%d"},"raw":{"B":"AQ=="}}}\n' % n for n in range(5))
        yield BytesIO(gzip.compress(lines))


class Log:
    """The answer that "Troubleshooting" of S3DataImport.Validation shows, for a file of ours, in two pages."""

    EVENT: ClassVar[dict[str, Any]] = {
        "timestamp": 1658528745319,
        "message": json.dumps(
            {
                "itemS3Pointer": {
                    "bucket": "my-import-source",
                    "key": "some/where/orders/000003-0.json.gz",
                    "itemIndex": 3,
                },
                "importArn": ARN,
                "errorMessages": ["One or more parameter values were invalid: Missing the key pk in the item"],
            }
        ),
        "ingestionTime": 1658528745414,
    }

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def get_log_events(self, **page: Any) -> dict[str, Any]:
        self.asked.append((page["logGroupName"], page["logStreamName"]))
        if len(self.asked) == 1:  # it comes with its first event
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetLogEvents")
        if page.get("nextToken") is None:
            return {"events": [{"message": "a line of another kind"}], "nextForwardToken": "f/1"}
        return {"events": [self.EVENT] if page["nextToken"] == "f/1" else [], "nextForwardToken": "f/2"}


def test_the_recorded_log_gives_the_item_with_its_key_and_the_words() -> None:
    group = "arn:aws:logs:us-east-1:531234567890:log-group:/aws-dynamodb/imports:*"
    found = Import.of(described("FAILED", ErrorCount=1, CloudWatchLogGroupArn=group)["ImportTableDescription"])
    log = Log()
    bucket = InMemory(PLACE.name, PLACE.prefix, PLACE.target)
    ((name, (item,)),) = refused_items(log, found, ORDERS, bucket, timing=NO_SLEEP)
    assert set(log.asked) == {("/aws-dynamodb/imports", "01658528578619-c4d4e311/error")}
    assert (name, item.key) == ("orders/000003-0.json.gz", {"pk": {"S": "3"}})
    assert item.attributes == {"pk": {"S": "3"}, "raw": {"B": b"\x01"}}
    assert item.message == "One or more parameter values were invalid: Missing the key pk in the item"
