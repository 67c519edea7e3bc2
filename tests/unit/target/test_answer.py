import zlib

import pytest
from botocore.exceptions import ChecksumError, ClientError
from botocore.parsers import ResponseParserError

from migrator.target.answer import read_answer
from migrator.target.faults import Verdict, error_code, fault_of, words_of

BODY = b'{"UnprocessedItems": {}}'
HTML = b"<html><body><b>Http/1.1 Service Unavailable</b></body></html>"


def error_of(status, body):
    with pytest.raises(ClientError) as caught:
        read_answer("PutItem", status, b"", body)
    return caught.value


@pytest.mark.parametrize("name", [b"x-amz-crc32", b"X-Amz-Crc32"])
def test_the_checksum_is_that_of_the_body(name):
    head = b"HTTP/1.1 200 OK\r\nserver: x\r\n%b: %d\r\n\r\n" % (name, zlib.crc32(BODY))
    assert read_answer("PutItem", 200, head, BODY) == {"UnprocessedItems": {}}
    with pytest.raises(ChecksumError):
        read_answer("PutItem", 200, head, BODY[:-1])


def test_a_damaged_error_is_no_error_of_the_service():
    with pytest.raises(ChecksumError):
        read_answer("PutItem", 400, b"x-amz-crc32: 1", b'{"__type": "ResourceNotFoundException"}')


@pytest.mark.parametrize("body", [b"", b"{", HTML, b"[]", b"\xff"])
def test_an_answer_that_cannot_be_read_leaves_nothing_unprocessed_in_silence(body):
    with pytest.raises(ResponseParserError):
        read_answer("BatchWriteItem", 200, b"", body)


@pytest.mark.parametrize(
    "kind",
    [
        "ThrottlingException",
        "com.amazonaws.dynamodb.v20120810#ThrottlingException",
        "ThrottlingException:http://internal.amazon.com/coral/com.amazon.coral.availability/",
        "com.amazon.coral.availability#ThrottlingException:http://internal.amazon.com/",
    ],
)
def test_the_code_is_found_however_it_is_written(kind):
    assert error_code(error_of(400, b'{"__type": "%b"}' % kind.encode())) == "ThrottlingException"


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (413, b"", Verdict.TOO_LARGE),
        (429, b"slow down", Verdict.THROTTLED),
        (503, HTML, Verdict.TRANSIENT),
        (500, b"", Verdict.TRANSIENT),
        (502, b"{}", Verdict.TRANSIENT),
        (403, HTML, Verdict.FINAL),
        (301, b"", Verdict.FINAL),
    ],
)
def test_an_error_without_a_code_goes_by_its_status(status, body, verdict):
    assert fault_of(error_of(status, body)).verdict is verdict


@pytest.mark.parametrize("name", [b"message", b"Message"])
def test_the_services_words_are_kept(name):
    assert words_of(error_of(400, b'{"__type": "x", "%b": "its words"}' % name)) == "its words"


def test_an_item_that_is_there_comes_with_the_refusal():
    error = error_of(400, b'{"__type": "ConditionalCheckFailedException", "Item": {"PK": {"S": "a"}}}')
    assert error.response["Item"] == {"PK": {"S": "a"}}
