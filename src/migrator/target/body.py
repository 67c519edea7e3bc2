"""The fast body of BatchWriteItem requests.

More than half of botocore's time goes into walking each item again, to check and to copy it (docs/design.md, "Speed").
Items here were checked by `mapping.validate`, so two documented event hooks let json write the body directly;
signing, sending and reading the answer stay botocore's.
"""

from __future__ import annotations

import json
from typing import Any

from migrator.target.batch import to_base64

_BODY = "migrator_batch_body"
# botocore still sees one table and one item, which its checks and its endpoint rules take.
_STAND_IN: list[dict[str, Any]] = [{"PutRequest": {"Item": {}}}]


def encode(parameters: dict[str, Any]) -> bytes:
    """A request body as JSON.

    >>> encode({"RequestItems": {"t": [{"PutRequest": {"Item": {"PK": {"B": b"a"}}}}]}})
    b'{"RequestItems":{"t":[{"PutRequest":{"Item":{"PK":{"B":"YQ=="}}}}]}}'
    """
    return json.dumps(parameters, default=to_base64, ensure_ascii=False, separators=(",", ":")).encode()


def install(client: Any) -> None:
    """Let this client send BatchWriteItem requests whose body is written here."""
    client.meta.events.register("before-parameter-build.dynamodb.BatchWriteItem", _take_items)
    client.meta.events.register("before-call.dynamodb.BatchWriteItem", _put_body)


def _take_items(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context[_BODY] = encode(params)
    params["RequestItems"] = dict.fromkeys(params["RequestItems"], _STAND_IN)


def _put_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    params["body"] = context.pop(_BODY)
