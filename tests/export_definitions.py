"""Definitions to export: what ships, and one that says everything a `table:` block can say."""

from __future__ import annotations

from pathlib import Path

from migrator.mapping.document import load_mapping
from migrator.mapping.model import TableDefinition

PROJECT = Path(__file__).resolve().parents[1]
SHIPPED = sorted((PROJECT / "mappings").glob("*.yaml"))

EVERYTHING = """
  name: ${STAGE:-dev}-OrderHistory
  partition_key: {id: N}
  sort_key: {at: B}
  global_indexes:
    by-owner: {partition_key: owner, sort_key: {at: B}, projection: [note, total], capacity: {read: 7, write: 8}}
    ByState: {partition_key: state, projection: KEYS_ONLY}
  local_indexes:
    by-total: {sort_key: {total: N}}
  billing_mode: {read: 3, write: 4}
  warm_throughput: {read: 13000, write: 5000}
  time_to_live: expires
  point_in_time_recovery: true
  encryption: {kms_key: "alias/${STAGE:-dev}-orders"}
  deletion_protection: true
  table_class: STANDARD_INFREQUENT_ACCESS
  contributor_insights: true
  stream: NEW_AND_OLD_IMAGES
  tags: {Project: 'a "quoted" $${word}', Stage: "${STAGE:-dev}", cost:center: "x-${STAGE:-dev}-1", Nothing: ""}
"""

SILENT = """
  name: sessions
  partition_key: id
"""


def defined(folder: Path, *blocks: str) -> list[TableDefinition]:
    """Give the definitions of mappings with these `table:` blocks."""
    return [_loaded(folder / f"mapping_{n}.yaml", block) for n, block in enumerate(blocks)]


def _loaded(path: Path, block: str) -> TableDefinition:
    path.write_text(f"version: 1\ntable:{block}items: []\nentities: {{}}\n")
    return load_mapping(path).table
