"""The descriptions of services that botocore brings: found by name and read fast, because each command waits for them.

botocore looks through the folders of its four hundred services for each description it loads, and decodes 1.9 MB of
JSON by Python's own module: more than half of what it takes to make a client.
"""

from __future__ import annotations

import gzip
from contextlib import suppress
from typing import Any

import botocore.loaders
import orjson
from botocore.exceptions import BotoCoreError


class BrokenModel(BotoCoreError):  # type: ignore[misc]  # botocore has no types
    """A description of the user's own, on AWS_DATA_PATH or in ~/.aws/models. botocore would raise a ValueError."""

    fmt = "{path} is no JSON ({reason})"


class ModelFiles(botocore.loaders.JSONFileLoader):  # type: ignore[misc]  # botocore has no types
    """As botocore's, whose class it is so that `exists` stays."""

    def load_file(self, file_path: str) -> Any:
        """What `file_path` has, which comes without its ending; None where there is no such file."""
        for path, opened in ((f"{file_path}.json", open), (f"{file_path}.json.gz", gzip.open)):
            with suppress(FileNotFoundError, NotADirectoryError), opened(path, "rb") as file:
                try:
                    return orjson.loads(file.read())
                except orjson.JSONDecodeError as error:
                    raise BrokenModel(path=path, reason=error) from error
        return None


class ServiceModels(botocore.loaders.Loader):  # type: ignore[misc]  # botocore has no types
    """Looks where `usual` does, AWS_DATA_PATH included. Its services are those that it was asked for.

    One that is not there is a DataNotFoundError.
    """

    FILE_LOADER_CLASS = ModelFiles

    def __init__(self, usual: botocore.loaders.Loader) -> None:
        super().__init__(usual.search_paths, include_default_search_paths=False)
        self._asked_for: set[str] = set()

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        self._asked_for.add(service_name)
        return super().load_service_model(service_name, type_name, api_version)

    def list_available_services(self, type_name: str) -> list[str]:
        return sorted(self._asked_for)
