"""What an entity needs of its source: the columns, conditions and child rows to read, and where each stands then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from migrator.mapping.model import Children, ColumnValue, Entity, Expression, MapOf, SourceSpec, Template
from migrator.source.read import ChildRead, Read
from migrator.source.relation import Relation
from migrator.source.rows import Layout, layout_of

RelationOf = Callable[[SourceSpec], Relation]


def to_read(entity: Entity, relation_of: RelationOf) -> Read:
    """The read of a bound entity: all names in it are exact."""
    expressions = list(iter_expressions(entity))
    columns = dict.fromkeys([*column_names(expressions), *(rule.column for rule in entity.rules)])
    return Read(
        relation=relation_of(entity.source),
        columns=tuple(columns),
        where=entity.where,
        conditions=tuple(item.where for item in entity.items if item.where),
        children=tuple(_child_read(child, relation_of) for child in children_of(expressions)),
    )


def iter_expressions(entity: Entity) -> Iterator[Expression]:
    """Every expression of an entity's items, keys first."""
    for item in entity.items:
        yield from (template for _, template in item.key)
        yield from (expression for _, expression in item.attributes)
        yield from (column for _, column in item.rest)


def column_names(expressions: Iterable[Expression]) -> Iterator[str]:
    """The columns of this level that expressions use: not those of child rows, but those that children match."""
    for expression in expressions:
        match expression:
            case ColumnValue(builtin=False):
                yield expression.column
            case Template():
                yield from column_names(expression.columns())
            case MapOf():
                yield from column_names(value for _, value in expression.attributes)
            case Children():
                yield from (parent for _, parent in expression.match)


def children_of(expressions: Iterable[Expression]) -> tuple[Children, ...]:
    """The child sources of this level, each once, in order."""
    found: list[Children] = []
    for expression in expressions:
        if isinstance(expression, MapOf):
            nested = children_of(value for _, value in expression.attributes)
        else:
            nested = (expression,) if isinstance(expression, Children) else ()
        found.extend(child for child in nested if child not in found)
    return tuple(found)


def child_expressions(child: Children) -> list[Expression]:
    """What is rendered of each child row."""
    own = [child.name, child.value]
    return [*(value for _, value in child.attributes), *(expression for expression in own if expression is not None)]


def _child_read(child: Children, relation_of: RelationOf) -> ChildRead:
    expressions = child_expressions(child)
    return ChildRead(
        relation=relation_of(child.source),
        match=child.match,
        columns=tuple(dict.fromkeys(column_names(expressions))),
        where=child.where,
        order_by=child.order_by,
        children=tuple(_child_read(nested, relation_of) for nested in children_of(expressions)),
        rowid=any(map(_asks_for_rowid, expressions)),
    )


def _asks_for_rowid(expression: Expression) -> bool:
    match expression:
        case ColumnValue(column="rowid", builtin=True):
            return True
        case Template():
            return any(map(_asks_for_rowid, expression.columns()))
        case MapOf(attributes):
            return any(_asks_for_rowid(value) for _, value in attributes)
    return False


class RawRows(Struct, frozen=True):
    """One level of rows as they are read, the entity's own or child rows."""

    children: tuple[Children, ...]  #: whose rows they hold, as `read` has them
    read: Read | ChildRead
    layout: Layout

    @classmethod
    def of(cls, entity: Entity, read: Read) -> RawRows:
        return cls(children_of(iter_expressions(entity)), read, layout_of(read))

    @property
    def places(self) -> Mapping[str, int]:
        return dict(zip(self.read.columns, self.layout.values, strict=True))

    def below(self, child: Children) -> tuple[int, RawRows]:
        """Where a row holds its rows of this child source, and what these are."""
        position = self.children.index(child)
        place, layout = self.layout.children[position]
        return place, RawRows(children_of(child_expressions(child)), self.read.children[position], layout)
