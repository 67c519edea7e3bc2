"""Show some migrated items: of the partition that holds the most kinds, one of each.

usage: python demo/items.py PLAN
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from msgspec.structs import replace

from migrator.run.plan import load_plan
from migrator.target.embedded import embedded, local_target
from migrator.target.session import create_client

WIDTH = 100


def main(plan_path: Path) -> None:
    plan = load_plan(plan_path)
    table = plan.mappings[0].table
    with embedded(Path(plan.settings.state_dir)) as url:
        client = create_client(replace(plan.target, **local_target(url)))
        print_richest_partition(client, table.name, [key.name for key in table.key_attributes])


def print_richest_partition(client: Any, table: str, key_names: list[str]) -> None:
    keys = [tuple(text_of(item[name]) for name in key_names) for item in iter_items(client, TableName=table)]
    # What stands before the first # of a sort key says what kind of item it is.
    kinds = Counter(partition for partition, _ in {(key[0], key[-1].split("#")[0]) for key in keys})
    sizes = Counter(key[0] for key in keys)
    richest = max(sizes, key=lambda partition: (kinds[partition], sizes[partition]))
    count = sizes[richest]
    print(f'{table} holds {len(keys)} items; {key_names[0]} "{richest}" has {count} of them, here one of each kind:\n')
    shown = set()
    for item in iter_items(client, TableName=table):
        kind = text_of(item[key_names[-1]]).split("#")[0]
        if text_of(item[key_names[0]]) == richest and kind not in shown:
            shown.add(kind)
            print_item(item, key_names)


def iter_items(client: Any, **scan: Any) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("scan").paginate(**scan):
        yield from page["Items"]


def text_of(value: dict[str, Any]) -> str:
    return str(next(iter(value.values())))


def print_item(item: dict[str, Any], key_names: list[str]) -> None:
    print("  ".join(f"{name} {text_of(item[name])}" for name in key_names))
    for name in sorted(item.keys() - set(key_names)):
        text = json.dumps(TypeDeserializer().deserialize(item[name]), default=plain, ensure_ascii=False)
        print(f"    {name}: {text if len(text) <= WIDTH else text[:WIDTH] + '…'}")


def plain(value: Any) -> int | float | str:
    """How JSON shows what it has no form for: numbers as numbers, sets and bytes as Python writes them."""
    if isinstance(value, Decimal):
        return int(value) if value % 1 == 0 else float(value)
    return str(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
