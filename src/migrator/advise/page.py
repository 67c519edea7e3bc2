"""HTML pages that stand alone: templates in, one file out, which asks no network and runs no script.

A page holds data of strangers. Every value is escaped by Jinja2, and the page's own policy (base.html) forbids scripts
and everything from elsewhere, should a value ever slip through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from migrator.advise.formats import FORMATS
from migrator.advise.shown import printable, to_shown
from migrator.extras import require_extra
from migrator.target.forecast import duration_words, money_words, size_words

if TYPE_CHECKING:
    from jinja2 import Environment

_VALUE_WIDTH = 40


def render(template: str, **values: Any) -> str:
    """A page of a template in pages/ and what it is to show."""
    return _environment().get_template(template).render(**values)


def require_page() -> None:
    """Find out before the work is done that pages cannot be written here. Raises UsageError."""
    require_extra("html", "a page", "jinja2", "py_mini_racer")


@cache
def _environment() -> Environment:
    require_page()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("migrator.advise", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _FILTERS
    return environment


def _share(value: float) -> str:
    r"""
    >>> _share(0.5), _share(0.999), _share(0.0004), _share(1), _share(0)
    ('50\xa0%', '99.9\xa0%', 'under 0.1\xa0%', '100\xa0%', '0\xa0%')
    """
    if 0 < value < 0.001:
        return "under 0.1\N{NO-BREAK SPACE}%"
    percent = f"{value * 100:.1f}".removesuffix(".0")
    return f"{percent}\N{NO-BREAK SPACE}%"


def _shown(value: Any) -> str:
    """
    >>> _shown(None), _shown("a\\x00")
    ('NULL', '"a\\\\x00"')
    """
    return "NULL" if value is None else to_shown(value, _VALUE_WIDTH)


def _count(value: float) -> str:
    """
    >>> _count(12345), _count(1.5), _count(2.0)
    ('12,345', '1.5', '2')
    """
    return f"{value:,.1f}".removesuffix(".0")


def _short(count: int) -> str:
    """A count over a narrow bar.

    >>> _short(950), _short(12_345), _short(3_400_000)
    ('950', '12k', '3M')
    """
    if count >= 1_000_000:
        return f"{count / 1_000_000:.0f}M"
    return f"{count / 1_000:.0f}k" if count >= 10_000 else f"{count:,}"


_FILTERS: Mapping[str, Callable[..., str]] = {
    "printable": printable,
    "shown": _shown,
    "count": _count,
    "short": _short,
    "format_words": FORMATS.__getitem__,
    "share": _share,
    "bytes": size_words,
    "duration": duration_words,
    "money": money_words,
}
