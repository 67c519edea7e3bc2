"""Tables for people who keep them in code: the definitions of a plan as text, in one of several formats.

No target is asked. What `table create` would send is in `tablerequests`, and every format is made from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from migrator.errors import UsageError
from migrator.mapping.model import TableDefinition
from migrator.target.export_cloudformation import to_cloudformation
from migrator.target.export_model import exported_tables
from migrator.target.export_terraform import to_terraform
from migrator.target.tablerequests import create_request, setting_requests


def export_tables(definitions: Sequence[TableDefinition], output_format: str, *, command: str, alarms: bool) -> str:
    """The tables as text; `command` is what a comment at its top says wrote it."""
    return FORMATS[output_format](definitions, command, alarms)


def _cloudformation(definitions: Sequence[TableDefinition], command: str, alarms: bool) -> str:
    return f"{_header(command)}\n\n{to_cloudformation(exported_tables(definitions), alarms=alarms)}"


def _terraform(definitions: Sequence[TableDefinition], command: str, alarms: bool) -> str:
    return f"{_header(command)}\n\n{to_terraform(exported_tables(definitions), alarms=alarms)}"


def _json(definitions: Sequence[TableDefinition], _command: str, alarms: bool) -> str:
    if alarms:
        raise UsageError(
            "--alarms: alarms are no requests to DynamoDB, which is all that json holds\n"
            "  leave it out, or use --format cloudformation or terraform"
        )
    tables = [{"CreateTable": create_request(each), **setting_requests(each)} for each in definitions]
    return json.dumps({"tables": tables}, ensure_ascii=False, indent=2)


#: Format -> definitions, command, with alarms or not -> text
FORMATS: Mapping[str, Callable[[Sequence[TableDefinition], str, bool], str]] = {
    "cloudformation": _cloudformation,
    "terraform": _terraform,
    "json": _json,
}


def _header(command: str) -> str:
    lines = [
        "DynamoDB tables from the mappings of a migrator plan, written by",
        *(f"  {line}" for line in command.splitlines()),
        "To change them, change the mappings and write this file again.",
    ]
    return "\n".join(f"# {line}" for line in lines)
