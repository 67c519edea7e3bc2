"""What a ledger says of the items that a row gave: digests that tell whether an item is the one that was sent before.

An entry is 16 bytes of the item, 8 of its row, and its key, which only deleting needs. Entries stand in pages, in the
order of their rows, so that a worker compares a range of rows with a few bytes of the ledger and no query an item.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import orjson
from msgspec import Struct

from migrator.mapping.canonical import key_text, split_joined
from migrator.mapping.encoded import EncodedItems
from migrator.mapping.model import TableDefinition
from migrator.mapping.wirejson import from_wire
from migrator.source.text import SqliteValue

DIGEST_BYTES = 16
ROW_BYTES = 8
#: Of an item that may be another in the table by now: equal to no digest, so that it is sent again.
UNSURE = bytes(DIGEST_BYTES)
#: Of a row that has no source key.
NAMELESS = bytes(ROW_BYTES)
#: Items of a page, at least: less would be lost in a file, more in memory.
PAGE_ITEMS = 20_000
# Keys are text that repeats itself; more effort saves a tenth of the bytes and takes three times as long.
_EFFORT = 1


class UnitName(NamedTuple):
    """Whose rows they are. Of a plan's only source the path is left out: tomorrow's may have another date in it."""

    entity: str
    source: str
    table: str


class Entry(NamedTuple):
    """An item that is in the table."""

    digest: bytes
    row: bytes  #: its `row_name`
    key: bytes  #: `canonical.key_text`


class Page(Struct, frozen=True):
    """Entries of rows that follow each other."""

    rows: int  #: how many rows were read for it
    digests: bytes
    names: bytes
    keys: bytes  #: compressed

    @classmethod
    def of(cls, rows: int, digests: bytes, names: bytes, keys: Sequence[bytes]) -> Page:
        """
        >>> page = Page.of(1, b"d" * 16 + b"e" * 16, b"r" * 16, [b"a", b"b"])
        >>> len(page), page.split_keys(), page.split_digests()[1] == b"e" * 16
        (2, [b'a', b'b'], True)
        """
        # The text of a key is JSON in ASCII: no line break is in it.
        return cls(rows, digests, names, zlib.compress(b"\n".join(keys), _EFFORT))

    def __len__(self) -> int:
        return len(self.digests) // DIGEST_BYTES

    def split_digests(self) -> Sequence[bytes]:
        return split_joined(self.digests, DIGEST_BYTES)

    def split_names(self) -> Sequence[bytes]:
        return split_joined(self.names, ROW_BYTES)

    def split_keys(self) -> list[bytes]:
        return zlib.decompress(self.keys).split(b"\n") if self.digests else []

    def unsure_of(self, keys: frozenset[bytes]) -> Page | None:
        """The page in which nothing is believed of these keys; None where it has none of them."""
        if keys.isdisjoint(own := self.split_keys()):
            return None
        digests = [UNSURE if key in keys else d for key, d in zip(own, self.split_digests(), strict=True)]
        return Page(self.rows, b"".join(digests), self.names, self.keys)


class LedgerPart(Struct, frozen=True):
    """What a part of a segment gave, for the ledger."""

    pages: Sequence[Page]
    rejected: frozenset[bytes] = frozenset()  #: names of rows that keep what they gave before
    carried: int | None = None  #: it is, byte for byte, this part of the last run's ledger; then there are no pages


def digests_of(items: EncodedItems) -> list[bytes]:
    """The digests of the items. The same row gives the same bytes, whichever way it is encoded."""
    return [blake2b(wire, digest_size=DIGEST_BYTES).digest() for wire in items.wires]


def key_of(wire: bytes, table: TableDefinition) -> bytes:
    """The key of an item, by its wire, as a ledger writes it."""
    item = orjson.loads(wire)
    if any(key.type == "B" for key in table.key_attributes):  # nothing else is spelled otherwise on the wire
        item = from_wire({key.name: item[key.name] for key in table.key_attributes})
    return key_text(item, table).encode("ascii")


def row_name(source_key: Iterable[SqliteValue]) -> bytes:
    """A row by its source key, told apart by storage class: 1 and 1.0 may be two keys.

    >>> row_name((1,)) == row_name((1.0,)), row_name(()) == NAMELESS
    (False, True)
    """
    values = tuple(source_key)
    return blake2b(repr(values).encode(errors="surrogatepass"), digest_size=ROW_BYTES).digest() if values else NAMELESS
