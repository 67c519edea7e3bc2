"""The commands on SQLite files that need no plan: dump."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from migrator.cli.logs import log_options
from migrator.cli.outcome import show

_log = logging.getLogger("migrator.cli")

INCOMPLETE = 1


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--table",
    "tables",
    metavar="T",
    multiple=True,
    help="Only this table or view; may be given several times. Default: every ordinary table.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write to; it is made if it is missing.",
)
@log_options
def dump(source: Path, tables: tuple[str, ...], folder: Path) -> int:
    """Write tables as JSON lines that lose nothing: each value with its storage class.

    DIR gets a file for each table, the schema as SQL, and manifest.json, which tells what is where. SOURCE is only
    read. Exit code 1 means that a table could not be read and was left out.
    """
    from migrator.source.dump import open_dump

    with open_dump(source, tables) as opened:
        for finding in opened.findings:
            _log.warning("%s: %s: %s", source, finding.subject, finding.message)
        for each in opened.left_out:
            _log.warning("%s: table %s is left out: %s", source, each.name, each.reason)
        for table in opened.write(folder):
            show(f"{table.table.name}: {table.rows} rows -> {folder / table.file}")
        return INCOMPLETE if any(each.unreadable for each in opened.left_out) else 0
