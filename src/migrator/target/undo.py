"""Take back one item that was written: delete it, or put back what it replaced, unless somebody changed it since.

A condition can name an item's attributes, but not say that there are no others, and it may be of 300 operators and
4 KB at most ("Expression limits" in Constraints). So it names what it can, and the item that was really taken away is
compared as a whole: if it was not the one that was read, it is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from msgspec import Struct

from migrator.mapping.canonical import digest, key_from_text
from migrator.mapping.model import Attributes, TableDefinition

#: What became of an item. `gone`: nothing is there, as before; `as_before`: what is there stood there before;
#: `changed`: it is somebody else's now, and was left alone.
Fate = Literal["deleted", "restored", "gone", "as_before", "changed"]

#: Two operators each.
_CONDITIONS_MAX = 100
_DOCUMENTS = frozenset({"L", "M"})
# A condition that does not hold may be due to our own request, whose answer was lost.
_AFTER_A_LOST_ANSWER: Mapping[Fate, Fate] = {"gone": "deleted", "as_before": "restored"}


#: In the place of a digest.
DELETED = b""


class Written(Struct, frozen=True):
    """An item that a run wrote, or was about to write; or one that it deleted."""

    key: str  #: `canonical.key_text`
    digest: bytes  #: `canonical.digest` of the item; DELETED where it was deleted
    before: Attributes | None = None  #: the item that had the key before
    expires: int | None = None  #: the item's time to live, epoch seconds


class Undo:
    """Takes back items of one table. Several threads may use it at once.

    `reading` and `writing` ask as `backoff.ask` does, each in its own way.
    """

    def __init__(
        self,
        client: Any,
        table: TableDefinition,
        *,
        reading: Callable[..., Any],
        writing: Callable[..., Any],
        now_s: float,
    ) -> None:
        self._client = client
        self._table = table
        self._ask_to_read = reading
        self._ask_to_write = writing
        self._now_s = now_s

    def take_back(self, written: Written, found: Attributes | None) -> Fate:
        """`found` is what has been read at the key. Raises TargetError."""
        fate = self._fate(written, found)
        if fate is not None:
            return fate
        # Not every engine finds lists and maps equal to themselves (dynalite), so a second try does without them.
        for ignored in (frozenset[str](), _DOCUMENTS):
            fate = self._exchange(written, found, ignored)
            if fate is not None:
                return fate
            found = self._read(written)
            fate = self._fate(written, found)
            if fate is not None:
                return _AFTER_A_LOST_ANSWER.get(fate, fate)
        return "changed"

    def _fate(self, written: Written, found: Attributes | None) -> Fate | None:
        """What there is to say without a write; None where the item is to be taken back."""
        if found is None and written.digest == DELETED:
            return None
        if found is None:
            expired = written.expires is not None and written.expires <= self._now_s
            return "gone" if written.before is None else None if expired else "changed"
        if (now := digest(found)) == written.digest:
            return None
        return "as_before" if written.before is not None and digest(written.before) == now else "changed"

    def _exchange(self, written: Written, found: Attributes | None, ignored: frozenset[str]) -> Fate | None:
        """None where the condition did not hold."""
        answer = self._write(written, written.before, found, ignored)
        if answer is None:
            return None
        taken = answer.get("Attributes")
        if taken and digest(taken) != written.digest:
            self._write(written, taken, written.before, ignored)
            return "changed"
        return "deleted" if written.before is None else "restored"

    def _write(
        self, written: Written, item: Attributes | None, expected: Attributes | None, ignored: frozenset[str]
    ) -> dict[str, Any] | None:
        """Put the item, or delete what is there, where the expected item is; None where it is not."""
        request = {"TableName": self._table.name, "ReturnValues": "ALL_OLD"}
        request |= condition(self._table, expected, ignored)
        call = (
            partial(self._client.delete_item, Key=self._key(written), **request)
            if item is None
            else partial(self._client.put_item, Item=item, **request)
        )
        answer: dict[str, Any] | None = self._ask_to_write(
            call, f'take items of table "{self._table.name}" back', accept={"ConditionalCheckFailedException"}
        )
        return answer

    def _read(self, written: Written) -> Attributes | None:
        read = partial(self._client.get_item, TableName=self._table.name, Key=self._key(written), ConsistentRead=True)
        found: Attributes | None = self._ask_to_read(read, f'read table "{self._table.name}"').get("Item")
        return found

    def _key(self, written: Written) -> Attributes:
        return key_from_text(written.key, self._table)


def condition(table: TableDefinition, expected: Attributes | None, ignored: frozenset[str]) -> dict[str, Any]:
    """Parameters by which a write takes place only where the expected item is, as far as a condition can tell.

    >>> from migrator.mapping.model import KeyAttribute
    >>> orders = TableDefinition("orders", KeyAttribute("id"))
    >>> condition(orders, None, frozenset())["ConditionExpression"]
    'attribute_not_exists(#a0)'
    >>> condition(orders, {"id": {"S": "a"}, "l": {"L": []}, "n": {"N": "1"}}, frozenset({"L"}))["ConditionExpression"]
    '#a0 = :a0 AND #a1 = :a1'
    """
    if expected is None:
        names = {"#a0": table.partition_key.name}
        return {"ConditionExpression": "attribute_not_exists(#a0)", "ExpressionAttributeNames": names}
    compared = [(name, value) for name, value in expected.items() if ignored.isdisjoint(value)][:_CONDITIONS_MAX]
    return {
        "ConditionExpression": " AND ".join(f"#a{n} = :a{n}" for n in range(len(compared))),
        "ExpressionAttributeNames": {f"#a{n}": name for n, (name, _) in enumerate(compared)},
        "ExpressionAttributeValues": {f":a{n}": value for n, (_, value) in enumerate(compared)},
    }
