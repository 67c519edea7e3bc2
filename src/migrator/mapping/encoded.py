"""Items as they go into a request: DynamoDB JSON, beside what a writer must know of them.

What a writer needs of an item is settled once, while it is encoded, so that no item is parsed again on its way:
its bytes on the wire, its key as DynamoDB compares keys, its size and its price.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, repeat
from typing import Any, NamedTuple, overload

from msgspec import Struct

from migrator.mapping.canonical import item_size
from migrator.mapping.counts import Chained, Counts, Listed
from migrator.mapping.model import Attributes, AttributeValue, Item, TableDefinition
from migrator.mapping.prices import entry_sizes, started_units, write_units
from migrator.mapping.wirejson import from_wire, to_wire


class EncodedItem(NamedTuple):
    """One item, ready to be sent."""

    wire: bytes  #: DynamoDB JSON, {"PK":{"S":"a"},…}: goes into a request's body as it is
    identity: Hashable  #: as `identity` gives it; None where no two items have one key and nobody asked for it
    noted_bytes: int | None  #: its size, where that is worked out
    write_units: int

    @property
    def attributes(self) -> Attributes:
        """The item parsed back, in the shape of boto3's low-level client: for what is not on the hot path."""
        return from_wire(json.loads(self.wire))

    @property
    def size_bytes(self) -> int:
        """By DynamoDB's own size rules."""
        return _size_of_wire(self.wire) if self.noted_bytes is None else self.noted_bytes


# No Struct: those cannot be Sequences. Not frozen: one is made for each request, and freezing doubles what that takes.
@dataclass(slots=True)
class EncodedItems(Sequence[EncodedItem]):
    """Many items as columns: what is done with all of them takes no object for each. Not changed once made.

    Their sizes are worked out where somebody asks. Where what that takes is not there any more, each is read from its
    item's wire.

    >>> items = EncodedItems.of([EncodedItem(b"{}", "a", 3, 1), EncodedItem(b"{}", "b", 4, 2)])
    >>> items.identities, items[1], len(items[1:])
    (['a', 'b'], EncodedItem(wire=b'{}', identity='b', noted_bytes=4, write_units=2), 1)
    """

    wires: list[bytes]
    lengths: list[int]  #: of the wires: to look at each of them once more takes a hundredth of an item
    identities: list[Hashable]
    units: list[int]
    sizes: Counts | None

    @classmethod
    def of(cls, items: Sequence[EncodedItem]) -> EncodedItems:
        if isinstance(items, EncodedItems):
            return items
        wires, identities, sizes, units = zip(*items, strict=True) if items else ((), (), (), ())
        sizes_known = None if None in sizes else Listed(sizes)
        return cls(list(wires), list(map(len, wires)), list(identities), list(units), sizes_known)

    @classmethod
    def joined(cls, parts: Sequence[EncodedItems]) -> EncodedItems:
        join = chain.from_iterable
        sizes = [part.sizes for part in parts if part.sizes is not None]
        return cls(
            list(join(part.wires for part in parts)),
            list(join(part.lengths for part in parts)),
            list(join(part.identities for part in parts)),
            list(join(part.units for part in parts)),
            Chained(sizes) if len(sizes) == len(parts) else None,
        )

    def picked(self, places: Sequence[int]) -> EncodedItems:
        """Those at these places.

        >>> EncodedItems.of([EncodedItem(b"{}", "a", 3, 1), EncodedItem(b"[]", "b", 4, 2)]).picked([1]).wires
        [b'[]']
        """
        if len(places) == len(self):
            return self
        wires = [self.wires[n] for n in places]
        sizes = self.sizes
        if sizes is not None and len(places) * _SIZES_A_READING < len(self):
            sizes = _Read(wires)
        elif sizes is not None:
            every = list(sizes.each())
            sizes = Listed([every[n] for n in places])
        return EncodedItems(
            wires,
            [self.lengths[n] for n in places],
            [self.identities[n] for n in places],
            [self.units[n] for n in places],
            sizes,
        )

    @property
    def wire_bytes(self) -> int:
        return sum(self.lengths)

    @property
    def size_bytes(self) -> int:
        """Of all of them, by DynamoDB's own size rules."""
        sizes = _Read(self.wires) if self.sizes is None else self.sizes
        return sizes.total()

    @overload
    def __getitem__(self, place: int) -> EncodedItem: ...

    @overload
    def __getitem__(self, place: slice) -> EncodedItems: ...

    def __getitem__(self, place: int | slice) -> EncodedItem | EncodedItems:
        sizes = None if self.sizes is None else list(self.sizes.each())
        if isinstance(place, slice):
            of_these = None if sizes is None else Listed(sizes[place])
            return EncodedItems(
                self.wires[place], self.lengths[place], self.identities[place], self.units[place], of_these
            )
        size_bytes = None if sizes is None else sizes[place]
        return EncodedItem(self.wires[place], self.identities[place], size_bytes, self.units[place])

    def __iter__(self) -> Iterator[EncodedItem]:
        sizes = repeat(None) if self.sizes is None else self.sizes.each()
        return map(EncodedItem, self.wires, self.identities, sizes, self.units)

    def __len__(self) -> int:
        return len(self.wires)


