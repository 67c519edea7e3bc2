"""Places of import files: what S3 answers, and what is sent again."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from migrator.errors import TargetError
from migrator.target import importfiles
from migrator.target.importfiles import Bucket
from migrator.target.session import TargetSettings

PLACE = Bucket("bucket", "some/where", TargetSettings())


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "the service's words"}}, "PutObject")


class S3:
    """Refuses so many requests, each after it has read the body, and keeps what the next one sends."""

    def __init__(self, *refusals: ClientError) -> None:
        self.objects: dict[str, bytes] = {}
        self._refusals = list(refusals)

    def put_object(self, Bucket: str, Key: str, Body: Any) -> None:  # noqa: N803
        content = Body.read()
        if self._refusals:
            raise self._refusals.pop(0)
        self.objects[Key] = content


def put(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importfiles, "_s3_client", lambda _: s3)
    with PLACE.writing("orders/000000-0.json.gz") as file:
        file.write(b"compressed")


def test_a_file_that_is_sent_again_is_sent_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = S3(refusal("SlowDown"), refusal("InternalError"))
    put(s3, monkeypatch)
    assert s3.objects == {"some/where/orders/000000-0.json.gz": b"compressed"}


@pytest.mark.parametrize(
    ("code", "ours"),
    [("AccessDenied", "access_denied"), ("NoSuchBucket", "bucket_missing"), ("ExpiredToken", "credentials_expired")],
)
def test_what_s3_refuses_for_good_is_told_with_the_place(code: str, ours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TargetError, match="write to s3://bucket/some/where: the service's words") as caught:
        put(S3(refusal(code)), monkeypatch)
    assert caught.value.code == ours
