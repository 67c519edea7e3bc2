"""Access patterns become questions: their parameters come from `params:` and from rows of the source.

The sample is of distinct parameter sets, those with the smallest hashes: it needs no more memory than it is large,
depends on neither the order of the rows nor on where they are cut, and is the same each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import count, groupby
from typing import Any

from msgspec import Struct

from migrator.mapping.bind_patterns import parameter_name
from migrator.mapping.conditions import Asked, NoQuestion, ask_filter, ask_key, may_answer
from migrator.mapping.model import AccessPattern, ColumnValue, IndexDefinition, KeyAttribute
from migrator.run.binding import BoundEntity
from migrator.run.segment import Unit
from migrator.source.connection import connect
from migrator.source.read import WHOLE, Read
from migrator.source.rows import iter_rows
from migrator.source.snapshot import check_unchanged
from migrator.source.text import InvalidText, SqliteValue

#: Questions of one pattern.
SAMPLES = 10
_ROWS_BETWEEN_LOOKS = 1_000

#: A parameter's value: of a row, or as `params:` has it.
Parameter = SqliteValue | Decimal
Parameters = tuple[tuple[str, Parameter], ...]


def to_sqlite(value: Parameter) -> SqliteValue:
    """A parameter as SQL gets it.

    >>> to_sqlite(Decimal("99.5")), to_sqlite(True), to_sqlite("a")
    (99.5, 1, 'a')
    """
    match value:
        case Decimal():
            return float(value)
        case bool():
            return int(value)
        case _:
            return value


class EntityPattern(Struct, frozen=True):
    """An access pattern with the entity that is to answer it."""

    pattern: AccessPattern
    entity: BoundEntity

    @property
    def index(self) -> IndexDefinition | None:
        return next((index for index in self.entity.table.indexes if index.name == self.pattern.index), None)

    @property
    def eventual(self) -> bool:
        """A global index is eventually consistent; a table and a local index can be read as they are."""
        return self.index in self.entity.table.global_indexes

    @property
    def keys(self) -> tuple[KeyAttribute, ...]:
        """The keys of what is asked."""
        return (self.index or self.entity.table).key_attributes

    def specs(self) -> tuple[int, ...]:
        """Positions of the entity's item specs that may give an answer."""
        entity = self.entity.units[0].entity
        assert entity is not None  # fixed items have no patterns
        return tuple(n for n, spec in enumerate(entity.items) if may_answer(spec, self.keys, self.pattern.key))


class Question(Struct, frozen=True):
    """One pattern with one set of parameters. It pickles: workers judge items by it."""

    number: int
    parameters: Parameters
    needs: tuple[str, ...]  #: attributes without which an item is not in what is asked
    key: tuple[Asked, ...]  #: the partition key's first; () for a scan
    filter: tuple[Asked, ...]


class PatternQuestions(Struct, frozen=True):
    asked: EntityPattern
    questions: tuple[Question, ...]
    obstacle: str = ""  #: why rows gave no question, where one did not


def form_questions(patterns: Sequence[EntityPattern], check_stop: Callable[[], None]) -> list[PatternQuestions]:
    """The questions of all patterns: the rows of each entity are walked once."""
    samples = [_Sample(pattern) for pattern in patterns]
    by_entity = sorted((s for s in samples if s.pattern.sampled), key=lambda s: s.asked.entity.number)
    for _, group in groupby(by_entity, lambda s: s.asked.entity.number):
        _walk(list(group), check_stop)
    for sample in samples:
        if not sample.pattern.sampled:
            sample.offer(())
    numbers = count()
    return [sample.result(numbers) for sample in samples]


