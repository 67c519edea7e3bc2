"""What several commands share: their options, and the way from a plan's path to a Plan."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec.structs import replace

from migrator.cli.logs import as_json
from migrator.errors import UsageError, known_names

if TYPE_CHECKING:
    from migrator.run.plan import Plan

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

plan_argument = click.argument("plan_path", metavar="PLAN", type=click.Path(path_type=Path))

local_option = click.option(
    "--local",
    is_flag=True,
    help="Work on an embedded DynamoDB instead of the plan's target: no account, no network. "
    "It keeps its tables in the state folder from one command to the next.",
)

cluster_option = click.option(
    "--cluster",
    metavar="local:N|tcp://HOST:PORT",
    help="Let the workers of a Dask cluster do the work: N processes here, or those of a scheduler.",
)

entity_option = click.option(
    "--entity",
    "entities",
    metavar="NAME",
    multiple=True,
    help="Only this entity; may be given several times.",
)


#: What stands for standard output where a file is asked for
STANDARD_OUTPUT = Path("-")


def _writable(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Found out before the work is done, not after."""
    if path is None or path == STANDARD_OUTPUT:
        return path
    if path.is_dir():
        raise click.BadParameter(f"{path} is a folder")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise click.BadParameter(f"{path} cannot be written: its folder is missing, or access is denied")
    return path


def file_option(*names: str, help: str) -> Callable[[_Decorated], _Decorated]:
    """An option that names a file to write, or STANDARD_OUTPUT."""
    return click.option(*names, metavar="FILE", type=click.Path(path_type=Path), callback=_writable, help=help)


output_option = file_option("-o", "--output", "output", help="Write the result to FILE instead of standard output.")
report_option = file_option(
    "--report", help="Also write the report, as JSON, to FILE; with - it is printed, in place of the text."
)


def report_file(report: Path | None) -> Path | None:
    """The file that `--report` names, if it is one."""
    return None if report == STANDARD_OUTPUT else report


prices_option = click.option(
    "--prices",
    "prices_file",
    metavar="FILE",
    envvar="MIGRATOR_PRICES",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="Forecast at the prices of this JSON file instead of those that migrator brings.",
)


@contextmanager
def opened_plan(path: Path, *, local: bool = False, cluster: str | None = None) -> Iterator[Plan]:
    """The plan; with `local`, aimed at an embedded DynamoDB that runs for as long as this is open."""
    from migrator.run.plan import load_plan

    plan = replace(load_plan(path), cluster=cluster)
    if not local:
        yield plan
        return
    from migrator.target.embedded import embedded, local_target

    with embedded(Path(plan.settings.state_dir)) as url:
        yield replace(plan, target=replace(plan.target, **local_target(url)))


def require_entities(plan: Plan, names: tuple[str, ...]) -> None:
    """Refuse an `--entity` that the plan does not have."""
    for name in names:
        if name not in plan.entity_names:
            known = known_names("entities", plan.entity_names, name)
            raise UsageError(f'--entity: the plan has no entity "{name}"\n  {known}')


def show_progress() -> bool:
    """Bars are for a person at a terminal; a collector of JSON lines has no use for them."""
    return sys.stderr.isatty() and not as_json()
