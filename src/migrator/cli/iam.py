"""`migrator iam`: the rights that a plan needs, as an IAM policy."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import click

from migrator.cli.logs import log_options
from migrator.cli.options import opened_plan, plan_argument
from migrator.cli.outcome import show

_log = logging.getLogger("migrator.cli")


def _account(_context: click.Context, _parameter: click.Parameter, account: str | None) -> str | None:
    if account is not None and not re.fullmatch(r"[0-9]{12}", account):
        raise click.BadParameter(f"{account} is no AWS account: twelve digits")
    return account


#: The keys of `run.permissions.COMMANDS`, which --help must not import; a test holds them equal.
COMMANDS = (
    "run",
    "verify",
    "check",
    "retry",
    "rollback",
    "table create",
    "table show",
    "table check",
    "table clear",
)


@click.command()
@plan_argument
@click.option(
    "--for",
    "commands",
    type=click.Choice(COMMANDS),
    metavar="COMMAND",
    multiple=True,
    default=("run",),
    show_default=True,
    help=f"What is to be allowed; may be given several times: {', '.join(COMMANDS)}.",
)
@click.option(
    "--account",
    metavar="ID",
    callback=_account,
    help="The account of the tables. Default: that of target: role_arn, else the policy leaves it open.",
)
@click.option("--caller", is_flag=True, help="Print the policy of who takes target: role_arn on, not the role's.")
@log_options
def iam(plan_path: Path, commands: tuple[str, ...], account: str | None, caller: bool) -> None:
    """Print the smallest IAM policy that a plan needs, as JSON.

    Computed from plan and mappings; AWS is not asked. Each statement names its purpose. A plan with
    create_table: never needs no right to make a table, one without verify: none to read items.
    """
    from migrator.run.permissions import plan_policy
    from migrator.target.permissions import assume_policy

    with opened_plan(plan_path) as plan:
        role = plan.target.role_arn
        document = assume_policy(plan.target) if caller else plan_policy(plan, commands, account)
    if role and not caller:
        _log.info("this is for %s; who takes it on needs what --caller prints", role)
    show(json.dumps(document, indent=2))
