"""A scripted table that answers requests, and a clock that only moves when somebody waits."""

import json
from collections import deque

import pytest
from botocore.exceptions import ClientError

from migrator.mapping.canonical import item_size
from migrator.mapping.encoded import encode_item
from migrator.mapping.model import Item, KeyAttribute, TableDefinition
from migrator.target.sender import Reply


class FakeClock:
    def __init__(self):
        self.now = 1_000.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def client_error(code, message="the service's words", status=400, **extra):
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **extra}, "op"
    )


class ScriptedTable:
    """A sender with a table behind it: before each write it asks the script what to do.

    A script gets (number of the request from 0, keys) and returns None (take all), an exception to answer with,
    or a set of keys to leave unprocessed. An exception with `applied = True` is answered after writing.
    """

    def __init__(self, script=lambda number, keys: None, description=None, clock=None, connections=4):
        self.script = script
        self.description = description
        self.clock = clock
        self.connections = connections
        self.items = {}
        self.requests = []
        self.bodies = []
        self.writes = []
        self._replies = deque()

    @property
    def free(self):
        return self.connections - len(self._replies)

    def submit(self, operation, body, on_reply):
        assert self.free > 0
        self.bodies.append(body)
        try:
            reply = Reply(1.0, getattr(self, operation)(json.loads(body)))
        except Exception as error:
            reply = Reply(1.0, error=error)
        self._replies.append((on_reply, reply))

    def poll(self, timeout_s):
        replies, self._replies = self._replies, deque()
        for on_reply, reply in replies:
            on_reply(reply)
        if not replies and timeout_s > 0:
            self.clock.sleep(timeout_s)

    def describe(self):
        return self.description

    def describe_table(self, TableName):  # noqa: N803  (boto3's names)
        if self.description is None:
            raise client_error("ResourceNotFoundException")
        return {"Table": self.description}

    def _begin(self, keys):
        self.requests.append(keys)
        return self.script(len(self.requests) - 1, keys)

    def BatchWriteItem(self, request):  # noqa: N802  (the API's names)
        ((name, requests),) = request["RequestItems"].items()
        items = {request["PutRequest"]["Item"]["PK"]["S"]: request["PutRequest"]["Item"] for request in requests}
        assert len(items) == len(requests), "one key twice in a batch"
        verdict = self._begin(tuple(items))
        left = verdict if isinstance(verdict, set) else set()
        if verdict is None or left or getattr(verdict, "applied", False):
            taken = {key: item for key, item in items.items() if key not in left}
            self.items |= taken
            self.writes.extend(taken)
        if isinstance(verdict, Exception):
            raise verdict
        unprocessed = [{"PutRequest": {"Item": items[key]}} for key in items if key in left]
        return {"UnprocessedItems": {name: unprocessed} if unprocessed else {}}

    def PutItem(self, request):  # noqa: N802
        item = request["Item"]
        key = item["PK"]["S"]
        verdict = self._begin((key,))
        if isinstance(verdict, Exception) and not getattr(verdict, "applied", False):
            raise verdict
        if key in self.items:
            raise client_error("ConditionalCheckFailedException", Item=self.items[key])
        self.items[key] = item
        self.writes.append(key)
        if isinstance(verdict, Exception):
            raise verdict
        return {}

    def GetItem(self, request):  # noqa: N802
        key = request["Key"]["PK"]["S"]
        return {"Item": self.items[key]} if key in self.items else {}


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def scripted(clock):
    def make(*script, **settings):
        return ScriptedTable(*script, clock=clock, **settings)

    return make


@pytest.fixture
def error():
    return client_error


@pytest.fixture
def orders():
    return TableDefinition("orders", KeyAttribute("PK"))


@pytest.fixture
def make_item(orders):
    def make(key, **attributes):
        whole = {"PK": {"S": key}, **attributes}
        return encode_item(Item(whole, {"PK": whole["PK"]}, item_size(whole)), orders)

    return make
