"""Columns of texts, short and long, and what types a column is said to have."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.mapping.column_sparse import sparse_texts, spread
from migrator.mapping.columns import NULL, Chunk, texts
from migrator.source.rows import RawRow

#: Whatever stands between values on the way, within them.
AWKWARD = st.text(st.sampled_from('ab",\\\n \r\x85\u2028\x00é😀'))
TEXTS = AWKWARD | st.text().filter(lambda text: text.isprintable())
VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), TEXTS, st.binary())


@given(st.lists(TEXTS, min_size=1), st.sampled_from([0, 200]))
def test_each_text_stands_as_it_does_alone(column: list[str], longer: int) -> None:
    column = [text + "," * longer for text in column]
    wires = texts(column)
    assert wires.joined(len(column)) == [b'{"S":' + orjson.dumps(text) for text in column]
    surplus = [len(orjson.dumps(text)) - len('""') - len(text.encode()) for text in column]
    assert wires.surplus_of(len(column)).total() == sum(surplus)
    assert list(wires.surplus_of(len(column)).each()) == surplus


#: No letter of it is escaped, which is when all is put in at once; and what stands there for NULL, as a text
PLAIN = st.sampled_from(["", "null", "n", "null,", "  ", ",", "é😀", "},{"]) | st.text("abc,: ", max_size=8)


@given(st.lists(st.none() | PLAIN | TEXTS) | st.lists(st.none() | PLAIN), st.sampled_from([0, 200]))
@pytest.mark.parametrize("absent", [b"", b'},"a":{"NULL":true'])
def test_texts_with_nulls_stand_as_they_do_without(absent: bytes, column: list[str | None], longer: int) -> None:
    column = [None, *(text and text + "," * longer for text in column), None, "a"]
    pieces, surplus = sparse_texts(column, b'},"a":', absent)
    expected, surplus_of_each = spread(texts)(column, b'},"a":', absent)
    assert pieces == expected
    assert list(surplus.each()) == list(surplus_of_each.each())
    assert (surplus.count, surplus.total()) == (surplus_of_each.count, surplus_of_each.total())


@given(st.lists(VALUES, min_size=1))
def test_no_type_of_a_column_is_overlooked(column: list[object]) -> None:
    rows: list[RawRow] = [(value,) for value in column]
    said, there = Chunk.of(rows).types(0), frozenset(map(type, column))
    assert said == (there | {int} if type(column[0]) is float and there <= {int, float} else there)


@pytest.mark.parametrize("value", [1, 1.5, "a"])
def test_a_null_at_the_end_of_a_column_is_seen(value: object) -> None:
    assert Chunk.of([(value,), (value,), (None,)]).types(0) == NULL | {type(value)}
