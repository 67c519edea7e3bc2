import zlib

import pytest
from botocore.exceptions import ChecksumError, ClientError
from botocore.parsers import ResponseParserError

from migrator.target.answer import NOT_HTTP, Answer, AnswerReader, read_answer
from migrator.target.faults import Verdict, error_code, fault_of, words_of

BODY = b'{"UnprocessedItems": {}}'
HTML = b"<html><body><b>Http/1.1 Service Unavailable</b></body></html>"


def read(*parts):
    """The answer of a connection's bytes, and whether the connection ends with it; None among the parts hangs up."""
    reader = AnswerReader()
    for part in parts:
        if part is None:
            reader.end()
        else:
            reader.feed(part)
    return reader.answer, reader.ends_connection


WHOLE = b"HTTP/1.1 200 OK\r\nX-Amz-CRC32: 7\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    "sent",
    [
        WHOLE,
        b"HTTP/1.1 200 OK\r\nx-amz-crc32: 7\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
        WHOLE.replace(b": 7", b":\t7 \t"),
    ],
    ids=["with a length", "in chunks", "after 100 Continue", "with blanks about the checksum"],
)
def test_an_answer_may_come_in_any_pieces(sent):
    whole = Answer(200, b"7", b"{}"), False
    assert read(sent) == whole
    assert read(*(sent[n : n + 1] for n in range(len(sent)))) == whole
    for cut in range(1, len(sent)):
        assert read(sent[:cut]) == (None, False)
        assert read(sent[:cut], sent[cut:]) == whole


def test_an_answer_without_a_length_ends_with_the_connection():
    sent = b"HTTP/1.1 503 Busy\r\nServer: x\r\n\r\n<html>"
    assert read(sent) == (None, False)
    assert read(sent, None) == (Answer(503, b"", b"<html>"), True)
    assert read(WHOLE[:-1], None) == (None, True)
    assert read(WHOLE[:20], None) == (None, True)
    assert read(None) == (None, True)


@pytest.mark.parametrize(
    ("sent", "ends"),
    [
        (WHOLE, False),
        (WHOLE + WHOLE, True),
        (WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), True),
        (WHOLE.replace(b"1.1", b"1.0"), True),
    ],
    ids=["one", "two", "close", "HTTP/1.0"],
)
def test_some_answers_are_the_last_of_their_connection(sent, ends):
    assert read(sent) == (Answer(200, b"7", b"{}"), ends)


def test_a_reader_reads_one_answer_after_another():
    reader = AnswerReader()
    for status in (200, 400, 500):
        reader.expect()
        reader.feed(b"HTTP/1.1 %d X\r\nContent-Length: 3\r\n\r\n%d" % (status, status))
        assert reader.answer == Answer(status, b"", b"%d" % status)


@pytest.mark.parametrize(
    "sent", [b"SSH-2.0-x\r\n", b"\x15\x03\x01\0\2", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
def test_what_is_no_http_is_refused(sent):
    with pytest.raises(NOT_HTTP):
        read(sent)


def error_of(status, body):
    with pytest.raises(ClientError) as caught:
        read_answer("PutItem", Answer(status, b"", body))
    return caught.value


def test_the_checksum_is_that_of_the_body():
    crc32 = b"%d" % zlib.crc32(BODY)
    assert read_answer("PutItem", Answer(200, crc32, BODY)) == {"UnprocessedItems": {}}
    with pytest.raises(ChecksumError):
        read_answer("PutItem", Answer(200, crc32, BODY[:-1]))


def test_a_damaged_error_is_no_error_of_the_service():
    with pytest.raises(ChecksumError):
        read_answer("PutItem", Answer(400, b"1", b'{"__type": "ResourceNotFoundException"}'))


@pytest.mark.parametrize("body", [b"", b"{", HTML, b"[]", b"\xff"])
def test_an_answer_that_cannot_be_read_leaves_nothing_unprocessed_in_silence(body):
    with pytest.raises(ResponseParserError):
        read_answer("BatchWriteItem", Answer(200, b"", body))


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
