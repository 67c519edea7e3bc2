"""Write docs/cli.md from the commands' own --help; with --check, only say whether it is up to date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from migrator.cli.app import app

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 100

HEAD = """# The commands

This page is written by `make docs` from the commands' own `--help`; do not edit it.
"""


def iter_helps(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """A command's full name and its help, then those of its subcommands in the order of the command tree."""
    settings = command.context_settings | {"terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from iter_helps(child, child.name or "", context)


def render() -> str:
    sections = (f"## {name}\n\n```\n{text}\n```\n" for name, text in iter_helps(app, "migrator"))
    return "\n".join([HEAD, *sections])


def main(check: bool) -> int:
    fresh = render()
    if not check:
        PAGE.write_text(fresh, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == fresh:
        return 0
    print("docs/cli.md is stale: run `make docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
