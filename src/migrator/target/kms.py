"""Which KMS key an alias means: DescribeTable tells a key's ARN, and people write aliases."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from migrator.errors import TargetError
from migrator.target.backoff import BRIEF, ask
from migrator.target.session import TargetSettings, create_service_client
from migrator.target.tablefound import stand_together

#: A key's id, ARN or alias -> its ARN. Raises TargetError where KMS does not tell.
FindKey = Callable[[str], str]


def no_kms(key: str) -> str:
    """The finder where there is no KMS to ask."""
    raise TargetError(f"there is no KMS to ask for {key}", code="no_kms")


def key_finder(settings: TargetSettings, client: Any) -> FindKey:
    """Ask the KMS that stands beside `client`'s DynamoDB, each key once."""
    if settings.local:
        return no_kms

    @cache
    def find(key: str) -> str:
        kms = create_service_client(settings, "kms")
        if not stand_together(kms, client):
            return no_kms(key)
        answer = ask(lambda: kms.describe_key(KeyId=key), f"look up {key} in KMS", policy=BRIEF)
        return str(answer["KeyMetadata"]["Arn"])

    return find
