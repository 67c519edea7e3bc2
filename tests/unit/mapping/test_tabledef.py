"""How a table's encryption is written; the rest of the block is read in test_document.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.errors import DocumentError
from migrator.mapping.document import load_mapping

MAPPING = """
version: 1
table:
  name: orders
  partition_key: PK
  encryption: {}
entities: {{Order: {{source: orders, key: {{PK: id}}}}}}
"""


def encryption(folder: Path, written: str) -> str | None:
    path = folder / "orders.yaml"
    path.write_text(MAPPING.format(written), encoding="utf-8")
    return load_mapping(path).table.encryption


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("AWS_OWNED", "AWS_OWNED"),
        ("AWS_MANAGED", "AWS_MANAGED"),
        ("{kms_key: alias/shop}", "alias/shop"),
        ("{kms_key: arn:aws:kms:eu-west-1:111122223333:key/1234}", "arn:aws:kms:eu-west-1:111122223333:key/1234"),
        ("{kms_key: alias/aws/dynamodb}", "AWS_MANAGED"),
        ("{kms_key: arn:aws:kms:eu-west-1:111122223333:alias/aws/dynamodb}", "AWS_MANAGED"),
    ],
)
def test_an_encryption_is_an_owner_or_a_key(tmp_path: Path, written: str, meant: str) -> None:
    assert encryption(tmp_path, written) == meant


def test_another_word_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="must be AWS_OWNED or AWS_MANAGED"):
        encryption(tmp_path, "AWS_OWNDE")


def test_a_block_without_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="kms_key"):
        encryption(tmp_path, "{key: alias/shop}")
