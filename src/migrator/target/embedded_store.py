"""What the embedded DynamoDB keeps between commands: all of moto's tables in one file of JSON lines.

moto forgets everything when its process ends. So its tables are written down at the end and put back at the
start, through moto's own objects: 20 000 items take a second this way, and eight or more over HTTP.
One file, put in place by a rename, holds all tables: it is the state before or the state after, never a mixture.

Lines: {"format": 1}, then for each table {"table": …} and its {"item": …}, and at last {"end": number of items}.
Only the server process imports this module: moto comes with the extra `local`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from migrator.target.embedded_reads import iter_items
from migrator.wholefile import whole_file

FORMAT = 1


class DamagedStoreError(Exception):
    """The file was not written by this version of migrator, or not to its end."""


def save(path: Path) -> None:
    """Write down every table of every account and region."""
    with whole_file(path) as stream:
        for line in _iter_lines():
            stream.write(json.dumps(line, default=_to_plain, separators=(",", ":")).encode("ascii") + b"\n")


def restore(path: Path) -> None:
    """Put back what `save` wrote; nothing if it never did."""
    if not path.exists():
        return
    with path.open(encoding="ascii") as stream:
        try:
            _restore_lines(json.loads(line, object_hook=_to_binary) for line in stream)
        except (ValueError, KeyError, TypeError, StopIteration) as error:
            raise DamagedStoreError(
                f"{path}: not readable as saved tables ({error!r}); move it away to begin with none"
            ) from error


def _iter_lines() -> Iterator[dict[str, Any]]:
    items = 0
    yield {"format": FORMAT}
    for table in _tables():
        yield {"table": _describe(table)}
        for item in iter_items(table):
            items += 1
            yield {"item": item.attrs}
    yield {"end": items}


def _tables() -> Iterator[Table]:
    for account in dynamodb_backends.values():
        for backend in account.values():
            yield from backend.tables.values()


def _describe(table: Table) -> dict[str, Any]:
    return {
        "account": table.account_id,
        "region": table.region_name,
        "create": {
            "name": table.name,
            "schema": table.schema,
            "attr": table.attr,
            "throughput": table.throughput,
            "billing_mode": table.billing_mode,
            "indexes": [index.describe() for index in table.indexes],
            "global_indexes": [index.describe() for index in table.global_indexes],
            "streams": table.stream_specification,
            "sse_specification": table.sse_specification,
            "tags": table.tags,
            "deletion_protection_enabled": table.deletion_protection_enabled,
            "warm_throughput": table.warm_throughput,
        },
        # The creation time tells a resumed run that it meets the same table.
        "created_at": table.created_at.isoformat(),
        "ttl": table.ttl,
        "continuous_backups": table.continuous_backups,
        "latest_stream_label": table.latest_stream_label,
    }


def _to_plain(value: Any) -> Any:
    if isinstance(value, DynamoType):
        return {value.type: value.value}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} in a table of moto")


def _to_binary(value: dict[str, Any]) -> dict[str, Any]:
    """Give moto the bytes it had; a map's attribute that is called B or BS holds a dict, so it is left alone.

    >>> _to_binary({"B": "/w=="}), _to_binary({"B": {"S": "x"}})
    ({'B': b'\\xff'}, {'B': {'S': 'x'}})
    """
    match value:
        case {"B": str(text)} if len(value) == 1:
            return {"B": base64.b64decode(text)}
        case {"BS": [*texts]} if len(value) == 1:
            return {"BS": [base64.b64decode(text) for text in texts]}
    return value


def _restore_lines(lines: Iterator[dict[str, Any]]) -> None:
    if next(lines) != {"format": FORMAT}:
        raise ValueError("another format")
    table: Table | None = None
    items = 0
    for line in lines:
        if "item" in line and table is not None:
            _restore_item(table, line["item"])
            items += 1
        elif "table" in line:
            table = _restore_table(line["table"])
        elif line == {"end": items}:
            return
        else:
            raise ValueError("an unexpected line")
    raise ValueError("the end is missing")


def _restore_table(saved: dict[str, Any]) -> Table:
    backend: DynamoDBBackend = dynamodb_backends[saved["account"]][saved["region"]]
    table = backend.create_table(**saved["create"])
    table.created_at = datetime.fromisoformat(saved["created_at"])
    table.ttl = saved["ttl"]
    table.continuous_backups = saved["continuous_backups"]
    table.latest_stream_label = saved["latest_stream_label"]
    return table


def _restore_item(table: Table, attributes: dict[str, Any]) -> None:
    partition = DynamoType(attributes[table.hash_key_attr])
    sort = DynamoType(attributes[table.range_key_attr]) if table.range_key_attr else None
    item = Item(partition, sort, {})
    for name, value in attributes.items():
        # Past LimitedSizeDict's own method, which adds up the whole item at each attribute: moto accepted it once.
        dict.__setitem__(item.attrs, name, DynamoType(value))
    if sort is None:
        table.items[partition] = item  # type: ignore[assignment]  # as moto does without a sort key
    else:
        table.items[partition][sort] = item
