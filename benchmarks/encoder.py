"""CPU microseconds a row, from SQLite to the wire: generated encoders against the plain renderer.

    .venv/bin/python -m benchmarks.encoder [ROWS]

Process time, the best of several turns: what else runs on the machine hardly counts.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from benchmarks.case import Case
from benchmarks.cases import NARROW, NESTED, NINE
from migrator.errors import RowRejected
from migrator.mapping.bind import bind, relation_of
from migrator.mapping.compile import EntityEncoder, compile_entity
from migrator.mapping.document import load_mapping
from migrator.mapping.encoded import encode_item
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.reads import to_read
from migrator.mapping.render import EntityRenderer
from migrator.source.connection import connect
from migrator.source.read import WHOLE
from migrator.source.reflection import reflect_schema
from migrator.source.rows import RawRow, iter_batches, iter_rows
from migrator.source.snapshot import take_snapshot

TURNS = 15


def measure(case: Case, rows: int, folder: Path) -> None:
    source, mapping_file = folder / f"{case.name}.sqlite", folder / f"{case.name}.yaml"
    case.make_source(source, rows)
    mapping_file.write_text(case.mapping, "utf-8")
    mapping = load_mapping(mapping_file)
    with connect(take_snapshot(source)) as connection:
        schema = reflect_schema(connection, str(source))
        (entity,) = bind(mapping, schema, connection).entities
        read = to_read(entity, lambda spec: relation_of(spec, schema, connection))
        context = RenderContext(0, source.name, source.stem)
        renderer = EntityRenderer(entity, read, mapping.table, context)
        encoder = compile_entity(entity, read, mapping.table, context, identities=False)

        batches = iter_batches(connection, read, WHOLE)
        batch = [next(batches), next(batches)][1]
        refuse_rejects(encoder.encode_rows(batch))

        def encode_plainly() -> None:
            for row in map(encoder.layout.row, batch):
                for _, item in renderer.render(row).items:
                    encode_item(item, mapping.table)

        figures = [
            best(lambda: exhaust(iter_rows(connection, read, WHOLE))) / rows,
            best(lambda: exhaust(iter_batches(connection, read, WHOLE))) / rows,
            best(encode_plainly) / len(batch),
            best(lambda: encoder.encode_rows(batch)) / len(batch),
            best(lambda: by_columns(encoder, batch)) / len(batch),
        ]
    print(f"| {case.name} | " + " | ".join(f"{figure * 1e6:.2f}" for figure in figures) + " |")


def best(turn: Callable[[], object]) -> float:
    """CPU seconds of the best turn."""
    return min(map(partial(timed, turn), range(TURNS)))


def timed(turn: Callable[[], object], _: int) -> float:
    began = time.process_time()
    turn()
    return time.process_time() - began


def by_columns(encoder: EntityEncoder, batch: list[RawRow]) -> None:
    items = encoder.encode_items(batch)
    if items is None:
        raise SystemExit("the rows were not encoded by columns")
    _ = items.size_bytes  # as a run asks it, of all of them


def exhaust(rows: Iterable[object]) -> None:
    for _ in rows:
        pass


def refuse_rejects(outcomes: Iterable[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, RowRejected):
            raise SystemExit(f"a row was rejected: {outcome}")


def main() -> None:
    rows = int(sys.argv[1]) if sys.argv[1:] else 20_000
    print("| table | read, row by row | read, batches | encode, plain | encode, generated | encode, by columns |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for case in (NINE, NARROW, NESTED):
            measure(case, rows, Path(folder))


if __name__ == "__main__":
    main()
