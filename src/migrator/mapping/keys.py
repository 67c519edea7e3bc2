"""The value of a key: its template's text, by the type that the table declares."""

from __future__ import annotations

from collections.abc import Callable

from migrator.errors import RowRejected
from migrator.mapping.model import AttributeValue, ColumnValue, KeyType, Template
from migrator.mapping.templates import Lookup, column_value, is_null, render_text
from migrator.mapping.values import number_text


def key_renderer(
    name: str, template: Template, key_type: KeyType, *, required: bool
) -> Callable[[Lookup], AttributeValue | None]:
    """What renders a key: of an item here, of a question in `mapping.conditions`.

    A `required` key that is NULL or empty rejects the row; any other is None then.
    """
    placeholders = list(template.columns())
    single = template.parts[0] if len(template.parts) == 1 else None
    column = placeholders[0].column if placeholders else None

    def render(lookup: Lookup) -> AttributeValue | None:
        if key_type == "B" and isinstance(single, ColumnValue):
            value = column_value(single, lookup)
            if type(value) is bytes and value:
                return {"B": value}
            text = "" if value == b"" else render_text(template, lookup)
        else:
            text = render_text(template, lookup)
        if text:
            return _typed_key(name, text, key_type, column, required=required)
        if not required:
            return None
        if text is None:
            null = next(p.column for p in placeholders if is_null(column_value(p, lookup)))
            raise RowRejected("null_key", f"key {name} needs {null}, which is NULL", null)
        raise RowRejected("empty_key", f"key {name} is empty", column)

    return render


def _typed_key(name: str, text: str, key_type: KeyType, column: str | None, *, required: bool) -> AttributeValue:
    if key_type == "S":
        return {"S": text}
    if key_type == "B":
        return {"B": text.encode()}
    try:
        return {"N": number_text(text)}
    except RowRejected as error:
        code = "key_type" if required else "index_key_type"
        raise RowRejected(code, f"key {name} is declared as a number: {error.detail}", column) from error
