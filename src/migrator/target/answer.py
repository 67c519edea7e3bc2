"""What came back over HTTP: a document, or the exception that botocore's client would raise for it.

So everything that meets an error reads one table, `target.faults`, whichever client made the request.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

import orjson
from botocore.exceptions import ChecksumError, ClientError
from botocore.parsers import ResponseParserError

# To ignore the case costs more than to lower it.
_CRC32 = re.compile(rb"^x-amz-crc32:[ \t]*(\d+)", re.MULTILINE)


def read_answer(operation: str, status: int, head: bytes, body: bytes) -> dict[str, Any]:
    """The answer's document; raises ClientError, ChecksumError or ResponseParserError.

    >>> read_answer("PutItem", 200, b"x-amz-crc32: 2745614147", b"{}")
    {}
    >>> read_answer("PutItem", 400, b"", b'{"__type": "x#Throttling", "message": "slower"}')
    Traceback (most recent call last):
    ...
    botocore.exceptions.ClientError: An error occurred (Throttling) when calling the PutItem operation: slower
    """
    _check_crc32(head, body)
    document = _parse(body)
    if status >= 300:
        raise _error(operation, status, document)
    if document is None:
        # An answer that cannot be read must not pass for one that left nothing unprocessed.
        raise ResponseParserError(f"the answer to {operation} is not a JSON object")
    return document


def _check_crc32(head: bytes, body: bytes) -> None:
    found = _CRC32.search(head.lower())
    if found and int(found[1]) != (actual := zlib.crc32(body)):
        raise ChecksumError(checksum_type="crc32", expected_checksum=int(found[1]), actual_checksum=actual)


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:  # also bytes that are not UTF-8
        return None
    return document if isinstance(document, dict) else None


def _error(operation: str, status: int, document: Mapping[str, Any] | None) -> ClientError:
    """A page of a proxy, or a bare 413, has no code but its status."""
    said = document or {}
    # "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", and with a page's address after a colon
    code = str(said.get("__type") or status).partition(":")[0].rpartition("#")[2]
    message = said.get("message") or said.get("Message") or f"HTTP status {status}"
    response = {
        **said,
        "Error": {"Code": code, "Message": str(message)},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, operation)