#: An item is read from its wire in the time in which so many sizes are worked out of columns.
_SIZES_A_READING = 9


class _Read(Struct, frozen=True):
    """Sizes as the wires say them."""

    wires: Sequence[bytes]

    def total(self) -> int:
        return sum(self.each())

    def each(self) -> Iterable[int]:
        return map(_size_of_wire, self.wires)


def _size_of_wire(wire: bytes) -> int:
    return item_size(from_wire(json.loads(wire)))


class EncodedRow(NamedTuple):
    """A row's items, each with its position among the entity's item specs, and the rules it only warned of."""

    items: tuple[tuple[int, EncodedItem], ...]
    warnings: int = 0


def identity_of(item: EncodedItem, table: TableDefinition) -> Hashable:
    """The item's identity, also of one that was encoded without."""
    return identity(item.attributes, table) if item.identity is None else item.identity


def encode_item(item: Item, table: TableDefinition) -> EncodedItem:
    """The plain way; what `mapping.compile` generates is held to it.

    >>> from migrator.mapping.model import KeyAttribute
    >>> encode_item(Item({"PK": {"S": "é"}}, {}, 4), TableDefinition("orders", KeyAttribute("PK"))).wire.decode()
    '{"PK":{"S":"é"}}'
    """
    return EncodedItem(
        to_wire(item.attributes),
        identity(item.attributes, table),
        item.size_bytes,
        write_units(item.attributes, item.size_bytes, table),
    )


#: Keys of DynamoDB that are one key are equal in Python: text, numbers by value, bytes.
_COMPARABLE: Mapping[str, Callable[[Any], Hashable]] = {"S": str, "N": Decimal, "B": bytes}


def identity(attributes: Attributes, table: TableDefinition) -> Hashable:
    """Equal for two keys exactly when DynamoDB takes them for one: numbers by value.

    Of a table with a sort key it is the pair (partition key, sort key), else the partition key alone.

    >>> from migrator.mapping.model import KeyAttribute
    >>> table = TableDefinition("orders", KeyAttribute("id", "N"))
    >>> identity({"id": {"N": "1.0"}}, table) == identity({"id": {"N": "01"}}, table)
    True
    """
    partition = _comparable(attributes[table.partition_key.name])
    return (partition, _comparable(attributes[table.sort_key.name])) if table.sort_key else partition


def _comparable(value: AttributeValue) -> Hashable:
    ((kind, content),) = value.items()
    return _COMPARABLE[kind](content)


def index_entry_sizes(item: EncodedItem, table: TableDefinition) -> list[int]:
    """Bytes of the item's entry in each index that it enters."""
    if all(index.projection == "ALL" for index in table.indexes):
        # Each entry costs what the item does, so the price tells how many there are.
        return [item.size_bytes] * (item.write_units // started_units(item.size_bytes) - 1)
    return entry_sizes(item.attributes, item.size_bytes, table)
