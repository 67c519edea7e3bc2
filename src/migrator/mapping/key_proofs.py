"""What is certain of the keys that templates give, whatever the rows hold.

Two rows with one key overwrite each other in DynamoDB without a word, so `proves_unique` and `disjoint`
only say yes where the schema guarantees it; everything else is settled by looking at the data (`run.collisions`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

from migrator.mapping.model import KeyType, Template
from migrator.mapping.templates import is_of_file
from migrator.source.schema import Column


@lru_cache(maxsize=1024)
def key_pattern(template: Template) -> re.Pattern[str]:
    """What any text that the template gives looks like: to tell whether an item may be an entity's."""
    return re.compile("".join(re.escape(part) if isinstance(part, str) else ".*" for part in template.parts), re.DOTALL)


def disjoint(one: Template, other: Template) -> bool:
    """No text can come from both: their literal heads or tails contradict each other.

    >>> from migrator.mapping.templates import parse_template
    >>> disjoint(parse_template("USER#{id}"), parse_template("CIRCLE#{id}"))
    True
    >>> disjoint(parse_template("USER#{id}"), parse_template("{email}"))
    False
    """
    if not any(one.columns()) and not any(other.columns()):
        return one.parts != other.parts
    if not any(one.columns()):
        return key_pattern(other).fullmatch(_literal(one)) is None
    if not any(other.columns()):
        return key_pattern(one).fullmatch(_literal(other)) is None
    return _contradict(_end(one, 0), _end(other, 0)) or _contradict(_end(one, -1)[::-1], _end(other, -1)[::-1])


def _contradict(one: str, other: str) -> bool:
    return not one.startswith(other) and not other.startswith(one)


def _literal(template: Template) -> str:
    return "".join(part for part in template.parts if isinstance(part, str))


def _end(template: Template, position: int) -> str:
    part = template.parts[position] if template.parts else ""
    return part if isinstance(part, str) else ""


def proves_unique(
    keys: Iterable[tuple[Template, KeyType]], unique_sets: Iterable[frozenset[str]], columns: dict[str, Column]
) -> bool:
    """Two rows of a file cannot give the same keys: the templates hold a unique set of columns and can be read back.

    A template can be read back when it has one placeholder, beside what its file says; with more, x = 'a#b' and y = 'c'
    may give what x = 'a' and y = 'b#c' give. A filter may merge values, and so may a column without affinity (1 and
    '1') and a key that is a number ('1' and '1.0') or bytes ('a' and x'61').
    """
    shown: set[str] = set()
    for template, key_type in keys:
        placeholders = [column for column in template.columns() if not is_of_file(column)]
        if len(placeholders) != 1 or placeholders[0].filters or key_type == "B":
            continue
        (only,) = placeholders
        affinity = columns[only.column].affinity if only.column in columns else ""
        if only.builtin and only.column == "rowid":
            shown.add("@rowid")
        elif affinity == "INTEGER" or (affinity == "TEXT" and key_type == "S"):
            shown.add(only.column)
    return any(unique <= shown for unique in unique_sets if unique)


def set_apart(templates: Iterable[Template]) -> bool:
    """No text can come from two of these, one for each file: their literal heads tell them apart, or their tails.

    >>> from migrator.mapping.templates import parse_template
    >>> set_apart(map(parse_template, ["a#{id}", "b#{id}"])), set_apart(map(parse_template, ["a{id}", "ab{id}"]))
    (True, False)
    """
    filled = list(templates)
    if any(is_of_file(column) for template in filled for column in template.columns()):
        return False
    if not any(any(template.columns()) for template in filled):
        return len({_literal(template) for template in filled}) == len(filled)
    return _none_begins_another(_end(template, 0) for template in filled) or _none_begins_another(
        _end(template, -1)[::-1] for template in filled
    )


def _none_begins_another(texts: Iterable[str]) -> bool:
    """In their order a text is followed by those that begin with it."""
    return not any(after.startswith(before) for before, after in pairwise(sorted(texts)))
