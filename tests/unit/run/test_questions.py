"""Questions of access patterns: which parameter sets are sampled, and which rows are no sample."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrator.run.inquiry import select_patterns
from migrator.run.opened import open_run
from migrator.run.plan import load_plan
from migrator.run.questions import SAMPLES, PatternQuestions, form_questions

MAPPING = """
table: {{name: shop, partition_key: PK, sort_key: SK, global_indexes: {{ByKind: {{partition_key: kind}}}}}}
entities:
  Word:
    source: words
    where: word <> 'hidden'
    items:
      - key: {{PK: "{{word}}", SK: WORD}}
      - {{key: {{PK: "{{word}}", SK: KIND, kind: "{{kind}}"}}, where: shown}}
access_patterns:
  q: {{entity: Word, {pattern}}}
"""
Ask = Callable[..., PatternQuestions]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """The questions of one pattern over files of words."""

    def questions(pattern: str, *files: list[tuple[Any, ...]]) -> PatternQuestions:
        names = [f"words{number}.sqlite" for number in range(len(files))]
        for name, rows in zip(names, files, strict=True):
            (tmp_path / name).unlink(missing_ok=True)
            with closing(sqlite3.connect(tmp_path / name)) as database:
                database.execute("CREATE TABLE words (word TEXT, kind TEXT, shown INTEGER)")
                database.executemany("INSERT INTO words VALUES (CAST(? AS TEXT), ?, ?)", rows)
                database.commit()
        (tmp_path / "shop.yaml").write_text(MAPPING.format(pattern=pattern), encoding="utf-8")
        plan = f"version: 1\nname: shop\nsource: [{', '.join(names)}]\nmappings: [shop.yaml]\n"
        (tmp_path / "plan.yaml").write_text(plan, encoding="utf-8")
        with open_run(load_plan(tmp_path / "plan.yaml")) as opened:
            (found,) = form_questions(select_patterns(opened, [e.number for e in opened.entities]), lambda: None)
        return found

    return questions


def words(found: PatternQuestions) -> list[Any]:
    return [dict(question.parameters)["word"] for question in found.questions]


BY_WORD = 'key: {PK: "{word}"}'
MANY = [(f"word {number}", "k", 1) for number in range(100)]


def test_so_many_distinct_parameter_sets_are_sampled(ask: Ask) -> None:
    assert len(set(words(ask(BY_WORD, MANY + MANY)))) == SAMPLES


def test_few_values_are_all_asked_once(ask: Ask) -> None:
    assert sorted(words(ask(BY_WORD, MANY[:3] * 5))) == ["word 0", "word 1", "word 2"]


def test_the_sample_is_the_same_whatever_the_order_and_the_files(ask: Ask) -> None:
    expected = words(ask(BY_WORD, MANY))
    assert words(ask(BY_WORD, MANY[::-1])) == expected
    assert words(ask(BY_WORD, MANY[50:], MANY[:50])) == expected


def test_rows_that_give_no_key_are_no_sample(ask: Ask) -> None:
    rows = [
        (None, "k", 1),
        ("", "k", 1),
        (b"\xff", "k", 1),
        ("x" * 3_000, "k", 1),
        ("hidden", "k", 1),
        ("good", "k", 1),
    ]
    assert words(ask(BY_WORD, rows)) == ["good"]


def test_without_a_sample_it_is_told_why(ask: Ask) -> None:
    found = ask(BY_WORD, [("", "k", 1)])
    assert (found.questions, found.obstacle) == ((), "key PK is empty")


def test_a_row_without_the_item_that_is_asked_for_is_no_sample(ask: Ask) -> None:
    found = ask(
        'index: ByKind, key: {kind: "{kind}"}, sql: "SELECT rowid, * FROM words WHERE word = :word"',
        [("a", "k", 1), ("b", "k", 0)],
    )
    assert words(found) == ["a"]


def test_params_fill_in_what_they_name(ask: Ask) -> None:
    found = ask('key: {PK: "{word}", SK: "{sort}"}, params: {sort: KIND}', MANY[:2])
    assert sorted(question.parameters for question in found.questions) == [
        (("sort", "KIND"), ("word", "word 0")),
        (("sort", "KIND"), ("word", "word 1")),
    ]


def test_with_all_parameters_given_no_row_is_needed(ask: Ask) -> None:
    assert [q.parameters for q in ask(f"{BY_WORD}, params: {{word: x}}", []).questions] == [(("word", "x"),)]


def test_the_names_of_files_are_parameters_too(ask: Ask) -> None:
    found = ask('key: {PK: "{@stem}-{@rowid}"}', MANY[:1], MANY[:2])
    asked = sorted(question.key[0].values[0]["S"] for question in found.questions)
    assert asked == ["words0-1", "words1-1", "words1-2"]
