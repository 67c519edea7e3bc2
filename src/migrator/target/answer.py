"""What came back over HTTP: a document, or the exception that botocore's client would raise for it.

So everything that meets an error reads one table, `target.faults`, whichever client made the request.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from botocore.exceptions import ChecksumError, ClientError
from botocore.parsers import ResponseParserError
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_CRC32 = b"x-amz-crc32"
_FRAMING = (b"content-length", b"transfer-encoding")

#: What was read is no HTTP.
NOT_HTTP = (HttpParserError, HttpParserUpgrade)


class Answer(NamedTuple):
    status: int
    crc32: bytes  #: what the server says the body's is, if it does
    body: bytes


class AnswerReader:
    """Answers of one connection, one after another, out of its bytes. Methods named on_ are for httptools."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.expect()

    def expect(self) -> None:
        """Forget the last answer."""
        self.answer: Answer | None = None
        self.ends_connection = False
        self.has_begun = False
        self._has_head = False
        self._is_framed = False
        self._crc32 = b""
        self._body: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take more bytes in; `answer` is there when it is whole. Raises one of NOT_HTTP."""
        self.has_begun = True
        self._parser.feed_data(data)

    def end(self) -> None:
        """The server hung up, which ends an answer that does not say where it ends; of any other there is none then."""
        self.ends_connection = True
        if self._has_head and not self._is_framed:
            self._finish()

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == _CRC32:
            self._crc32 = value.strip()  # llhttp leaves what follows it
        elif name in _FRAMING:
            self._is_framed = True

    def on_headers_complete(self) -> None:
        self._has_head = self._parser.get_status_code() >= 200  # no "100 Continue"

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self.answer is not None:  # another one, which nobody asked for
            self.ends_connection = True
        elif self._has_head:
            self.ends_connection = not self._parser.should_keep_alive()
            self._finish()

    def _finish(self) -> None:
        self.answer = Answer(self._parser.get_status_code(), self._crc32, b"".join(self._body))


def read_answer(operation: str, answer: Answer) -> dict[str, Any]:
    """The answer's document; raises ClientError, ChecksumError or ResponseParserError.

    >>> read_answer("PutItem", Answer(200, b"2745614147", b"{}"))
    {}
    >>> read_answer("PutItem", Answer(400, b"", b'{"__type": "x#Throttling", "message": "slower"}'))
    Traceback (most recent call last):
    ...
    botocore.exceptions.ClientError: An error occurred (Throttling) when calling the PutItem operation: slower
    """
    status, crc32, body = answer
    if crc32:
        _check(crc32, body)
    document = _parse(body)
    if status >= 300:
        raise _error(operation, status, document)
    if document is None:
        # An answer that cannot be read must not pass for one that left nothing unprocessed.
        raise ResponseParserError(f"the answer to {operation} is not a JSON object")
    return document


def _check(crc32: bytes, body: bytes) -> None:
    actual = b"%d" % zlib.crc32(body)
    if crc32 != actual:
        raise ChecksumError(checksum_type="crc32", expected_checksum=crc32, actual_checksum=actual)


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
