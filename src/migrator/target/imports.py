"""ImportTable: a new table out of the files in a bucket, begun once and watched to its end.

What a table's import is known by stands in a file beside the run's report before it begins: a run that is cut off
finds it again, and asking for it twice begins no second one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from migrator.errors import StoppedError, TargetError
from migrator.mapping.model import TableDefinition
from migrator.target.backoff import REAL_TIME, Patience, RetryPolicy, Timing, ask, never, pause
from migrator.target.faults import Verdict, error_code
from migrator.target.importfiles import Bucket
from migrator.target.tablerequests import import_request
from migrator.wholefile import whole_file

# A terabyte takes hours.
_IMPORTED = RetryPolicy(max_attempts=1_000_000, give_up_after_s=7 * 86_400.0, first_delay_s=0.2, longest_delay_s=20.0)
_UNDER_WAY = ("IN_PROGRESS", "CANCELLING")


class Import(Struct, frozen=True):
    """What DescribeImport tells. An item is processed, and then imported or an error."""

    arn: str
    status: str
    processed: int = 0
    imported: int = 0
    errors: int = 0
    log_group: str | None = None  #: its ARN
    failure: str | None = None

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Import:
        failure = ": ".join(filter(None, (described.get("FailureCode"), described.get("FailureMessage"))))
        return cls(
            arn=described["ImportArn"],
            status=described["ImportStatus"],
            processed=described.get("ProcessedItemCount") or 0,
            imported=described.get("ImportedItemCount") or 0,
            errors=described.get("ErrorCount") or 0,
            log_group=described.get("CloudWatchLogGroupArn"),
            failure=failure or None,
        )

    @property
    def is_under_way(self) -> bool:
        return self.status in _UNDER_WAY

    @property
    def is_through(self) -> bool:
        """It read what there was. An import that refused some of the items calls itself FAILED."""
        return self.status == "COMPLETED" or (self.status == "FAILED" and self.errors > 0)


class _Begun(Struct, frozen=True):
    """`token` makes beginning idempotent, for the hours until `arn` is known for certain."""

    token: str
    arn: str | None = None


class Imports:
    """The imports of a run, by table; `path` is the file that remembers them."""

    def __init__(self, client: Any, path: Path, *, timing: Timing = REAL_TIME) -> None:
        self._client = client
        self._path = path
        self._timing = timing
        begun = json.loads(path.read_bytes()) if path.exists() else {}
        self._begun = {table: _Begun(**each) for table, each in begun.items()}

    def begin(self, definition: TableDefinition, bucket: Bucket) -> None:
        """Begin the table's import, unless it has begun. Raises TargetError, code table_exists among them."""
        begun = self._begun.get(definition.name)
        if begun is not None and begun.arn is not None:
            return
        begun = begun or _Begun(secrets.token_hex(16))
        self._remember(definition.name, begun)
        prefix = bucket.key(f"{definition.name}/")
        request = import_request(definition, bucket.name, prefix, begun.token)
        try:
            answer = ask(
                lambda: self._client.import_table(**request),
                f'import table "{definition.name}" from {bucket}',
                timing=self._timing,
            )
        except TargetError as error:
            if error.__cause__ is not None and error_code(error.__cause__) == "ResourceInUseException":
                raise table_exists(definition.name) from error
            raise
        self._remember(definition.name, replace(begun, arn=answer["ImportTableDescription"]["ImportArn"]))

    def watch(
        self, table: str, progress: Callable[[Import], object], *, stop: Callable[[], bool] = never
    ) -> Import | None:
        """Wait until the table's import is through; None where `stop` says so before. Raises TargetError."""
        patience = Patience(_IMPORTED, self._timing.clock)
        while (found := self._describe(table)).is_under_way:
            progress(found)
            delay_s = patience.delay_s(Verdict.THROTTLED)
            if delay_s is None:
                raise TargetError(
                    f'the import of table "{table}" does not end: {found.arn}\n'
                    "  Look at it in the console, and run again to go on watching.",
                    code="import_unfinished",
                    retryable=True,
                )
            if not pause(delay_s, self._timing, stop):
                return None
        progress(found)
        if not found.is_through:
            self._remember(table, None)  # run again, it begins anew
            raise TargetError(
                f'the import of table "{table}" ended as {found.status}: {found.failure or "it does not say why"}\n'
                "  Mend that, delete the table if it is there now, and run again: the files are kept.",
                code="import_failed",
            )
        return found

    def _describe(self, table: str) -> Import:
        arn = self._begun[table].arn
        answer = ask(
            lambda: self._client.describe_import(ImportArn=arn),
            f'look after the import of table "{table}"',
            timing=self._timing,
        )
        return Import.of(answer["ImportTableDescription"])

    def _remember(self, table: str, begun: _Begun | None) -> None:
        self._begun.pop(table, None)
        if begun is not None:
            self._begun[table] = begun
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path) as file:
                file.write(json.dumps(to_builtins(self._begun), indent=2).encode())
        except OSError as error:
            raise StoppedError(f"{self._path}: cannot be written: {error.strerror}", code="state_unwritable") from error


def table_exists(name: str) -> TargetError:
    return TargetError(
        f'table "{name}" is there, and an import always makes a new one\n'
        "  Name another table in the mapping, delete this one, or run without --via to write to it.",
        code="table_exists",
    )
