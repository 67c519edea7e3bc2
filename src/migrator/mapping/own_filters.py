"""Filters of the user's own: Python functions that a mapping names by module and function."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

from migrator.errors import RowRejected
from migrator.mapping.containers import to_set
from migrator.mapping.conversions import Argument
from migrator.mapping.values import FilteredValue, to_attribute_value


@lru_cache(maxsize=256)
def load_function(path: str) -> Callable[..., Any]:
    """`module.function` of the user's. Raises ImportError with the reason."""
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise ImportError(f"{path!r} names no module: write python:module.function")
    function = getattr(importlib.import_module(module_name), name, None)
    if not callable(function):
        raise ImportError(f"module {module_name} has no function {name}")
    return function  # type: ignore[no-any-return]  # callable() is all that can be known of it


def call_own(value: FilteredValue, path: str, *arguments: Argument) -> FilteredValue:
    """The user's function on the value; what it raises rejects the row, and so does what DynamoDB cannot hold."""
    try:
        result = load_function(path)(value, *arguments)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        _fail(path, error)
    if isinstance(result, tuple):
        result = list(result)
    elif isinstance(result, set | frozenset):
        # Sorted, since a set's order changes from process to process.
        result = to_set(sorted(result, key=lambda member: (str(type(member)), member)))
    to_attribute_value(result)
    return result  # type: ignore[no-any-return]  # to_attribute_value has refused anything else


def _fail(path: str, error: Exception) -> NoReturn:
    raise RowRejected("filter_failed", f"python:{path} raised {type(error).__name__}: {error}") from error
