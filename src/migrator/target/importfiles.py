"""Where import files are put: a folder, or a prefix of an S3 bucket. A file is there whole, or not at all.

Each table has a folder of its own there, since an import reads everything that lies under its prefix.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Protocol

from msgspec import Struct

from migrator.errors import StoppedError, UsageError
from migrator.target.backoff import ask
from migrator.target.session import TargetSettings, create_service_client
from migrator.wholefile import whole_file

_S3 = "s3://"


class Place(Protocol):
    """Files by their names, `TABLE/NAME`. Pickles: each worker goes there by itself."""

    def sizes(self, table: str) -> Mapping[str, int]:
        """The table's files, whosever they are, and their bytes. Raises StoppedError where nobody may look."""

    def sweep(self, table: str) -> None:
        """Remove what a killed worker left half written: an upload of the folder would take it along."""

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A file, put in its place at the end; one of that name is replaced. Raises StoppedError."""

    def remove(self, name: str) -> None:
        """A file, if it is there. Raises StoppedError."""


class Folder(Struct, frozen=True):
    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def sizes(self, table: str) -> Mapping[str, int]:
        with self._errors("read"):
            folder = self.path / table
            found = folder.iterdir() if folder.is_dir() else ()
            return {f"{table}/{file.name}": file.stat().st_size for file in found if not file.name.startswith(".")}

    def sweep(self, table: str) -> None:
        with self._errors("removed"):
            for part in (self.path / table).glob(".*.part"):
                part.unlink()

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        with self._errors("written"):
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path / name) as file:
                yield file

    def remove(self, name: str) -> None:
        with self._errors("removed"):
            (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoppedError(
                f"{error.filename or self.path}: cannot be {done}: {error.strerror}\n"
                "  Make room or give access, and run again to go on.",
                code="files_unwritable",
                retryable=True,
            ) from error


class Bucket(Struct, frozen=True):
    name: str
    prefix: str  #: without a slash at its ends
    target: TargetSettings

    def __str__(self) -> str:
        return f"{_S3}{self.name}{'/' * bool(self.prefix)}{self.prefix}"

    def key(self, name: str) -> str:
        """
        >>> Bucket("b", "some/where", TargetSettings()).key("orders/"), Bucket("b", "", TargetSettings()).key("orders/")
        ('some/where/orders/', 'orders/')
        """
        return f"{self.prefix}/{name}" if self.prefix else name

    def name_of(self, key: str) -> str:
        """A key's name in this place.

        >>> Bucket("b", "some/where", TargetSettings()).name_of("some/where/orders/000000-0.json.gz")
        'orders/000000-0.json.gz'
        """
        return key[len(self.key("")) :]

    def sizes(self, table: str) -> Mapping[str, int]:
        return self._listed(f"{table}/")

    def sweep(self, table: str) -> None:
        """An object is never there in part."""

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        with tempfile.TemporaryFile() as file:
            yield file

            def send(client: Any) -> None:
                file.seek(0)  # an earlier attempt may have read it
                client.put_object(Bucket=self.name, Key=self.key(name), Body=file)

            self._ask("write to", send)

    def remove(self, name: str) -> None:
        # Who may not delete may look, and nearly always there is nothing.
        if name in self._listed(name):
            self._ask("remove from", lambda client: client.delete_object(Bucket=self.name, Key=self.key(name)))

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """A file that is there. Raises StoppedError."""
        found = self._ask("read", lambda client: client.get_object(Bucket=self.name, Key=self.key(name)))
        with closing(found["Body"]) as body:
            yield body

    def _listed(self, beginning: str) -> dict[str, int]:
        def listed(client: Any) -> dict[str, int]:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.key(beginning))
            return {self.name_of(found["Key"]): found["Size"] for page in pages for found in page.get("Contents", ())}

        found: dict[str, int] = self._ask("look into", listed)
        return found

    def _ask(self, doing: str, call: Callable[[Any], Any]) -> Any:
        client = _s3_client(self.target)
        return ask(lambda: call(client), f"{doing} {self}")


class Files(Struct, frozen=True):
    """Where a worker puts files, and where what is not in order yet waits: in a folder, or in its temporary one."""

    place: Place
    scratch: Path | None


@lru_cache(maxsize=1)
def _s3_client(target: TargetSettings) -> Any:
    return create_service_client(target, "s3")


def place_of(via: str, target: TargetSettings) -> Folder | Bucket:
    """The place that a command line names. Raises UsageError.

    >>> print(place_of("s3://bucket/some/where/", TargetSettings()), place_of("/tmp/files", TargetSettings()))
    s3://bucket/some/where /tmp/files
    """
    if via.startswith(_S3):
        name, _, prefix = via.removeprefix(_S3).partition("/")
        if name:
            return Bucket(name, prefix.strip("/"), target)
    elif via and "://" not in via:
        return Folder(Path(via).absolute())
    raise UsageError(f'--via: "{via}" is no place\n  Name a folder, or s3://BUCKET/PREFIX.')
