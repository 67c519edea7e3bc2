"""What is asked of the table: requests as DynamoDB documents them, and pages read as far as needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from migrator.mapping.conditions import Asked
from migrator.mapping.model import AccessPattern, IndexDefinition, KeyAttribute, TableDefinition
from migrator.run.answers import iter_answer, to_request
from migrator.run.binding import BoundEntity
from migrator.run.questions import EntityPattern, Question

PK, SK = KeyAttribute("PK"), KeyAttribute("SK")
TABLE = TableDefinition(
    "shop",
    PK,
    SK,
    global_indexes=(IndexDefinition("Global", KeyAttribute("state")),),
    local_indexes=(IndexDefinition("Local", PK, KeyAttribute("placed")),),
)
A, B = {"S": "a"}, {"S": "b"}
BY_KEY = (Asked("PK", "eq", (A,)),)


def pattern(
    index: str | None = None, limit: int | None = None, order: Literal["ascending", "descending"] = "ascending"
) -> EntityPattern:
    entity = BoundEntity(0, "Order", 0, TABLE, None, (), (), proved=True)
    return EntityPattern(AccessPattern("orders", "Order", index, limit=limit, order=order), entity)


def question(key: tuple[Asked, ...] = (), filter: tuple[Asked, ...] = ()) -> Question:
    return Question(0, (), (), key, filter)


def ask(call: Callable[[], Any], doing: str) -> Any:
    return call()


class PagedTable:
    """Five items, two a page."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def query(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        first = request.get("ExclusiveStartKey", 0)
        after = {"LastEvaluatedKey": first + 2} if first < 4 else {}
        return {"Items": [{"PK": {"S": str(n)}} for n in range(first, min(first + 2, 5))], **after}

    scan = query


def test_names_and_values_always_stand_aside() -> None:
    condition = Asked("SK", "between", (A, B))
    assert to_request(pattern(), question((*BY_KEY, condition), (Asked("SK", "eq", (A,)),))) == {
        "TableName": "shop",
        "ConsistentRead": True,
        "ProjectionExpression": "#n0, #n1",
        "KeyConditionExpression": "#n0 = :v0 AND #n1 BETWEEN :v1 AND :v2",
        "ScanIndexForward": True,
        "FilterExpression": "#n1 = :v3",
        "ExpressionAttributeNames": {"#n0": "PK", "#n1": "SK"},
        "ExpressionAttributeValues": {":v0": A, ":v1": A, ":v2": B, ":v3": A},
    }


def test_a_scan_has_no_key_condition_and_no_order() -> None:
    assert to_request(pattern(), question()) == {
        "TableName": "shop",
        "ConsistentRead": True,
        "ProjectionExpression": "#n0, #n1",
        "ExpressionAttributeNames": {"#n0": "PK", "#n1": "SK"},
    }


def test_only_a_global_index_cannot_be_read_consistently() -> None:
    consistent = [to_request(pattern(index), question()).get("ConsistentRead") for index in (None, "Local", "Global")]
    assert consistent == [True, True, None]


def test_descending_reads_backwards() -> None:
    assert to_request(pattern(order="descending"), question(BY_KEY))["ScanIndexForward"] is False


def test_all_pages_are_read() -> None:
    pages = list(iter_answer(PagedTable(), pattern(), question(), ask))
    assert [len(page) for page in pages] == [2, 2, 1]


def test_a_limit_is_of_results_and_ends_the_reading() -> None:
    table = PagedTable()
    pages = list(iter_answer(table, pattern(limit=3), question(BY_KEY), ask))
    assert ([len(page) for page in pages], len(table.requests)) == ([2, 1], 2)


def test_a_limit_is_told_to_dynamodb_unless_a_filter_comes_between() -> None:
    filtered = question(BY_KEY, (Asked("n", "eq", (A,)),))
    assert [to_request(pattern(limit=3), q).get("Limit") for q in (question(BY_KEY), filtered)] == [3, None]
