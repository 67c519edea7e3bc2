"""Every exit code of the contract: what is said, on which stream, and what is left alone. The engine hardly matters."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from door_faults import delay, deny, throttle

ROOT = Path(__file__).parents[2]
ROWS = 25
PLAN = Path("plan.yaml")  # commands run in the project's folder
MAPPING_TEXT = """\
version: 1
table: {name: shop, partition_key: PK, sort_key: SK}
entities:
  Order:
    source: orders
    key: {PK: "ORDER#{id}", SK: "AT#{placed_at}"}
    attributes: {total: total}
"""
PLAN_TEXT = """\
version: 1
name: shop
source: shop.sqlite
mappings: [mapping.yaml]
settings: {parallelism: 1}
"""
CLOSED = "http://127.0.0.1:9"  # nobody listens at the discard port
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+Z +[A-Z]+ .*\n")


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """One engine is enough here."""
    return os.environ.get("DYNAMODB_ENDPOINT") or request.getfixturevalue("dynalite_url")


@dataclasses.dataclass(frozen=True)
class Project:
    """A plan, a mapping and a source of 25 orders, all good until a test edits them."""

    folder: Path

    @property
    def source(self) -> Path:
        return self.folder / "shop.sqlite"

    def write(self) -> None:
        (self.folder / "mapping.yaml").write_text(MAPPING_TEXT, encoding="utf-8")
        (self.folder / "plan.yaml").write_text(PLAN_TEXT, encoding="utf-8")
        with closing(sqlite3.connect(self.source)) as db, db:
            db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at TEXT, total REAL)")
            rows = [(number, f"2026-01-{number:02d}", number * 1.5) for number in range(1, ROWS + 1)]
            db.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def set(self, setting: str) -> None:
        self.edit("plan.yaml", "settings: {", f"settings: {{{setting}, ")

    def execute(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.source)) as db, db:
            db.execute(statement, values)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write()
    return project


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A run that waits its 30 seconds while the other tests go on."""

    project: Project
    process: subprocess.Popen[str]
    before: dict[str, int]

    def stderr(self) -> str:
        """What it says in the end."""
        return said(self.process.communicate(timeout=60)[1])

    def times(self) -> dict[str, int]:
        return _times(self.project.folder)


def _times(folder: Path) -> dict[str, int]:
    # Only looked at: to open and close a file here would end this process's lock on it.
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}


@contextmanager
def _waiting(folder: Path) -> Iterator[Waiting]:
    before = _times(folder)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "src"),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_DYNAMODB": CLOSED,
    }
    with _start_in(folder, environment, "run", "plan.yaml") as process:
        try:
            yield Waiting(Project(folder), process, before)
        finally:
            process.kill()


@pytest.fixture(scope="module", autouse=True)
def unreachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    """Start the run with the first test; the last ones wait for it."""
    project = Project(tmp_path_factory.mktemp("unreachable"))
    project.write()
    project.set("connect_timeout: 1s")
    with _waiting(project.folder) as waiting:
        yield waiting


