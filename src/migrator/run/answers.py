"""What the table answers: one Query or Scan a question, page after page, the keys of its items only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from migrator.mapping.conditions import Asked
from migrator.mapping.model import Attributes, Comparison
from migrator.run.questions import EntityPattern, Question
from migrator.target.reading import Ask

#: "Condition expressions" — developer guide; a sort key takes the same ones
_EXPRESSIONS: Mapping[Comparison, str] = {
    "eq": "{name} = {0}",
    "lt": "{name} < {0}",
    "le": "{name} <= {0}",
    "gt": "{name} > {0}",
    "ge": "{name} >= {0}",
    "begins_with": "begins_with({name}, {0})",
    "between": "{name} BETWEEN {0} AND {1}",
}


def iter_answer(client: Any, asked: EntityPattern, question: Question, ask: Ask) -> Iterator[list[Attributes]]:
    """The keys of the items that the table or index answers, a page at a time, up to the pattern's limit."""
    request = to_request(asked, question)
    call = client.query if question.key else client.scan
    room = asked.pattern.limit
    while True:
        page = ask(partial(call, **request), f"asking {asked.entity.table.name} {asked.pattern.name!r}")
        items = page["Items"] if room is None else page["Items"][:room]
        yield items
        room = None if room is None else room - len(items)
        if room == 0 or not page.get("LastEvaluatedKey"):
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def to_request(asked: EntityPattern, question: Question) -> dict[str, Any]:
    """The parameters of Query, or of Scan where the question has no key."""
    pattern, table = asked.pattern, asked.entity.table
    words = _Words()
    request: dict[str, Any] = {
        "TableName": table.name,
        "ProjectionExpression": ", ".join(words.name(key.name) for key in table.key_attributes),
    }
    if asked.index:
        request["IndexName"] = asked.index.name
    if not asked.eventual:
        # "ConsistentRead" — API reference: not on a global index
        request["ConsistentRead"] = True
    if question.key:
        request["KeyConditionExpression"] = words.conditions(question.key)
        request["ScanIndexForward"] = pattern.order == "ascending"
    if question.filter:
        request["FilterExpression"] = words.conditions(question.filter)
    elif pattern.limit:
        # Limit counts what is read before the filter, so with one it would only make more pages.
        request["Limit"] = pattern.limit
    return request | words.to_json()


class _Words:
    """Placeholders for every name and value: names may be reserved words, and hold anything."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def name(self, attribute: str) -> str:
        return self._names.setdefault(attribute, f"#n{len(self._names)}")

    def _value(self, value: Any) -> str:
        word = f":v{len(self._values)}"
        self._values[word] = value
        return word

    def conditions(self, conditions: Sequence[Asked]) -> str:
        return " AND ".join(
            _EXPRESSIONS[asked.comparison].format(*map(self._value, asked.values), name=self.name(asked.attribute))
            for asked in conditions
        )

    def to_json(self) -> dict[str, Any]:
        names = {word: attribute for attribute, word in self._names.items()}
        values = {"ExpressionAttributeValues": self._values} if self._values else {}
        return {"ExpressionAttributeNames": names, **values}
