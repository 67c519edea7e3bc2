"""Where a segment's items go: to the table, through a file that keeps what they replace, or to a file for an import.

In a dry run they go nowhere.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct

from migrator.mapping.encoded import EncodedItem, EncodedItems, index_entry_sizes
from migrator.mapping.model import TableDefinition
from migrator.run.comparing import LedgerUse
from migrator.run.keeping import KeepingSink
from migrator.run.scan import get_items
from migrator.run.segment import Segment, Unit
from migrator.run.undo import part_file
from migrator.run.worker import WORKER
from migrator.target.backoff import RetryPolicy, ask
from migrator.target.endpoint import Endpoint
from migrator.target.importfiles import Files
from migrator.target.outcome import WriteResult
from migrator.target.session import TargetSettings, create_client, open_session
from migrator.target.tablefound import describe
from migrator.target.transport import Transport
from migrator.target.writer import Writer

#: What was cut off may be cut off again soon: a resumed run has less under way when it is.
RESUMED_WINDOW_S = 0.25


class WriteOptions(Struct, frozen=True):
    """How a worker writes. With neither endpoint nor files it is a dry run, which sends nothing."""

    target: TargetSettings
    endpoint: Endpoint | None
    on_existing: Literal["replace", "skip", "error"]
    batch_size: int
    policy: RetryPolicy
    resumed: bool = False  #: an earlier part of the run was cut off, and this one may be, too: little is under way
    may_be_repeated: bool = False  #: an earlier try, cut off, may have written any of the items
    in_parts: bool = True  #: hand back what was done every few seconds, so that it can be recorded
    undo: Path | None = None  #: the folder where what is replaced is kept first
    ledger: LedgerUse | None = None  #: only what differs from it is sent
    files: Files | None = None  #: instead of an endpoint: write files for an import


class Sink(Protocol):
    """Takes encoded items; close() says what became of them."""

    @property
    def is_full(self) -> bool:
        """Whether it takes no more, so that the rest of the segment needs another one."""

    def put(self, items: Sequence[EncodedItem]) -> None: ...

    def close(self) -> WriteResult: ...


class CountingSink:
    """The dry run's sink: every item counts as one that would be written."""

    is_full = False

    def __init__(self, table: TableDefinition) -> None:
        self._table = table
        self._result = WriteResult()

    def put(self, items: Sequence[EncodedItem]) -> None:
        columns = EncodedItems.of(items)
        self._result.written += len(items)
        self._result.bytes += columns.size_bytes
        self._result.write_units += sum(columns.units)
        if self._table.indexes:
            entries = [size for item in items for size in index_entry_sizes(item, self._table)]
            self._result.index_entries += len(entries)
            self._result.index_bytes += sum(entries)

    def close(self) -> WriteResult:
        return self._result


def open_sink(segment: Segment, options: WriteOptions) -> Sink:
    """The sink of a segment, or of a part of it. close() it before its counts are believed."""
    table = segment.unit.table
    if options.files is not None:
        from migrator.run.viasink import FileSink  # of an extra

        return FileSink(options.files, segment, again=options.may_be_repeated)
    if options.endpoint is None:
        return CountingSink(table)
    writer = _writer(segment.unit, options, options.endpoint)
    if options.undo is None:
        return writer
    asking = partial(ask, policy=options.policy, stop=WORKER.is_stopped)
    return KeepingSink(
        writer,
        table,
        part_file(options.undo, segment.number, segment.done),
        lambda keys: get_items(_client(options.target), table, keys, asking),
        replaces=options.on_existing == "replace",
    )


def _writer(unit: Unit, options: WriteOptions, endpoint: Endpoint) -> Writer:
    table = unit.table
    return Writer(
        _KEPT.transport(endpoint, options.target),
        table,
        describe=lambda: describe(_client(options.target), table.name),
        governor=WORKER.governors.get(table.name),
        on_existing=options.on_existing,
        batch_size=options.batch_size,
        policy=options.policy,
        maybe_applied=options.may_be_repeated,
        distinct=unit.proved,
        window_s=RESUMED_WINDOW_S if options.resumed else None,
        stop=WORKER.is_stopped,
    )


class _Kept(threading.local):
    """For all segments of a worker, so that connections are kept. A transport works in one thread alone."""

    def __init__(self) -> None:
        self.client = lru_cache(maxsize=1)(create_client)
        self.transport = lru_cache(maxsize=1)(_open_transport)


def _open_transport(endpoint: Endpoint, target: TargetSettings) -> Transport:
    return Transport(endpoint, open_session(target).get_credentials())


_KEPT = _Kept()


def _client(target: TargetSettings) -> Any:
    """Made only where something is to be asked that is not written."""
    return _KEPT.client(target)