class _Sample:
    """The parameter sets kept so far."""

    def __init__(self, asked: EntityPattern) -> None:
        self.asked = asked
        self.pattern = asked.pattern
        self._kept: dict[bytes, tuple[Parameters, tuple[Asked, ...], tuple[Asked, ...]]] = {}
        self._obstacle = ""

    def offer(self, values: tuple[SqliteValue, ...]) -> None:
        if any(value is None or isinstance(value, InvalidText) for value in values):
            return
        # blake2b, not hash(): Python's own differs from process to process.
        rank = hashlib.blake2b(repr((self.pattern.name, values)).encode(), digest_size=16).digest()
        if rank in self._kept or (len(self._kept) == SAMPLES and rank > max(self._kept)):
            return
        parameters = (*self.pattern.params, *zip(self.pattern.sampled, values, strict=True))
        try:
            self._kept[rank] = (parameters, *self._conditions(dict(parameters)))
        except NoQuestion as obstacle:
            self._obstacle = str(obstacle)
        if len(self._kept) > SAMPLES:
            del self._kept[max(self._kept)]

    def _conditions(self, parameters: dict[str, Parameter]) -> tuple[tuple[Asked, ...], tuple[Asked, ...]]:
        keys = {key.name: key for key in self.asked.keys}
        partition = self.asked.keys[0].name

        def lookup(column: ColumnValue) -> Any:  # a Decimal of `params:` takes its way through filters too
            return parameters[parameter_name(column)]

        asked = tuple(
            ask_key(condition, keys[condition.attribute], lookup, partition=condition.attribute == partition)
            for condition in self.pattern.key
        )
        return asked, tuple(ask_filter(condition, lookup) for condition in self.pattern.filter)

    def result(self, numbers: Iterator[int]) -> PatternQuestions:
        needs = tuple(key.name for key in self.asked.keys)
        questions = (
            Question(next(numbers), parameters, needs, key, filters)
            for _, (parameters, key, filters) in sorted(self._kept.items())
        )
        return PatternQuestions(self.asked, tuple(questions), self._obstacle)


# ---- rows of the source


class _Taken(Struct, frozen=True):
    """What a pattern takes of each row of one file, in the file's own names."""

    sample: _Sample
    names: tuple[str, ...]
    conditions: tuple[str, ...]  #: a row that fulfils none of them gives no answer; () where every row may

    @classmethod
    def of(cls, sample: _Sample, unit: Unit) -> _Taken:
        assert unit.read is not None
        assert unit.entity is not None
        columns = [unit.read.relation.column(name) for name in sample.pattern.sampled]
        names = (column.name if column else name for column, name in zip(columns, sample.pattern.sampled, strict=True))
        wheres = [unit.entity.items[position].where for position in sample.asked.specs()]
        return cls(sample, tuple(names), () if None in wheres else tuple(filter(None, wheres)))

    def offer(self, values: Mapping[str, SqliteValue], conditions: Mapping[str, SqliteValue]) -> None:
        if not self.conditions or any(conditions[condition] for condition in self.conditions):
            self.sample.offer(tuple([values[name] for name in self.names]))


def _walk(samples: Sequence[_Sample], check_stop: Callable[[], None]) -> None:
    """Offer each row of an entity to its patterns, over all source files."""
    for unit in samples[0].asked.entity.units:
        taken = [_Taken.of(sample, unit) for sample in samples]
        for values, conditions in _iter_values(unit, taken, check_stop):
            for one in taken:
                one.offer(values, conditions)


def _iter_values(
    unit: Unit, taken: Sequence[_Taken], check_stop: Callable[[], None]
) -> Iterator[tuple[dict[str, SqliteValue], dict[str, SqliteValue]]]:
    """Of each row the values by name, and what became of each condition."""
    assert unit.read is not None  # fixed items have no patterns
    assert unit.snapshot is not None
    builtins: dict[str, SqliteValue] = {f"@{name}": text for name, text in unit.context.texts.items()}
    names = dict.fromkeys(name for one in taken for name in one.names)
    columns = tuple(name for name in names if name not in (*builtins, "@rowid"))
    conditions = tuple(dict.fromkeys(condition for one in taken for condition in one.conditions))
    read = Read(unit.read.relation, columns, unit.read.where, conditions)
    with connect(unit.snapshot) as connection:
        for number, row in enumerate(iter_rows(connection, read, WHOLE)):
            if number % _ROWS_BETWEEN_LOOKS == 0:
                check_stop()
            values = dict(zip(columns, row.values, strict=True))
            met = dict(zip(conditions, row.conditions, strict=True))
            yield {**builtins, "@rowid": row.rowid, **values}, met
    check_unchanged(unit.snapshot)
