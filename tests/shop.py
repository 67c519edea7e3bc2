"""A plan in a folder of its own and the table that it fills, for tests of whole runs inside this process."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conftest import new_client
from migrator.run.plan import load_plan


class Shop:
    """A plan in a folder of its own, and the table that it fills."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.table = f"engine-{uuid.uuid4().hex}"
        self.url = url
        self.client = new_client(url)

    def source(self, script: str, name: str = "shop.sqlite") -> None:
        database = sqlite3.connect(self.folder / name)
        database.executescript(script)
        database.close()

    def plan(
        self, *entities: str, items: str = "[]", source: str = "shop.sqlite", more: str = "", **settings: Any
    ) -> Any:
        body = "".join(f"  {entity}\n" for entity in entities)
        (self.folder / "shop.yaml").write_text(
            f"table: {{name: {self.table}, partition_key: PK, time_to_live: ttl}}\nitems: {items}\nentities:\n{body}"
        )
        given = {"parallelism": 1, "state_dir": "state"} | settings
        (self.folder / "plan.yaml").write_text(
            f"name: shop\nsource: {source}\nmappings: [shop.yaml]\n{more}\n"
            f"target: {{endpoint_url: '{self.url}', region: us-east-1}}\nsettings: {json.dumps(given)}\n"
        )
        return load_plan(self.folder / "plan.yaml")

    def items(self) -> dict[str, dict[str, Any]]:
        """Key -> the item's other attributes, in plain values."""
        found = self.client.scan(TableName=self.table, ConsistentRead=True)["Items"]
        plain = [{name: next(iter(value.values())) for name, value in item.items()} for item in found]
        return {item.pop("PK"): item for item in plain}


@contextmanager
def open_shop(folder: Path, url: str, *scripts: str) -> Iterator[Shop]:
    """A shop with this source; its table goes with it."""
    shop = Shop(folder, url)
    for script in scripts:
        shop.source(script)
    try:
        yield shop
    finally:
        if shop.table in shop.client.list_tables()["TableNames"]:
            shop.client.delete_table(TableName=shop.table)
        shop.client.close()