@pytest.fixture(scope="module", autouse=True)
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    """Hold the source as a writer does, from the first test on."""
    project = Project(tmp_path_factory.mktemp("locked"))
    project.write()
    with closing(sqlite3.connect(project.source, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with _waiting(project.folder) as waiting:
            yield waiting


def said(stderr: str) -> str:
    """Standard error without the log; never a traceback."""
    assert "Traceback" not in stderr
    assert "this is a bug" not in stderr
    return LOG_LINE.sub("", stderr)


def untouched(door: Any) -> bool:
    """Nobody asked the target for anything but what the tests' own client does."""
    return set(door.requests) <= {"ListTables"}


def found_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file and when it was written, but for the state folder and the report."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".migrator" not in path.parts]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files if path.name != "report.json"}


# ---- 2: wrong usage, or documents that are not valid


@pytest.mark.parametrize(
    ("command", "options", "expected"),
    [
        ("rum", (), "migrator: No such command 'rum'. Did you mean 'run'?\n"),
        ("run", ("--fast",), "migrator: No such option '--fast'.\n"),
        (
            "run",
            ("--entity", "Ordr"),
            'migrator: --entity: the plan has no entity "Ordr"\n  entities: Order.  Did you mean "Order"?\n',
        ),
    ],
)
def test_a_wrong_command_line(
    migrator: Any, project: Project, door: Any, command: str, options: tuple[str, ...], expected: str
) -> None:
    outcome = migrator(command, PLAN, *options)
    assert outcome.exit_code == 2
    assert re.sub(r"^Usage: .*\nTry .*\n", "", said(outcome.stderr)) == expected
    assert outcome.stdout == ""
    assert untouched(door)


DOCUMENTS = {
    "plan missing": (
        ("plan.yaml", None, ""),
        "plan.yaml: there is no such file\n",
    ),
    "plan not YAML": (
        ("plan.yaml", PLAN_TEXT, "{a: ["),
        "plan.yaml: line 1, column 6: is not valid YAML: expected the node content, but found '<stream end>' "
        "while parsing a flow node\n"
        '  text with { or } stands in quotes, as in PK: "USER#{id}"\n',
    ),
    "unknown key": (
        ("plan.yaml", "name: shop", "nam: shop"),
        'plan.yaml: unknown key "nam"\n'
        '  known: version, name, source, source_pattern, mappings, entities, target, settings.  Did you mean "name"?\n'
        'plan.yaml: the key "name" is missing\n',
    ),
    "mapping missing": (
        ("mapping.yaml", None, ""),
        "mapping.yaml: there is no such file\n",
    ),
    "wrong column": (
        ("mapping.yaml", "{placed_at}", "{placed}"),
        'mapping.yaml: entities.Order.key.SK: column "placed" is not in table "orders"\n'
        '  columns: id, placed_at, total.  Did you mean "placed_at"?\n',
    ),
    "several problems": (
        ("mapping.yaml", "{total: total}", "{sum: totl, placedAt: placd_at}"),
        'mapping.yaml: entities.Order.attributes.sum: column "totl" is not in table "orders"\n'
        '  columns: id, placed_at, total.  Did you mean "total"?\n'
        'mapping.yaml: entities.Order.attributes.placedAt: column "placd_at" is not in table "orders"\n'
        '  columns: id, placed_at, total.  Did you mean "placed_at"?\n',
    ),
    "several keys": (
        ("mapping.yaml", "attributes: {total: total}", "nuls: keep\n    attributes: {total: total|lowr}"),
        'mapping.yaml: entities.Order: unknown key "nuls"\n'
        '  known: source, where, key, attributes, items, columns, nulls, rules.  Did you mean "nulls"?\n'
        'mapping.yaml: entities.Order.attributes.total: there is no filter "lowr". Did you mean "lower"?\n',
    ),
    "table of the source missing": (
        ("mapping.yaml", "source: orders", "source: order"),
        'mapping.yaml: entities.Order.source: table "order" is not in shop.sqlite\n'
        '  tables: orders.  Did you mean "orders"?\n',
    ),
    "variable not set": (
        ("mapping.yaml", "name: shop", "name: '${SHOP_TABLE}'"),
        "mapping.yaml: table.name: the environment variable SHOP_TABLE is not set\n"
        "  set it, or give a default: ${SHOP_TABLE:-…};  $${ is a literal ${\n",
    ),
    "template as a map": (
        ("mapping.yaml", '"ORDER#{id}"', "{id}"),
        'mapping.yaml: entities.Order.key.PK: is a map: to YAML, { } is a map\n  quote a template, as in PK: "{id}"\n',
    ),
    "template that is empty": (
        ("mapping.yaml", 'key: {PK: "ORDER#{id}", SK: "AT#{placed_at}"}', 'key:\n      PK: "{id}"\n      SK: #META'),
        "mapping.yaml: entities.Order.key.SK: is empty: to YAML, # begins a comment and {} a map\n"
        '  quote a template, as in "#META"\n',
    ),
}


@pytest.mark.parametrize(("edit", "expected"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_that_is_not_valid(
    migrator: Any, project: Project, door: Any, edit: tuple[str, str | None, str], expected: str
) -> None:
    file, old, new = edit
    if old is None:
        (project.folder / file).unlink()
    else:
        project.edit(file, old, new)
    outcome = migrator("run", PLAN)
    assert outcome.exit_code == 2
    assert said(outcome.stderr) == expected
    assert (outcome.stdout, outcome.report) == ("", {})
    assert untouched(door)


# ---- 3: the source


def _missing(source: Path) -> None:
    source.unlink()


def _folder(source: Path) -> None:
    source.unlink()
    source.mkdir()


def _zero_bytes(source: Path) -> None:
    source.write_bytes(b"")


def _text(source: Path) -> None:
    source.write_text("hello, this is no database\n" * 100, encoding="utf-8")


def _truncated(source: Path) -> None:
    os.truncate(source, 4096)


def _damaged_page(source: Path) -> None:
    damaged = bytearray(source.read_bytes())
    damaged[4096:4196] = b"\xff" * 100
    source.write_bytes(damaged)


RESCUE = "restore it from a backup, or rescue what can be read: sqlite3 FILE .recover | sqlite3 NEW"
SOURCES = [
    (_missing, "source_missing", "there is no such file", "check the path; in a plan, it starts at the plan's folder"),
    (_folder, "source_folder", "this is a folder", "name the SQLite file in it"),
    (
        _zero_bytes,
        "source_empty",
        "the file is empty (zero bytes)",
        "check how it was made: a copy may have failed",
    ),
    (
        _text,
        "source_not_sqlite",
        "this is not a SQLite file, or it is encrypted",
        "name a SQLite 3 database; decrypt it first if it is an encrypted one",
    ),
    (_truncated, "source_damaged", "the file is damaged: truncated, 4096 of 8192 bytes are there", RESCUE),
    (_damaged_page, "source_damaged", "the file is damaged: database disk image is malformed", RESCUE),
]


@pytest.mark.parametrize("command", ["run", "analyze"])
@pytest.mark.parametrize(("spoil", "code", "what", "advice"), SOURCES, ids=[case[0].__name__ for case in SOURCES])
def test_a_source_that_cannot_be_read_is_named_and_left_alone(
    migrator: Any,
    project: Project,
    door: Any,
    command: str,
    spoil: Callable[[Path], None],
    code: str,
    what: str,
    advice: str,
) -> None:
    spoil(project.source)
    before = found_in(project.folder)
    outcome = migrator(command, PLAN if command == "run" else project.source)
    assert outcome.exit_code == 3
    assert said(outcome.stderr) == f"migrator: {project.source}: {what}\n  {advice}\n"
    assert found_in(project.folder) == before
    assert untouched(door)
    if command == "run":
        assert (outcome.report["status"], outcome.report["exit_code"]) == ("failed", 3)
        assert outcome.report["error"]["code"] == code


# ---- 3: the target


def _create(dynamodb: Any, sort_key: str = "SK") -> None:
    keys = {"PK": "HASH", sort_key: "RANGE"}
    dynamodb.create_table(
        TableName="shop",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
    )
    dynamodb.get_waiter("table_exists").wait(TableName="shop", WaiterConfig={"Delay": 0.1, "MaxAttempts": 100})


def _stopped(outcome: Any, code: str, retryable: bool) -> str:
    assert (outcome.exit_code, outcome.report["status"], outcome.report["exit_code"]) == (3, "failed", 3)
    assert (outcome.report["error"]["code"], outcome.report["error"]["retryable"]) == (code, retryable)
    return said(outcome.stderr)


def test_a_table_that_is_missing_and_never_created(migrator: Any, project: Project, door: Any) -> None:
    project.set("create_table: never")
    assert _stopped(migrator("run", PLAN), "table_missing", retryable=False) == (
        "migrator: table shop does not exist\n"
        "  Create it with `migrator table create PLAN`, or set settings.create_table: if_missing.\n"
    )
    assert not door.requests["CreateTable"]


def test_a_table_of_another_key_schema(migrator: Any, project: Project, dynamodb: Any, door: Any) -> None:
    _create(dynamodb, sort_key="OTHER")
    assert _stopped(migrator("run", PLAN), "table_mismatch", retryable=False) == (
        "migrator: table shop is not the one that the mapping describes:\n"
        "  sort_key: should be SK (S), is OTHER (S)\n"
        "  Name another table in the mapping, or mend its table: block.\n"
    )
    assert not door.writes


def test_access_denied_at_the_first_look(migrator: Any, project: Project, door: Any) -> None:
    door.faults.append(deny(None, ["DescribeTable"]))
    assert _stopped(migrator("run", PLAN), "access_denied", retryable=False) == (
        'migrator: describe table "shop": not authorized (AccessDeniedException)\n'
        "  allow this identity the named action on the table, or use another profile\n"
    )


def test_access_denied_at_the_first_write(migrator: Any, project: Project, door: Any) -> None:
    door.faults.append(deny(None))
    outcome = migrator("run", PLAN)
    assert _stopped(outcome, "access_denied", retryable=False) == (
        'migrator: write to table "shop": not authorized (AccessDeniedException)\n'
        "  allow this identity the named action on the table, or use another profile\n"
    )
    assert outcome.report["totals"]["written"] == 0


def test_throttled_for_good(migrator: Any, project: Project, door: Any) -> None:
    project.set("give_up_after: 2s")
    door.faults.append(throttle(None))
    outcome = migrator("run", PLAN)
    assert _stopped(outcome, "throttled", retryable=True) == (
        'migrator: write to table "shop": The level of configured provisioned throughput for the table was exceeded. '
        "(ProvisionedThroughputExceededException)\n"
        "  lower settings: write_rate, or give the table more capacity; then run again\n"
    )
    assert outcome.report["requests"]["throttled"] > 1


@pytest.mark.parametrize(
    ("setting", "nulls", "rule"),
    [("on_reject: stop", 1, "on_reject: stop"), ("max_rejects: 2", 3, "max_rejects: 2")],
)
def test_more_rejects_than_the_plan_allows(
    migrator: Any, project: Project, setting: str, nulls: int, rule: str
) -> None:
    project.set(setting)
    project.execute("UPDATE orders SET placed_at = NULL WHERE id BETWEEN 3 AND 2 + ?", nulls)
    outcome = migrator("run", PLAN)
    assert _stopped(outcome, "too_many_rejects", retryable=False) == (
        f"migrator: {nulls} rows were rejected, and the plan says {rule}\n"
        f"  They are in {outcome.report['rejects']}. Mend the rows or the mapping, and begin afresh with --restart;\n"
        "  or allow more, and run again to go on.\n"
    )
    assert len(Path(outcome.report["rejects"]).read_text(encoding="utf-8").splitlines()) == nulls


def test_as_many_rejects_as_the_plan_allows(migrator: Any, project: Project) -> None:
    project.set("max_rejects: 2")
    project.execute("UPDATE orders SET placed_at = NULL WHERE id IN (3, 4)")
    assert migrator("run", PLAN).exit_code == 1


# ---- 4: differences


DIFFERENCES = {
    "missing": '  missing: Order PK "ORDER#7", SK "AT#2026-01-07"\n',
    "extra": '  extra: Order PK "ORDER#700", SK "AT#2026-01-07"\n',
    "different": '  different: Order PK "ORDER#7", SK "AT#2026-01-07"\n'
    '    total: source {"N": "10.5"}, table {"N": "99"}\n',
}


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_verify_finds_what_is_not_as_the_source_says(migrator: Any, project: Project, dynamodb: Any, kind: str) -> None:
    assert migrator("run", PLAN).exit_code == 0
    key = {"PK": {"S": "ORDER#7"}, "SK": {"S": "AT#2026-01-07"}}
    if kind == "missing":
        dynamodb.delete_item(TableName="shop", Key=key)
    elif kind == "extra":
        dynamodb.put_item(TableName="shop", Item=key | {"PK": {"S": "ORDER#700"}})
    else:
        dynamodb.put_item(TableName="shop", Item=key | {"total": {"N": "99"}})
    outcome = migrator("verify", PLAN)
    assert outcome.exit_code == 4
    assert said(outcome.stderr) == ""
    assert outcome.stdout.startswith("verify of plan shop: 1 difference\n")
    assert outcome.stdout.endswith(f"\ndifferences:\n{DIFFERENCES[kind]}\naccess patterns: 0 of 0 agree\n")


@pytest.mark.parametrize("command", ["check", "table check"])
def test_a_table_that_differs_from_its_definition(migrator: Any, project: Project, dynamodb: Any, command: str) -> None:
    _create(dynamodb)
    index = "global_indexes: {GSI1: {partition_key: GSI1PK, projection: ALL}}"
    project.edit("mapping.yaml", "sort_key: SK", f"sort_key: SK, {index}")
    project.edit("mapping.yaml", "{total: total}", "{total: total, GSI1PK: placed_at}")
    first, *rest = command.split()
    alone = dataclasses.replace(migrator, environment={**migrator.environment, "AWS_ENDPOINT_URL_STS": CLOSED})
    outcome = alone(first, *map(Path, rest), PLAN)
    assert outcome.exit_code == 4
    assert said(outcome.stderr) == ""
    assert "  global_indexes.GSI1: should be GSI1PK (S) ALL, is absent\n" in outcome.stdout


# ---- 5: locked


def test_another_run_holds_the_lock(migrator: Any, project: Project, door: Any) -> None:
    lock = project.folder / ".migrator" / "shop.lock"
    lock.parent.mkdir()
    holder = {"pid": 4711, "host": "batch-1", "since": "2026-11-21T10:00:00+00:00"}
    lock.write_text(json.dumps(holder), encoding="utf-8")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        outcome = migrator("run", PLAN)
    assert outcome.exit_code == 5
    assert said(outcome.stderr) == (
        'migrator: plan "shop" is being run by process 4711 on batch-1 since 2026-11-21T10:00:00+00:00\n'
        f"  Wait until it has ended, or set settings.lock_wait. The lock is {lock}.\n"
    )
    assert untouched(door)


# ---- 1: finished, with rejected rows or failed items


def test_a_rejected_row_takes_no_neighbour_with_it(migrator: Any, project: Project, scan: Any) -> None:
    project.execute("UPDATE orders SET placed_at = NULL WHERE id = 7")
    outcome = migrator("run", PLAN)
    assert (outcome.exit_code, outcome.report["status"]) == (1, "completed_with_rejects")
    assert said(outcome.stderr) == ""
    assert outcome.report["rejects"] in outcome.stdout
    (line,) = map(json.loads, Path(outcome.report["rejects"]).read_text(encoding="utf-8").splitlines())
    assert (line["entity"], line["row"], line["column"]) == ("Order", {"id": {"N": "7"}}, "placed_at")
    assert line["code"] == "null_key"
    assert len(scan("shop")) == ROWS - 1


def test_an_item_that_the_service_refuses_fails_alone_in_the_services_words(
    migrator: Any, project: Project, door: Any, scan: Any
) -> None:
    project.set("validate: false")
    project.execute("UPDATE orders SET total = ? WHERE id = 7", "x" * 410_000)
    outcome = migrator("run", PLAN)
    assert (outcome.exit_code, outcome.report["status"]) == (1, "completed_with_rejects")
    assert said(outcome.stderr) == ""
    assert outcome.report["failed"] in outcome.stdout
    assert (outcome.entity("Order")["written"], outcome.entity("Order")["failed"]) == (ROWS - 1, 1)
    (line,) = map(json.loads, Path(outcome.report["failed"]).read_text(encoding="utf-8").splitlines())
    assert door.refused[-1].message in json.dumps(line)
    assert ("ORDER#7", "AT#2026-01-07") not in scan("shop")
    assert len(scan("shop")) == ROWS - 1


# ---- 130 and 143: stopped by a signal


def _start(migrator: Any, *arguments: str) -> subprocess.Popen[str]:
    """The same command, not waited for, with its whole process tree in a group of its own."""
    return _start_in(migrator.folder, migrator.environment, *arguments)


def _start_in(folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "migrator", *arguments],
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _await(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


def _is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("number", "send"), [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)], ids=["Ctrl-C", "scheduler"]
)
def test_a_signal_stops_the_run_and_leaves_no_process_behind(
    migrator: Any, project: Project, door: Any, scan: Any, number: int, send: Callable[[int, int], None]
) -> None:
    # Two entities make two segments, and so two worker processes.
    copy = MAPPING_TEXT.partition("entities:\n")[2].replace("Order:", "Copy:").replace("ORDER#", "COPY#")
    (project.folder / "mapping.yaml").write_text(MAPPING_TEXT + copy, encoding="utf-8")
    project.edit("plan.yaml", "parallelism: 1", "parallelism: 2, batch_size: 1, connections: 1")
    door.faults.append(delay(0.3))
    run = _start(migrator, "run", "plan.yaml", "--report", "report.json")
    try:
        _await(lambda: door.requests["BatchWriteItem"] > 2, "nothing is written")
        send(run.pid, number)
        _stdout, stderr = run.communicate(timeout=10)
        _await(lambda: _is_gone(run.pid), "a process of the run is still there", 5)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert run.returncode == 128 + number
    assert said(stderr) == "migrator: stopped by a signal; run the same command again\n"
    report = json.loads((project.folder / "report.json").read_text(encoding="utf-8"))
    assert (report["status"], report["exit_code"]) == ("interrupted", 128 + number)
    assert (report["error"]["code"], report["error"]["retryable"]) == ("interrupted", True)
    assert 0 < report["totals"]["written"] == len(scan("shop")) < 2 * ROWS
    door.faults.clear()
    resumed = migrator("run", PLAN)
    assert (resumed.exit_code, resumed.report["resumed"]) == (0, True)
    assert resumed.report["run_id"] == report["run_id"]
    assert resumed.report["totals"]["written"] == len(scan("shop")) == 2 * ROWS


# ---- the traceback is for those who ask


@pytest.mark.parametrize("spoilt", ["plan.yaml", "shop.sqlite"])
def test_the_debug_log_adds_the_traceback(migrator: Any, project: Project, spoilt: str) -> None:
    (project.folder / spoilt).unlink()
    outcome = migrator("run", PLAN, "--log-level", "debug")
    assert outcome.exit_code == (2 if spoilt == "plan.yaml" else 3)
    assert "Traceback (most recent call last)" in outcome.stderr
    assert outcome.stderr.rstrip().splitlines()[-1 if spoilt == "plan.yaml" else -2].endswith("there is no such file")


def test_the_debug_log_adds_the_traceback_of_what_a_writer_met(migrator: Any, project: Project, door: Any) -> None:
    door.faults.append(deny(None))
    outcome = migrator("run", PLAN, "--log-level", "debug")
    assert outcome.exit_code == 3
    assert 'migrator.errors.TargetError: write to table "shop": not authorized' in outcome.stderr
    assert "Traceback (most recent call last)" in outcome.stderr


# ---- what takes its 30 seconds


def test_a_source_that_stays_locked(locked: Waiting) -> None:
    stderr = locked.stderr()
    assert locked.process.returncode == 3
    assert stderr == (
        f"migrator: {locked.project.source}: another program holds the file locked: database is locked\n"
        "  run again when it is done\n"
    )
    assert locked.times() == locked.before


def test_an_endpoint_that_nobody_answers_at(unreachable: Waiting) -> None:
    stderr = unreachable.stderr()
    assert unreachable.process.returncode == 3
    assert stderr == (
        f'migrator: describe table "shop": Could not connect to the endpoint URL: "{CLOSED}/" '
        "(EndpointConnectionError)\n"
        "  check target: endpoint_url and region, the network and its proxy\n"
    )
    assert unreachable.times() == unreachable.before
