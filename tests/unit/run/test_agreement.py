"""The two answers to a question, counted on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.run.agreement import AnswerStore, Tally, keep_repeats
from migrator.run.collisions import find_losers
from migrator.run.digests import DigestStore
from migrator.run.records import ItemRecord, Records
from migrator.source.text import InvalidText, SqliteValue

NOW_S = 1_000
OWN, OTHER = 1, 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DigestStore]:
    with DigestStore(tmp_path / "verify.sqlite") as opened:
        yield opened


def record(
    row: int, key: str, *, entity: int = OWN, expires: int | None = None, segment: int = 0, item: int = 0,
    source_key: tuple[SqliteValue, ...] | None = None, content: bytes = b"x",
) -> ItemRecord:  # fmt: skip
    return ItemRecord(
        entity, segment, row, item, 0, key, content, expires, (row,) if source_key is None else source_key
    )


def tally(answers: AnswerStore, question: int = 0) -> Tally:
    return answers.tally(question, OWN, 0, NOW_S)


def test_each_kind_of_answer_is_counted(store: DigestStore) -> None:
    store.add(Records([record(0, "both"), record(1, "gone"), record(2, "past", expires=999), record(3, "surplus")]))
    store.add(Records([record(0, "theirs", entity=OTHER)]))
    answers = AnswerStore(store)
    answers.expect_rows(0, OWN, (0, 0), [0], [(0,), (1,), (2,)])
    answers.answer(0, [("both", True), ("surplus", True), ("theirs", True), ("shaped", True), ("foreign", False)])
    assert tally(answers) == Tally(
        expected=3, due=2, matched=1, missing=1, expired=1, unexpected=2, others={OTHER: 1}, foreign=1
    )
    place = (0, OWN, 0, NOW_S, 9)
    assert list(answers.iter_faults("missing", *place)) == ["gone"]
    assert list(answers.iter_faults("unexpected", *place)) == ["shaped", "surplus"]


def test_a_row_is_found_by_its_exact_source_key(store: DigestStore) -> None:
    keys: list[tuple[SqliteValue, ...]] = [
        ("1", None),
        (1, None),
        (b"1", None),
        (InvalidText(b"\xff"), 2),
        (b"\xff", 2),
    ]
    store.add(Records(record(n, str(n), source_key=key) for n, key in enumerate(keys)))
    answers = AnswerStore(store)
    for number, key in enumerate(keys):
        answers.expect_rows(number, OWN, (0, 0), [0], [key])
        answers.answer(number, [(str(number), True)])
        assert tally(answers, number) == Tally(expected=1, due=1, matched=1)


def test_only_the_segments_of_the_file_and_the_items_that_may_answer_are_expected(store: DigestStore) -> None:
    store.add(Records([record(0, "a"), record(0, "b", item=1), record(0, "c", segment=1)]))
    answers = AnswerStore(store)
    answers.expect_rows(0, OWN, (0, 0), [1], [(0,)])
    answers.answer(0, [("b", True)])
    assert tally(answers) == Tally(expected=1, due=1, matched=1)


def test_a_row_named_twice_is_expected_once(store: DigestStore) -> None:
    store.add(Records([record(0, "a")]))
    answers = AnswerStore(store)
    answers.expect_rows(0, OWN, (0, 0), [0], [(0,), (0,)])
    assert tally(answers).expected == 1


def test_no_rows_expect_nothing(store: DigestStore) -> None:
    answers = AnswerStore(store)
    answers.expect_rows(0, OWN, (0, 0), [0], [])
    answers.expect_rows(0, OWN, (0, 0), [0], [(1, 2, 3)])
    assert tally(answers) == Tally()


def test_an_item_is_expected_only_as_the_table_is_to_hold_it(store: DigestStore) -> None:
    store.add(Records([record(0, "a", content=b"kept")]))
    answers = AnswerStore(store)
    answers.expect_items([(0, 0, "a", b"kept"), (1, 0, "a", b"lost its key"), (2, 0, "b", b"rejected")])
    assert [tally(answers, question).expected for question in range(3)] == [1, 0, 0]


def test_a_later_row_with_an_equal_item_expects_the_item_too(store: DigestStore) -> None:
    store.add(Records([record(0, "a"), record(1, "a"), record(2, "a", content=b"other")]))
    losers = find_losers(store)
    keep_repeats(store)
    losers.remove_from_store()
    answers = AnswerStore(store)
    for row in range(3):
        answers.expect_rows(row, OWN, (0, 0), [0], [(row,)])
    assert [tally(answers, question).expected for question in range(3)] == [1, 1, 0]


def test_an_answer_can_be_asked_for_again(store: DigestStore) -> None:
    answers = AnswerStore(store)
    answers.answer(0, [("x", True)])
    answers.forget_answer(0)
    assert tally(answers) == Tally()


@pytest.mark.parametrize(
    ("counted", "limit", "agrees"),
    [
        (Tally(expected=2, due=2, matched=2), None, True),
        (Tally(expected=2, due=2, matched=1, missing=1), None, False),
        (Tally(expected=2, due=2, matched=2, unexpected=1), None, False),
        (Tally(expected=9, due=9, matched=3, missing=6), 3, True),
        (Tally(expected=9, due=9, matched=2, missing=7), 3, False),
        (Tally(expected=9, due=2, matched=2, expired=7), 3, True),
        (Tally(expected=2, due=2, matched=1, missing=1), 3, False),
        (Tally(expected=2, due=1, matched=1, expired=1), None, True),
    ],
)
def test_what_agrees(counted: Tally, limit: int | None, agrees: bool) -> None:
    assert counted.agrees(limit) is agrees
