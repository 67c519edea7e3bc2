"""The command that writes a mapping and a plan: suggest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrator.cli.logs import log_options
from migrator.cli.outcome import show
from migrator.errors import UsageError
from migrator.limits import TABLE_NAME_PATTERN

if TYPE_CHECKING:
    from migrator.advise.design import Design

_HEAD = '# Made by "migrator suggest" ({}). It is replaced by the next one unless it was edited.\n'
_MADE = re.compile(re.escape(_HEAD.strip()).replace(r"\{\}", r"([0-9a-f]{16})") + "\n")


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--table", "table_name", metavar="NAME", required=True, help="What the DynamoDB table is to be called.")
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    default=Path("."),
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write to; it is made if it is missing.  [default: the current one]",
)
@click.option(
    "--style",
    type=click.Choice(["single-table", "table-per-entity"]),
    default="single-table",
    show_default=True,
    help="One table for all entities, or one each, called NAME-entity.",
)
@click.option("--force", is_flag=True, help="Replace files that were not made by suggest, or were edited since.")
@log_options
def suggest(source: Path, table_name: str, folder: Path, style: str, force: bool) -> int:
    """Write a mapping and a plan that migrate every table of a SQLite file as they are.

    Looks at every value of SOURCE and decides keys, item collections, indexes and access patterns by what is there.
    Each decision stands beside what it is about, with its reason. SOURCE is only read.
    """
    from migrator.advise.design import STYLES
    from migrator.advise.design_text import design_text
    from migrator.advise.suggest import suggest_file

    if not re.fullmatch(TABLE_NAME_PATTERN, table_name):
        raise UsageError(f"--table: {table_name!r} is no name DynamoDB takes: 3 to 255 letters, digits, _ . and -")
    _check_replaceable(folder / "plan.yaml", force)  # found out before the work is done, not after
    design = suggest_file(source, table_name, STYLES[STYLES.index(style)])
    written = _write(design, folder, force)
    show(design_text(design))
    for path in written:
        show(f"wrote {path}")
    return 0


def _write(design: Design, folder: Path, force: bool) -> list[Path]:
    """The mappings first: a plan that is there names what is there."""
    from migrator.advise.design_yaml import design_files
    from migrator.wholefile import whole_file

    files: Mapping[str, str] = design_files(design, folder)
    for name in files:
        _check_replaceable(folder / name, force)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as stream:
            stream.write(f"{_HEAD.format(_digest(content))}{content}".encode())
    return [folder / name for name in files]


def _check_replaceable(path: Path, force: bool) -> None:
    """A file of somebody's own, or one that was edited, is worth more than a suggestion."""
    if force or not path.exists():
        return
    content = path.read_text(encoding="utf-8", errors="replace")
    made = _MADE.match(content)
    if made is None or made[1] != _digest(content[made.end() :]):
        why = "was edited since suggest made it" if made else "was not made by suggest"
        raise UsageError(f"{path} {why}\n  take another folder with -o, or --force to replace it")


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]
