"""What the embedded DynamoDB answers, written as it stands.

moto holds items as they go on the wire, but asks the service's model about each single value on its way out: five
sixths of what a Scan or a Query took. Only the server process imports this module.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import MapShape, StructureShape
from moto.core.serialize import BaseJSONSerializer

_moto_map: Callable[..., None] = BaseJSONSerializer._serialize_type_map
_moto_structure: Callable[..., None] = BaseJSONSerializer._serialize_type_structure
_VALUE = "AttributeValue"


def _write_map(serializer: Any, serialized: Any, value: Any, shape: MapShape, key: str) -> None:
    if shape.value.name != _VALUE:
        _moto_map(serializer, serialized, value, shape, key)
    else:
        serializer._default_serialize(serialized, _items(value), shape, key)


def _write_structure(serializer: Any, serialized: Any, value: Any, shape: StructureShape, key: str) -> None:
    if shape.name != _VALUE:
        _moto_structure(serializer, serialized, value, shape, key)
    else:
        serializer._default_serialize(serialized, _as_json(value), shape, key)


#: Methods of moto's serializer to put in the place of its own, by their names
QUICK_ANSWERS: Mapping[str, Callable[..., None]] = {
    "_serialize_type_map": _write_map,
    "_serialize_type_structure": _write_structure,
}


def _items(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _as_json(value) for name, value in attributes.items()}


def _as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    form = _FORMS.get(kind)
    return {kind: form(content) if form else content}


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")


_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "B": _base64,
    "BS": lambda members: list(map(_base64, members)),
    "L": lambda members: list(map(_as_json, members)),
    "M": _items,
}
