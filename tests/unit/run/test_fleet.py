"""Many source files in one plan: which are left out, when that ends the command, and what is done once for all."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import uuid
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from msgspec.structs import replace

from fleet import damage
from migrator.errors import DocumentError, MigratorError, SourceError, StoppedError
from migrator.mapping import bind as bind_module
from migrator.run import bundles, fitting
from migrator.run.checks import check_plan
from migrator.run.engine import run_plan
from migrator.run.opened import OpenRun, open_run
from migrator.run.replay import retry_plan
from migrator.run.report import RunReport
from migrator.run.rollback import roll_back
from migrator.run.setaside import SetAside
from migrator.run.verify import verify_plan
from migrator.source.remote import fetch
from migrator.target.backoff import RetryPolicy, ask
from shop import Shop

PERSON = 'Person: {source: people, key: {PK: "{@stem}#{id}"}}'
PEOPLE = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); "
ANN = PEOPLE + "INSERT INTO people VALUES (1, 'Ann')"
#: A page of rows, so that damage to it leaves the schema whole.
MANY = (
    PEOPLE
    + "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO people SELECT i, 'x' FROM n"
)
MISFIT = "CREATE TABLE people (id INTEGER PRIMARY KEY, title TEXT); INSERT INTO people VALUES (1, 'Dr')"
NAMED = 'Person: {source: people, key: {PK: "{@stem}#{id}"}, attributes: {name: name|upper}}'


@pytest.fixture
def files(shop: Shop) -> Shop:
    """Two files that can be migrated."""
    for name in ("a", "b"):
        shop.source(MANY, f"{name}.sqlite")
    return shop


def plan(shop: Shop, *entities: str, **more: Any) -> Any:
    return shop.plan(*(entities or (NAMED,)), source='"*.sqlite"', **more)


def break_file(shop: Shop, name: str) -> None:
    damage(shop.folder / f"{name}.sqlite")


def left_out(report: RunReport) -> dict[str, str]:
    return {Path(file.path).stem: file.error.code for file in report.sources if file.error}


def stems(shop: Shop) -> set[str]:
    return {key.split("#")[0] for key in shop.items()}


# ---- which files are left out


def test_a_file_that_cannot_be_read_is_left_out(files: Shop) -> None:
    files.source(MANY, "broken.sqlite")
    break_file(files, "broken")
    (files.folder / "empty.sqlite").touch()
    (files.folder / "text.sqlite").write_text("no database " * 100)
    files.source(MISFIT, "misfit.sqlite")
    report = run_plan(plan(files))
    codes = {"broken": "source_damaged", "empty": "source_empty", "text": "source_not_sqlite", "misfit": "document"}
    assert (report.exit_code, left_out(report)) == (1, codes)
    assert stems(files) == {"a", "b"}


def test_one_that_is_named_and_missing_too(files: Shop) -> None:
    report = run_plan(files.plan(NAMED, source="[a.sqlite, none.sqlite]"))
    assert (report.exit_code, left_out(report)) == (1, {"none": "source_missing"})


def test_a_dry_run_leaves_out_the_same(files: Shop) -> None:
    files.source(MISFIT, "misfit.sqlite")
    report = run_plan(plan(files), dry_run=True)
    assert (report.exit_code, left_out(report)) == (1, {"misfit": "document"})


def test_all_that_does_not_fit_a_file_is_told(files: Shop) -> None:
    files.source("CREATE TABLE people (code TEXT)", "misfit.sqlite")
    (error,) = (file.error for file in run_plan(plan(files)).sources if file.error)
    assert error.message.count("entities.Person") == 2
    assert error.line.endswith('entities.Person.key.PK: column "id" is not in table "people" (and 1 more)')


def test_a_single_file_ends_the_run_as_ever(shop: Shop) -> None:
    shop.source(MISFIT, "a.sqlite")
    with pytest.raises(DocumentError, match='column "name"'):
        run_plan(plan(shop))


def test_the_console_names_so_many_and_the_report_all(files: Shop) -> None:
    for number in range(25):
        (files.folder / f"empty{number}.sqlite").touch()
    report = run_plan(plan(files))
    text = report.to_text()
    assert (text.count("the file is empty"), "… 5 more" in text) == (20, True)
    assert len(left_out(report)) == 25


# ---- when it ends the command


def test_files_that_all_have_one_problem_are_told_once(shop: Shop) -> None:
    for name in ("a", "b", "c"):
        shop.source(MISFIT, f"{name}.sqlite")
    with pytest.raises(DocumentError) as caught:
        run_plan(plan(shop))
    (problem,) = caught.value.problems
    assert (problem.message, problem.hints[-1]) == ('column "name" is not in table "people"', "in 3 files")


def test_a_table_that_no_file_has_is_told_once(shop: Shop) -> None:
    for name in ("a", "b"):
        shop.source("CREATE TABLE other (id)", f"{name}.sqlite")
    with pytest.raises(DocumentError, match=r'table "people" is not in the source\n(.*\n)*  in 2 files$'):
        run_plan(plan(shop))


def test_files_that_are_all_unreadable_stop_the_run(shop: Shop) -> None:
    for name in ("a", "b"):
        (shop.folder / f"{name}.sqlite").touch()
    report = run_plan(plan(shop))
    assert report.error is not None
    assert (report.exit_code, report.error.code) == (3, "source_empty")
    assert "none of the 2 source files can be migrated" in report.error.message


def test_what_fits_no_file_goes_before_what_cannot_be_read(shop: Shop) -> None:
    for name in ("a", "b"):
        shop.source(MISFIT, f"{name}.sqlite")
    (shop.folder / "c.sqlite").touch()
    with pytest.raises(DocumentError) as caught:
        run_plan(plan(shop))
    misfit, other = map(str, caught.value.problems)
    assert misfit.endswith("in 2 files")
    assert other == f"{shop.folder}/c.sqlite: the file is empty (zero bytes)"


@pytest.mark.parametrize("dry_run", [False, True])
def test_on_reject_stop_writes_nothing(files: Shop, *, dry_run: bool) -> None:
    (files.folder / "empty.sqlite").touch()
    report = run_plan(plan(files, on_reject="stop"), dry_run=dry_run)
    assert report.error is not None
    assert (report.exit_code, report.error.code) == (3, "source_set_aside")
    assert "1 of 3 source files cannot be migrated, and the plan says on_reject: stop" in report.error.message
    assert files.table not in files.client.list_tables()["TableNames"]


def test_on_reject_stop_tells_a_misfit_as_wrong_usage(files: Shop) -> None:
    files.source(MISFIT, "misfit.sqlite")
    with pytest.raises(MigratorError, match="on_reject: stop") as caught:
        run_plan(plan(files, on_reject="stop"))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("way", ["hash", {"watermark": {"column": "name"}}])
def test_an_increment_refuses_to_take_a_broken_file_for_deleted_rows(files: Shop, way: Any) -> None:
    run_plan(plan(files, PERSON))
    break_file(files, "b")
    report = run_plan(plan(files, PERSON, incremental=way))
    assert report.error is not None
    assert (report.exit_code, report.error.code) == (3, "source_set_aside")
    assert "with settings.incremental its rows would look deleted" in report.error.message
    assert stems(files) == {"a", "b"}


def test_no_room_for_copies_stops_the_run_whatever_the_file(files: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise SourceError("no private copy could be made", code="source_copy_failed")

    monkeypatch.setattr("migrator.run.sources.take_snapshot", full)
    report = run_plan(plan(files))
    assert report.error is not None
    assert report.error.code == "source_copy_failed"


# ---- the other commands


def test_check_names_what_a_run_would_leave_out(files: Shop) -> None:
    files.source(MISFIT, "misfit.sqlite")
    report = check_plan(plan(files))
    assert [Path(each.path).stem for each in report.set_aside] == ["misfit"]
    assert "source files that a run would set aside: 1" in report.to_text()


def test_a_verification_that_cannot_tell_items_apart_says_so(files: Shop) -> None:
    entity = 'Person: {source: people, key: {PK: "{name}#{id}"}}'
    files.source(PEOPLE + "INSERT INTO people VALUES (99, 'Zoe')", "c.sqlite")
    two = files.plan(entity, source="[a.sqlite, c.sqlite]")
    assert run_plan(two).exit_code == 0
    (files.folder / "c.sqlite").write_bytes(b"")
    report = verify_plan(two)
    assert (report.exit_code, report.count, report.of_set_aside) == (4, 1, 0)
    assert "any others would be among the extra ones" in report.to_text()


def test_a_retry_does_not_take_the_rows_of_a_broken_file_for_gone(files: Shop) -> None:
    files.source(PEOPLE + "INSERT INTO people VALUES (7, NULL)", "c.sqlite")
    mine = plan(files, 'Person: {source: people, key: {PK: "{@stem}#{id}#{name}"}}')
    assert run_plan(mine).exit_code == 1
    (files.folder / "c.sqlite").write_bytes(b"")
    report = retry_plan(mine)
    assert report.error is not None
    assert (report.exit_code, report.error.code) == (3, "source_set_aside")
    assert report.retry is not None
    assert report.retry.left == 1


def test_a_retry_goes_on_where_another_file_is_broken(files: Shop) -> None:
    files.source(PEOPLE + "INSERT INTO people VALUES (7, NULL)", "c.sqlite")
    mine = plan(files, 'Person: {source: people, key: {PK: "{@stem}#{id}#{name}"}}')
    assert run_plan(mine).exit_code == 1
    break_file(files, "b")
    with closing(sqlite3.connect(files.folder / "c.sqlite")) as database, database:
        database.execute("UPDATE people SET name = 'Zoe'")
    report = retry_plan(mine)
    assert report.retry is not None
    assert (report.retry.closed, report.retry.left, left_out(report)) == (1, 0, {"b": "source_damaged"})


def test_a_run_that_left_files_out_is_rolled_back(files: Shop) -> None:
    break_file(files, "b")
    run = run_plan(plan(files))
    assert stems(files) == {"a"}
    assert roll_back(plan(files), run.run_id).exit_code == 0
    assert files.items() == {}


def test_a_rollback_does_not_guess_what_a_mended_file_had(files: Shop) -> None:
    break_file(files, "b")
    run = run_plan(plan(files))
    (files.folder / "b.sqlite").unlink()
    files.source(MANY, "b.sqlite")
    with pytest.raises(MigratorError, match=r"Changed since: the source .*b\.sqlite"):
        roll_back(plan(files), run.run_id)


# ---- results by file


def test_the_report_counts_by_file_and_entity(files: Shop) -> None:
    files.source(PEOPLE + "INSERT INTO people VALUES (1, 'Ann'), (2, NULL)", "c.sqlite")
    report = run_plan(plan(files, 'Person: {source: people, key: {PK: "{@stem}#{id}#{name}"}}'))
    (told,) = (file for file in report.to_json()["source"] if file["path"].endswith("c.sqlite"))
    counts = {"read": 2, "items": 1, "written": 1, "rejected": 1, "failed": 0}
    assert told["entities"] == [{"entity": "Person", **counts}]
    assert {name: told[name] for name in counts} == counts
    assert "3; 0 set aside, 1 with rejects or failed items" in report.to_text()


def test_of_many_files_the_largest_are_told(files: Shop) -> None:
    for number in range(15):
        files.source(ANN, f"small{number:02}.sqlite")
    text = run_plan(plan(files)).to_text()
    assert "file, the largest" in text
    assert text.count(".sqlite") == 10


def test_schemas_that_differ_and_fit_are_told_once(files: Shop) -> None:
    files.source(PEOPLE + "CREATE TABLE audit (at TEXT)", "c.sqlite")
    files.source("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, born TEXT)", "d.sqlite")
    report = run_plan(plan(files))
    folder = files.folder
    assert report.to_json()["schemas"] == [
        f"2 files have one schema, as {folder}/a.sqlite",
        f"1 file has another, as {folder}/c.sqlite: a table audit more",
        f"1 file has another, as {folder}/d.sqlite: a column of people born more",
    ]


# ---- once for all of them


def opened_with(files: Shop, *entities: str, **more: Any) -> OpenRun:
    with open_run(plan(files, *entities, **more)) as opened:
        assert opened.segments  # which need the files
        return opened


def test_files_of_one_schema_are_fitted_once(files: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []

    def counting(*given: Any) -> Any:
        fitted.append(given)
        return bind_module.bind(*given)

    monkeypatch.setattr(fitting, "bind", counting)
    files.source(PEOPLE + "CREATE TABLE audit (at TEXT)", "c.sqlite")
    opened = opened_with(files)
    assert len(fitted) == 2
    first, second, other = opened.entities[0].units
    assert first.read is second.read
    assert first.entity is second.entity
    assert first.read is not other.read


@pytest.mark.parametrize(
    ("key", "proved"),
    [
        ("{@stem}#{id}", True),
        ("{@tenant}#{id}", True),
        ("{id}#{@file}", True),
        ("{@kind}#{id}", False),  # the same for both files
        ("{id}", False),
        ("{@stem}#{name}", False),
    ],
)
def test_keys_that_name_the_file_are_proved_over_all(files: Shop, key: str, *, proved: bool) -> None:
    pattern = "source_pattern: '(?P<tenant>[^/]+)\\.(?P<kind>[^/]+)$'"
    opened = opened_with(files, f'Person: {{source: people, key: {{PK: "{key}"}}}}', more=pattern)
    assert opened.entities[0].proved is proved
    assert opened.needs_proof() is not proved


def test_a_unique_rule_is_judged_over_all_files(files: Shop) -> None:
    opened = opened_with(files, PERSON.replace("}}", "}, rules: {name: {unique: true}}}"))
    assert opened.needs_proof()


def test_small_files_are_not_looked_into_to_be_cut(files: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Iterable[Any]:
        raise AssertionError

    monkeypatch.setattr("migrator.run.opened.iter_ranges", never)
    assert [segment.small for segment in opened_with(files).segments] == [True, True]


# ---- source_pattern


def test_a_group_of_the_path_stands_in_the_key(files: Shop) -> None:
    pattern = "source_pattern: '(?P<tenant>[^/]+)\\.sqlite$'"
    run_plan(plan(files, 'Person: {source: people, key: {PK: "T-{@tenant|upper}#{id}"}}', more=pattern))
    assert stems(files) == {"T-A", "T-B"}


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("/(?P<tenant>b)\\.sqlite$", "it is not found in "),
        ("/(?:a|(?P<tenant>b))\\.sqlite$", 'its group "tenant" finds nothing in '),
    ],
)
def test_a_file_that_the_pattern_does_not_find_is_left_out(files: Shop, pattern: str, says: str) -> None:
    report = run_plan(plan(files, more=f"source_pattern: '{pattern}'"))
    (error,) = (file.error for file in report.sources if file.error)
    assert f"source_pattern: {says}{files.folder}/a.sqlite" in error.message
    assert stems(files) == {"b"}


def test_of_a_single_file_it_is_wrong_usage(shop: Shop) -> None:
    shop.source(ANN, "a.sqlite")
    with pytest.raises(DocumentError, match=r"source_pattern: it is not found in .*a\.sqlite\n  pattern: "):
        run_plan(plan(shop, more="source_pattern: '(?P<tenant>zzz)'"))


def test_an_unfinished_run_does_not_go_on_with_another_pattern(files: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("migrator.run.writing_pass.write_bundle", _stopping)
        stopped = run_plan(plan(files, more="source_pattern: '(?P<tenant>[^/]+)\\.sqlite$'"))
    assert stopped.error is not None
    report = run_plan(plan(files, more="source_pattern: '(?P<tenant>.)\\.sqlite$'"))
    assert report.error is not None
    assert report.error.code == "resume_refused"
    assert "source_pattern" in report.error.message


def _stopping(*_: Any) -> Any:
    raise StoppedError("in the middle", code="test")


def test_a_run_that_is_refused_before_it_begins_again_still_reports(
    files: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("migrator.run.writing_pass.write_bundle", _stopping)
        run_plan(plan(files))
    files.client.delete_table(TableName=files.table)
    report = run_plan(plan(files))
    assert report.error is not None
    assert report.error.code == "resume_refused"
    assert len(report.sources) == 2


def test_a_file_that_was_left_out_may_go_before_the_run_goes_on(files: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    (files.folder / "empty.sqlite").touch()
    with monkeypatch.context() as patch:
        patch.setattr("migrator.run.writing_pass.write_bundle", _stopping)
        run_plan(plan(files))
    (files.folder / "empty.sqlite").unlink()
    report = run_plan(plan(files))
    assert (report.resumed, report.exit_code, left_out(report)) == (True, 1, {"empty": "source_empty"})
    assert stems(files) == {"a", "b"}


# ---- bundles


def test_small_segments_go_together_and_others_alone(files: Shop) -> None:
    for number in range(20):
        files.source(ANN, f"small{number:02}.sqlite")
    segments = opened_with(files).segments
    tasks: list[Any] = [(segment, {}, None, None) for segment in segments]
    large = (replace(segments[0], small=False), {}, None, None)
    sizes = [len(bundle) for (bundle,) in bundles.bundled([*tasks[:20], large, *tasks[20:]])]
    assert sizes == [16, 1, 6]


def test_a_bundle_ends_at_one_reject_too_many(files: Shop) -> None:
    for number in range(10):
        files.source(PEOPLE + "INSERT INTO people VALUES (1, NULL)", f"null{number}.sqlite")
    mine = plan(files, 'Person: {source: people, key: {PK: "{@stem}#{id}#{name}"}}', max_rejects=2)
    report = run_plan(mine)
    assert report.error is not None
    assert (report.error.code, report.totals()["rejected"]) == ("too_many_rejects", 3)


def test_what_is_left_out_comes_back_from_the_state(files: Shop) -> None:
    error = SetAside("/a", "document", "x\n  y")
    assert SetAside(**json.loads(json.dumps(error.to_json()))) == error


# ---- S3


def test_an_s3_that_does_not_answer_stops_the_run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")  # the discard port: nobody listens
    monkeypatch.setattr("migrator.run.sources.ask", partial(ask, policy=RetryPolicy(max_attempts=1)))
    report = run_plan(shop.plan(NAMED, source="[s3://bucket/*.sqlite, s3://bucket/other.sqlite]"))
    assert report.error is not None
    assert (report.exit_code, report.error.code, report.error.retryable) == (3, "target_unreachable", True)
    assert report.error.message.startswith("look into s3://bucket/*.sqlite: ")


def test_a_signal_ends_the_fetching(shop: Shop, aws_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws_url)
    bucket = f"fleet-{uuid.uuid4().hex}"
    with closing(boto3.client("s3", endpoint_url=aws_url)) as client:
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="a.sqlite", Body=b"x")

    def interrupted(*given: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return fetch(*given)

    monkeypatch.setattr("migrator.source.remote.fetch", interrupted)
    report = run_plan(shop.plan(NAMED, source=f'"s3://{bucket}/*"'))
    assert (report.exit_code, report.status) == (143, "interrupted")
    fetched = shop.folder / "state" / "shop" / "fetched"
    assert not fetched.exists() or list(fetched.iterdir()) == []
