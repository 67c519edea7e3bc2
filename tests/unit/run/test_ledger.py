"""What a ledger writes of an item."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.mapping.canonical import item_size, key_from_text, key_text
from migrator.mapping.encoded import encode_item
from migrator.mapping.model import Item, KeyAttribute, KeyType, TableDefinition
from migrator.run.ledger import key_of


@pytest.mark.parametrize(
    ("kind", "content"), [("S", "é\n"), ("N", "12.50"), ("N", "-1E+2"), ("B", b"\x00\xff")], ids=str
)
@pytest.mark.parametrize("is_sort_key", [False, True])
def test_a_key_is_read_from_the_wire_as_from_the_item(kind: KeyType, content: Any, is_sort_key: bool) -> None:
    own, other = KeyAttribute("own", kind), KeyAttribute("other")
    table = TableDefinition("t", other, own) if is_sort_key else TableDefinition("t", own)
    attributes = {"x": {"B": b"x"}, "own": {kind: content}, "other": {"S": "o"}}
    text = key_of(encode_item(Item(attributes, {}, item_size(attributes)), table).wire, table).decode("ascii")
    assert text == key_text(attributes, table)
    assert key_text(key_from_text(text, table), table) == text
