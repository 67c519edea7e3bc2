"""What the source says that an access pattern is answered by: the rows of its SQL, or every item that fits.

SQL names rows, and the rendered items of those rows are expected. Without SQL all items of the entity are rendered
once more, in the workers, and judged by the question's own conditions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from migrator.mapping.canonical import canonical_bytes, digest, key_text
from migrator.mapping.conditions import holds
from migrator.mapping.model import Attributes
from migrator.mapping.render import Rendered
from migrator.run.opened import OpenRun
from migrator.run.questions import Parameter, Question, to_sqlite
from migrator.run.segment import Segment, Unit, iter_outcomes
from migrator.run.worker import WORKER
from migrator.run.workers import Workers
from migrator.source.connection import connect
from migrator.source.failure import is_about_the_file, message_of
from migrator.source.relation import as_subquery, quote
from migrator.source.snapshot import check_unchanged
from migrator.source.text import SqliteValue

#: question number, key text, digest of the item
Match = tuple[int, str, bytes]


class SqlFailed(Exception):
    """SQLite met something in the data that the question's SQL cannot take; the text has SQLite's words."""


def iter_picked(unit: Unit, sql: str, parameters: Mapping[str, Parameter]) -> Iterator[tuple[SqliteValue, ...]]:
    """The source keys of the rows that the SQL gives of one file. Raises SqlFailed and SourceError."""
    assert unit.read is not None  # fixed items have no patterns
    assert unit.snapshot is not None
    key = ", ".join(map(quote, unit.read.relation.key))
    values = {name: to_sqlite(value) for name, value in parameters.items()}
    with connect(unit.snapshot) as connection:
        cursor = connection.connection.cursor()
        try:
            cursor.execute(f"SELECT {key} FROM {as_subquery(sql)}", values)
            yield from iter(cursor.fetchone, None)
        except sqlite3.Error as error:
            if is_about_the_file(error):
                raise
            raise SqlFailed(message_of(error)) from error
    check_unchanged(unit.snapshot)


# ---- without SQL


def iter_matches(
    opened: OpenRun, questions: Mapping[int, Sequence[Question]], workers: Workers
) -> Iterator[list[Match]]:
    """What fulfils the questions, which are given by the number of the entity that is to answer."""
    tasks = (
        (segment, tuple(questions[segment.unit.number]))
        for segment in opened.segments
        if segment.unit.number in questions and not workers.stop.flag.is_set()
    )
    yield from workers.map(match_segment, tasks)


def match_segment(segment: Segment, questions: tuple[Question, ...]) -> list[Match]:
    """Render a segment and judge its items: the worker's part of `iter_matches`."""
    search, found = _Search.of(questions), []
    for outcome in iter_outcomes(segment):
        if WORKER.is_stopped():
            break
        if isinstance(outcome.result, Rendered):
            for _, item in outcome.result.items:
                numbers = [question.number for question in search.iter_fitting(item.attributes)]
                if numbers:
                    key, content = key_text(item.attributes, segment.unit.table), digest(item.attributes)
                    found += [(number, key, content) for number in numbers]
    return found


class _Search(Struct, frozen=True):
    """Questions by the value of their partition key, so that an item costs a look-up however many there are."""

    scans: list[Question] = field(default_factory=list)
    queries: dict[str, dict[bytes, list[Question]]] = field(default_factory=dict)

    @classmethod
    def of(cls, questions: Sequence[Question]) -> _Search:
        search = cls()
        for question in questions:
            if not question.key:
                search.scans.append(question)
                continue
            partition = question.key[0]
            by_value = search.queries.setdefault(partition.attribute, {})
            by_value.setdefault(canonical_bytes(partition.values[0]), []).append(question)
        return search

    def iter_fitting(self, attributes: Attributes) -> Iterator[Question]:
        near = [*self.scans]
        for attribute, by_value in self.queries.items():
            if attribute in attributes:
                near += by_value.get(canonical_bytes(attributes[attribute]), ())
        for question in near:
            if all(name in attributes for name in question.needs) and all(
                holds(asked, attributes) for asked in (*question.key, *question.filter)
            ):
                yield question
