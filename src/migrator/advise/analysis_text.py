"""An analysis for a person at a terminal: a summary, then a block for each table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from migrator.advise.formats import FORMATS
from migrator.advise.hazards_text import hazard_lines
from migrator.advise.model import Analysis, ItemSizes, Relationship, TableAnalysis
from migrator.advise.outlook_words import outlook_lines
from migrator.advise.shown import count_of, cut, named, names_of, pad, printable, to_shown, width_of
from migrator.source.profile import ColumnProfile
from migrator.source.schema import Column, ForeignKey, Index, Table
from migrator.target.forecast import size_words

_LINE = 118
_LONGEST_LINE = 132  # numbers are never shortened, they would be others
_COLUMN_NAME = 36
_TYPE = 30
_HOLDS = 36
_VALUE_LIMITS = (8, 30)
_HEADINGS = ("column", "declared as", "holds", "looks like", "distinct", "longest")
_LOOKS_LIKE = _HEADINGS.index("looks like")
#: a share of the values below which a format is chance
_FORMAT_SHARE = 0.5
_BROKEN_RULES = frozenset({"null", "check", "type"})
_KIND_WORDS = (("table", "table"), ("view", "view"), ("virtual", "virtual table"), ("shadow", "shadow table"))


def to_text(analysis: Analysis) -> str:
    """No line is longer than 132 characters; control characters in names and values are escaped."""
    sections = [
        _summary(analysis),
        _integrity(analysis),
        _overview(analysis.of_kind("table", "view", "virtual")),
        _relationships(analysis.relationships),
        hazard_lines(analysis.hazards),
        *(_block(table) for table in analysis.of_kind("table", "view", "virtual")),
        _shadows(analysis),
        outlook_lines(analysis),
    ]
    lines = (["", *section] for section in map(list, sections) if section)
    return "\n".join(cut(line.rstrip(), _LONGEST_LINE) for section in lines for line in section).lstrip("\n")


def _summary(analysis: Analysis) -> Iterator[str]:
    yield printable(analysis.path)
    journal = {"wal": "write-ahead log", "rollback": "rollback journal"}[analysis.journal_mode]
    page = f"pages of {analysis.schema.page_size:,} bytes"
    yield f"  {size_words(analysis.size_bytes)} in {page}, {analysis.schema.encoding}, {journal}"
    rows = sum(table.rows or 0 for table in analysis.of_kind("table", "virtual"))
    counts = ((len(analysis.of_kind(kind)), word) for kind, word in _KIND_WORDS)
    yield "  " + ", ".join([count_of(n, word) for n, word in counts if n] + [count_of(rows, "row")])


def _integrity(analysis: Analysis) -> Iterator[str]:
    if analysis.integrity is None:
        yield "Integrity: not checked"
        return
    broken = any(finding.code in _BROKEN_RULES for finding in analysis.integrity)
    yield "Integrity: whole" + (", with rows that break the schema's own rules" if broken else "")
    for finding in analysis.integrity:
        times = f"  ({finding.count:,} times)" if finding.count > 1 else ""
        yield f"  {printable(finding.message)}{times}"


# ---- overview


def _overview(tables: Sequence[TableAnalysis]) -> list[str]:
    rows = [("name", "kind", "rows", "key")]
    for found in tables:
        count = "–" if found.rows is None else f"{found.rows:,}"
        rows.append(
            (named(found.table.name), found.table.kind, count, printable(found.error or _key_words(found.table)))
        )
    return _aligned(rows, right=(2,)) if tables else []


def _key_words(table: Table) -> str:
    if table.kind != "table":
        return ""
    if not table.primary_key:
        return "none"
    words = cut(names_of(table.primary_key), 60)
    return f"{words} (the rowid)" if table.integer_primary_key else words


def _relationships(relationships: Sequence[Relationship]) -> list[str]:
    rows = [("from", "to", "kind", "orphans")]
    for found in relationships:
        child = f"{named(found.child)} ({names_of(found.columns)})"
        parent = f"{named(found.parent)} ({names_of(found.parent_columns)})"
        rows.append((cut(child, 46), cut(parent, 38), found.kind, _orphans(found)))
    return ["Relationships", *_aligned(rows, indent="  ")] if relationships else []


def _orphans(found: Relationship) -> str:
    if found.error:
        return printable(found.error)
    count = f"{found.orphans:,}" if found.orphans else "none"
    return f"{count}; {named(found.parent)} is missing" if found.parent_missing else count


def _shadows(analysis: Analysis) -> list[str]:
    shadows = ", ".join(named(found.table.name) for found in analysis.of_kind("shadow"))
    return ["Shadow tables (storage of the virtual ones, not looked into)", *_wrapped(shadows)] if shadows else []


# ---- one table


def _block(found: TableAnalysis) -> Iterator[str]:
    yield f"{named(found.table.name)}  —  {', '.join(_traits(found))}"
    if found.error:
        yield f"  cannot be read: {printable(found.error)}"
    visible = [column for column in found.table.columns if not column.hidden]
    if found.rows and visible:
        yield from _columns(found, visible)
    elif visible:
        yield from _wrapped(", ".join(_column_words(found.table, column) for column in visible))
    yield from _notes(found.table)
    if found.sizes:
        yield f"  as items: {_sizes(found.sizes)}"
    yield from _sampling(found)


def _sizes(sizes: ItemSizes) -> str:
    largest = ", ".join(f"{named(name)} {to_shown(value, 24)}" for name, value in sizes.largest_row)
    where = f" ({largest})" if largest else ""
    mean, p99 = f"{sizes.mean_bytes:,.0f}", f"{sizes.p99_bytes:,}"
    return f"{mean} bytes in the mean, 99 of 100 up to {p99}, the largest {sizes.largest_bytes:,}{where}"


def _sampling(found: TableAnalysis) -> Iterator[str]:
    profile = found.profile
    if profile is None or profile.sampled_rows is None:
        return
    error = max((column.distinct_error for column in profile.columns), default=0.0)
    estimated = f", and distinct values with ~ are within {error:.1%}" if error else ""
    yield f"  formats are those of a sample of {count_of(profile.sampled_rows, 'row')}{estimated}; --exact looks at all"


def _traits(found: TableAnalysis) -> Iterator[str]:
    yield found.table.kind
    if found.rows is not None:
        yield count_of(found.rows, "row")
    if found.table.without_rowid:
        yield "WITHOUT ROWID"
    if found.table.strict:
        yield "STRICT"
    if len(found.table.primary_key) > 1:
        yield f"key ({names_of(found.table.primary_key)})"


def _columns(found: TableAnalysis, columns: Sequence[Column]) -> list[str]:
    profiles = [found.profile.column(column.name) if found.profile else None for column in columns]
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for column, profile in zip(columns, profiles, strict=True):
        name = named(column.name, _COLUMN_NAME)
        rows.append((name, cut(_declared(found.table, column), _TYPE), *_profile_words(profile)))
    if not any(row[_LOOKS_LIKE] for row in rows[1:]):
        rows = [(*row[:_LOOKS_LIKE], *row[_LOOKS_LIKE + 1 :]) for row in rows]
    width = len(rows[0])
    lines = _aligned(rows, indent="  ", right=(width - 2, width - 1))
    # Both ends of a range share what the other cells leave of the line.
    low, high = _VALUE_LIMITS
    room = min(max((_LINE - max(map(width_of, lines)) - len("   … ")) // 2, low), high)
    ranges = ["from … to", *(_range(profile, room) for profile in profiles)]
    return [f"{line}  {words}" for line, words in zip(lines, ranges, strict=True)]


def _column_words(table: Table, column: Column) -> str:
    return f"{named(column.name)} {_declared(table, column)}".strip()


def _declared(table: Table, column: Column) -> str:
    words = [printable(column.declared_type)]
    if column.name in table.primary_key:
        words.append("PK")
    if column.not_null:
        words.append("not null")
    if column.generated:
        words.append("generated")
    return " ".join(filter(None, words))


def _profile_words(profile: ColumnProfile | None) -> tuple[str, str, str, str]:
    if profile is None:
        return "", "", "", ""
    if profile.error:
        return cut(f"cannot be read: {printable(profile.error)}", 60), "", "", ""
    longest = f"{profile.longest_bytes:,} B" if profile.longest_bytes else ""
    distinct = f"{'~' if profile.distinct_error else ''}{profile.distinct:,}"
    return cut(_holds(profile), _HOLDS), _looks_like(profile), distinct, longest


def _looks_like(profile: ColumnProfile) -> str:
    """The format of most values; its share where it is not that of all."""
    name, share = next(iter(profile.formats), ("", 0.0))
    if share < _FORMAT_SHARE:
        return ""
    return FORMATS[name] if share == 1 else f"{int(share * 100)} % {FORMATS[name]}"


def _holds(profile: ColumnProfile) -> str:
    """A column of one storage class needs no count: it is that of the rows."""
    classes = profile.storage_classes
    parts = [f"{count:,} {name}" for name, count in classes.items()] if len(classes) > 1 else list(classes)
    if profile.invalid_utf8:
        parts.append(f"{profile.invalid_utf8:,} not UTF-8")
    return ", ".join(parts)


def _range(profile: ColumnProfile | None, width: int) -> str:
    if profile is None or not profile.distinct:
        return ""
    low, high = to_shown(profile.minimum, width), to_shown(profile.maximum, width)
    return low if profile.distinct == 1 else f"{low} … {high}"


def _notes(table: Table) -> Iterator[str]:
    for key in table.foreign_keys:
        yield f"  refers to {_foreign_key(key)}"
    made = [index for index in table.indexes if index.origin != "pk"]
    if made:
        words = "; ".join(_index(index) for index in made)
        yield from _wrapped(f"{'index' if len(made) == 1 else 'indexes'} {words}")


def _foreign_key(key: ForeignKey) -> str:
    missing = ", which is missing" if key.parent_missing else ""
    return f"{named(key.table)} ({names_of(key.parent_columns)}) by {names_of(key.columns)}{missing}"


def _index(index: Index) -> str:
    marks = [word for word, is_set in (("unique", index.unique), ("partial", index.partial)) if is_set]
    columns = ", ".join("an expression" if column is None else named(column) for column in index.columns)
    return " ".join([*marks, f"({columns})"])


# ---- layout


def _aligned(rows: Iterable[Sequence[str]], *, indent: str = "", right: Sequence[int] = ()) -> list[str]:
    table = list(rows)
    # A long last cell has the rest of the line and widens nothing.
    widths = [
        max(width_of(row[column]) for row in table if not _spills(row, column)) for column in range(len(table[0]))
    ]
    return [indent + "  ".join(_cell(cell, widths[i], i in right) for i, cell in enumerate(row)) for row in table]


def _spills(row: Sequence[str], column: int) -> bool:
    """A cell with nothing after it may run on."""
    return column > 0 and len(row) > column + 1 and not any(row[column + 1 :])


def _cell(text: str, width: int, right: bool) -> str:
    return " " * (width - width_of(text)) + text if right else pad(text, width)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _LINE - 2, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
