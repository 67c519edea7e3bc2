"""What is the same for all rows of a file is put into an entity before its encoder is generated.

So a tenant's name in a key costs no more than a literal there, and rows with one are encoded by columns too. The plain
renderer looks it up for each row, and the tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from migrator.mapping.model import ColumnValue, Constant, Entity, Expression, ItemSpec, MapOf, Template
from migrator.mapping.templates import encodable, fill, is_of_file


def fill_entity(entity: Entity, texts: Mapping[str, str]) -> Entity:
    """The entity of one file. Children stay as they are: reads know them by what they say."""
    return replace(entity, items=tuple(_filled_item(item, texts) for item in entity.items))


def _filled_item(item: ItemSpec, texts: Mapping[str, str]) -> ItemSpec:
    return replace(
        item,
        key=tuple((name, _filled_template(template, texts)) for name, template in item.key),
        attributes=_filled_attributes(item.attributes, texts),
    )


def _filled_attributes(
    attributes: tuple[tuple[str, Expression], ...], texts: Mapping[str, str]
) -> tuple[tuple[str, Expression], ...]:
    return tuple((name, _filled(expression, texts)) for name, expression in attributes)


def _filled(expression: Expression, texts: Mapping[str, str]) -> Expression:
    match expression:
        case Template():
            return _filled_template(expression, texts)
        case MapOf(attributes):
            return MapOf(_filled_attributes(attributes, texts))
        case ColumnValue(filters=()) if is_of_file(expression):
            try:
                return Constant({"S": encodable(texts[expression.column])})
            except UnicodeEncodeError:
                return expression
    return expression


def _filled_template(template: Template, texts: Mapping[str, str]) -> Template:
    if not any(map(is_of_file, template.columns())):
        return template
    filled = fill(template, texts)
    # One that is empty as a whole is a matter for who decides about empty keys.
    return template if filled.parts == ("",) else filled
