"""Our signatures against botocore's, which is the reference."""

import time

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from migrator.target.endpoint import Endpoint
from migrator.target.sigv4 import Signer

MOMENT = 1_763_719_445  # 2025-11-21T10:04:05Z


def botocores(credentials, region, url, operation, body, timestamp):
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
    request = AWSRequest("POST", url, headers, body)
    request.context["timestamp"] = timestamp
    signer = SigV4Auth(credentials, "dynamodb", region)
    signer._modify_request_before_signing(request)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    signer._inject_signature_to_request(request, signature)
    return request.headers["Authorization"]


def ours(credentials, region, url, operation, body, moment_s):
    endpoint = Endpoint(url, region)
    lines = Signer(credentials, region, endpoint.host, endpoint.path, lambda: moment_s).headers(operation, body)
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize("token", [None, "a/session+token==", "with  two spaces"])
@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-east-1"])
@pytest.mark.parametrize(
    "url",
    [
        "https://dynamodb.eu-west-1.amazonaws.com",
        "http://127.0.0.1:8000",
        "http://LOCALHOST:80/",
        "https://[::1]:8443/a/../b c/%20",
        "https://example.org:443/path/",
    ],
)
def test_the_signature_is_botocores(url, region, token):
    credentials = Credentials("AKID", "secret/+", token)
    headers = ours(credentials, region, url, "PutItem", b'{"a":1}', MOMENT + 0.9)
    theirs = botocores(credentials, region, url, "PutItem", b'{"a":1}', "20251121T100405Z")
    assert headers["X-Amz-Date"] == "20251121T100405Z"
    assert headers["Authorization"] == theirs
    assert headers.get("X-Amz-Security-Token") == token


text = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1)


@given(text, text, st.none() | text, st.binary(), st.integers(0, 4_000_000_000))
def test_whatever_is_signed(access_key, secret_key, token, body, moment_s):
    credentials = Credentials(access_key, secret_key, token)
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment_s))
    url = "http://localhost:8000"
    headers = ours(credentials, "here", url, "BatchWriteItem", body, moment_s)
    assert headers["Authorization"] == botocores(credentials, "here", url, "BatchWriteItem", body, timestamp)


def test_a_key_is_not_used_beyond_its_day():
    credentials = Credentials("AKID", "secret")
    today, tomorrow = (
        ours(credentials, "here", "http://localhost", "PutItem", b"", moment)["Authorization"]
        for moment in (MOMENT, MOMENT + 86_400)
    )
    assert ("/20251121/" in today, "/20251122/" in tomorrow) == (True, True)
    assert tomorrow == botocores(credentials, "here", "http://localhost", "PutItem", b"", "20251122T100405Z")
