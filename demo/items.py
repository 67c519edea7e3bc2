"""Show some migrated items: the partition of the embedded table that holds most of them.

usage: python demo/items.py PLAN
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from migrator.run.plan import load_plan
from migrator.target.embedded import embedded, local_target
from migrator.target.session import create_client

SHOWN = 8


def main(plan_path: Path) -> None:
    plan = load_plan(plan_path)
    table = plan.mappings[0].table
    with embedded(Path(plan.settings.state_dir)) as url:
        client = create_client(replace(plan.target, **local_target(url)))
        print_fullest_partition(client, table.name, [key.name for key in table.key_attributes])


def print_fullest_partition(client: Any, table: str, key_names: list[str]) -> None:
    partition_key = key_names[0]
    pages = client.get_paginator("scan").paginate(TableName=table)
    sizes = Counter(item[partition_key]["S"] for page in pages for item in page["Items"])
    fullest, count = sizes.most_common(1)[0]
    print(f'{table}: {sizes.total()} items; the {count} with {partition_key} = "{fullest}":\n')
    answer = client.query(
        TableName=table,
        KeyConditionExpression="#key = :key",
        ExpressionAttributeNames={"#key": partition_key},
        ExpressionAttributeValues={":key": {"S": fullest}},
        Limit=SHOWN,
    )
    for item in answer["Items"]:
        print_item(item, key_names)


def print_item(item: dict[str, Any], key_names: list[str]) -> None:
    to_python = TypeDeserializer().deserialize
    print("  ".join(f"{name} {to_python(item[name])}" for name in key_names))
    for name in sorted(item.keys() - set(key_names)):
        print(f"    {name}: {to_python(item[name])}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
