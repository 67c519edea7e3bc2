"""What becomes of one item, by what is found at its key. Whole runs are in unit/run/test_rollback.py."""

import json
from functools import partial

import pytest

from migrator.mapping.canonical import digest, key_text
from migrator.target.backoff import BRIEF, ask
from migrator.target.undo import Undo, Written, condition

OURS = {"PK": {"S": "a"}, "n": {"N": "1.0"}}
EQUAL = {"PK": {"S": "a"}, "n": {"N": "1"}}
BEFORE = {"PK": {"S": "a"}, "old": {"SS": ["x", "y"]}}
OTHER = {"PK": {"S": "a"}, "n": {"N": "2"}}


class OneItem:
    """A client of a table that holds one item; what it is asked to write, it writes."""

    def __init__(self, item=None):
        self.item = item

    def delete_item(self, **request):
        return self._exchange(None)

    def put_item(self, **request):
        return self._exchange(request["Item"])

    def _exchange(self, item):
        taken, self.item = self.item, item
        return {"Attributes": taken} if taken else {}


@pytest.fixture
def take_back(orders):
    def take_back(found, *, before=None, expires=None, there=None):
        client = OneItem(there or found)
        asking = partial(ask, policy=BRIEF)
        undo = Undo(client, orders, reading=asking, writing=asking, now_s=1_000)
        fate = undo.take_back(Written(key_text(OURS, orders), digest(OURS), before, expires), found)
        return fate, client.item

    return take_back


@pytest.mark.parametrize(
    ("found", "before", "expires", "expected"),
    [
        (EQUAL, None, None, ("deleted", None)),
        (EQUAL, BEFORE, None, ("restored", BEFORE)),
        (None, None, None, ("gone", None)),
        (None, BEFORE, None, ("changed", None)),
        (None, BEFORE, 1_001, ("changed", None)),
        (None, BEFORE, 1_000, ("restored", BEFORE)),
        (BEFORE, BEFORE, None, ("as_before", BEFORE)),
        (OTHER, None, None, ("changed", OTHER)),
        (OTHER, BEFORE, 1_000, ("changed", OTHER)),
    ],
)
def test_an_item_is_judged_by_what_is_there(take_back, found, before, expires, expected):
    assert take_back(found, before=before, expires=expires) == expected


@pytest.mark.parametrize("before", [None, BEFORE])
def test_what_was_taken_away_and_was_not_what_was_read_is_put_back(take_back, before):
    more = EQUAL | {"added": {"S": "theirs"}}
    assert take_back(EQUAL, before=before, there=more) == ("changed", more)


def test_a_condition_keeps_within_the_limits_of_an_expression(orders):
    wide = {"PK": {"S": "a"}, **{"x" * n: {"S": ""} for n in range(1, 300)}}
    request = condition(orders, wide, frozenset())
    expression = request["ConditionExpression"]
    assert len(expression) <= 4096
    assert expression.count("=") + expression.count(" AND ") <= 300
    assert set(request["ExpressionAttributeNames"]) == {word for word in expression.split() if word.startswith("#")}
    assert json.dumps(request)
