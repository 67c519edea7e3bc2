"""A client whose answers are left as they stand on the wire: DynamoDB JSON, read by a fast parser and not walked.

botocore walks each answer by the service's model, which takes several times as long as reading it. Everything else is
botocore's: credentials, signing, sending, the errors and the CRC32 of each answer.
"""

from __future__ import annotations

from typing import Any

import orjson
from botocore.parsers import JSONParser, ResponseParserFactory

from migrator.mapping.wirejson import from_wire
from migrator.target.session import TargetSettings, client_of, open_session


def create_raw_client(settings: TargetSettings) -> Any:
    """For Scan: binary values in its items stay base64 text, as `canonical.digest` and `key_text` take them, too."""
    session = open_session(settings)
    session.register_component("response_parser_factory", _RawParsers())
    return client_of(session, settings)


class _RawParser(JSONParser):  # type: ignore[misc]  # botocore has no types
    def _do_parse(self, response: Any, shape: Any) -> Any:
        parsed = orjson.loads(response["body"])
        if key := parsed.get("LastEvaluatedKey"):
            parsed["LastEvaluatedKey"] = from_wire(key)  # goes back into a request, which encodes binary again
        self._inject_response_metadata(parsed, response["headers"])
        return parsed


class _RawParsers(ResponseParserFactory):  # type: ignore[misc]  # botocore has no types
    def create_parser(self, protocol_name: str) -> Any:
        return _RawParser(**self._defaults) if protocol_name == "json" else super().create_parser(protocol_name)
