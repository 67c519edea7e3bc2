"""A scripted client and a clock that only moves when somebody sleeps."""

import threading

import pytest
from botocore.exceptions import ClientError

from migrator.mapping.canonical import item_size
from migrator.mapping.model import Item, KeyAttribute, TableDefinition


class FakeClock:
    def __init__(self):
        self.now = 1_000.0
        self.slept = []
        self._lock = threading.Lock()

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        with self._lock:
            self.slept.append(seconds)
            self.now += seconds


def client_error(code, message="the service's words", status=400, **extra):
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **extra}, "op"
    )


class ScriptedTable:
    """Holds items; before each write it asks the script what to do.

    A script gets (number of the request from 0, keys) and returns None (take all), an exception to raise,
    or a set of keys to leave unprocessed. An exception with `applied = True` is raised after writing.
    """

    def __init__(self, script=lambda number, keys: None, description=None):
        self.script = script
        self.description = description
        self.items = {}
        self.requests = []
        self.writes = []
        self._lock = threading.Lock()

    def _begin(self, keys):
        with self._lock:
            self.requests.append(keys)
            return self.script(len(self.requests) - 1, keys)

    def batch_write_item(self, RequestItems, ReturnConsumedCapacity):  # noqa: N803  (boto3's names)
        ((name, requests),) = RequestItems.items()
        items = {request["PutRequest"]["Item"]["PK"]["S"]: request["PutRequest"]["Item"] for request in requests}
        verdict = self._begin(tuple(items))
        left = verdict if isinstance(verdict, set) else set()
        if verdict is None or left or getattr(verdict, "applied", False):
            with self._lock:
                taken = {key: item for key, item in items.items() if key not in left}
                self.items |= taken
                self.writes.extend(taken)
        if isinstance(verdict, Exception):
            raise verdict
        unprocessed = [{"PutRequest": {"Item": items[key]}} for key in items if key in left]
        return {"UnprocessedItems": {name: unprocessed} if unprocessed else {}}

    def put_item(self, Item, **parameters):  # noqa: N803
        key = Item["PK"]["S"]
        verdict = self._begin((key,))
        if isinstance(verdict, Exception) and not getattr(verdict, "applied", False):
            raise verdict
        if key in self.items:
            raise client_error("ConditionalCheckFailedException", Item=self.items[key])
        self.items[key] = Item
        self.writes.append(key)
        if isinstance(verdict, Exception):
            raise verdict
        return {}

    def get_item(self, Key, **parameters):  # noqa: N803
        return {"Item": self.items[Key["PK"]["S"]]} if Key["PK"]["S"] in self.items else {}

    def describe_table(self, TableName):  # noqa: N803
        if self.description is None:
            raise client_error("ResourceNotFoundException")
        return {"Table": self.description}


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def scripted():
    return ScriptedTable


@pytest.fixture
def error():
    return client_error


@pytest.fixture
def orders():
    return TableDefinition("orders", KeyAttribute("PK"))


@pytest.fixture
def make_item():
    def make(key, **attributes):
        whole = {"PK": {"S": key}, **attributes}
        return Item(whole, {"PK": whole["PK"]}, item_size(whole))

    return make
