"""The community platform's plan, as it ships, on each engine behind the strict door."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from command import fixture
from oracle_madmall import ENTITIES, expected_items

SYSTEM = "madmall"
SOURCE = fixture(SYSTEM)
ON_EVERY_ITEM = {"PK", "SK", "entityType", "createdAt", "updatedAt", "version"}


def test_the_table_equals_a_plain_rendering_of_the_source(migrated: Any, differences: Any) -> None:
    assert migrated.door.refused == []
    assert differences(migrated.scan(), expected_items(SOURCE, migrated.run.started_at)) == []


def test_every_item_says_its_type_its_times_and_its_version(migrated: Any) -> None:
    assert [key for key, item in migrated.scan().items() if not item.keys() >= ON_EVERY_ITEM] == []


def test_the_report_counts_what_the_plain_rendering_counts(migrated: Any) -> None:
    run = migrated.run
    with closing(sqlite3.connect(SOURCE)) as db:
        db.row_factory = sqlite3.Row
        expected = {name: len(list(render(db))) for name, render in ENTITIES.items()}
    assert {e["entity"]: e["written"] for e in run.report["entities"]} == expected | {"items": 1}
    assert run.report["totals"]["rejected"] == 0
    assert run.entity("User")["warnings"] == 1  # one status that is none of the usual


def test_verify_after_a_run_finds_no_difference_and_every_access_pattern_agrees(migrated: Any) -> None:
    verify = migrated.verify()
    assert verify.exit_code == 0, verify.stdout + verify.stderr
    assert verify.stdout.splitlines()[-1] == "access patterns: 21 of 21 agree"


def test_running_again_changes_nothing(own: Any, differences: Any) -> None:
    again = own.migrator("run", own.plan)
    assert again.exit_code == 0, again.stderr
    assert own.door.refused == []
    # The one thing that moves is {now: +365d}: another run, another start.
    assert differences(own.scan(), expected_items(SOURCE, again.started_at)) == []


def test_a_dry_run_counts_the_same_and_writes_nothing(
    migrator: Any, shipped_plan: Any, door: Any, migrated: Any
) -> None:
    dry = migrator("run", shipped_plan("madmall"), "--dry-run")
    assert dry.exit_code == 0, dry.stderr
    assert not door.writes
    assert dry.report["dry_run"] is True
    assert dry.report["totals"]["items"] == migrated.run.report["totals"]["items"]


def _query(migrated: Any, index: str, partition: str, prefix: str = "", **parameters: Any) -> list[dict[str, Any]]:
    """Items of one partition of an index ("" for the table), those whose sort key begins with `prefix`."""
    condition, values = f"{index}PK = :pk", {":pk": {"S": partition}}
    if prefix:
        condition, values = f"{condition} AND begins_with({index}SK, :sk)", values | {":sk": {"S": prefix}}
    if index:
        parameters["IndexName"] = index
    if "FilterExpression" in parameters:
        values |= {":true": {"BOOL": True}}
    pages = migrated.client.get_paginator("query").paginate(
        TableName=migrated.table, KeyConditionExpression=condition, ExpressionAttributeValues=values, **parameters
    )
    return [item for page in pages for item in page["Items"]]


def _column(sql: str, *parameters: str) -> list[str]:
    with closing(sqlite3.connect(SOURCE)) as db:
        return [value for (value,) in db.execute(sql, parameters)]


def _values(items: list[dict[str, Any]], name: str) -> list[str]:
    return [item[name]["S"] for item in items]


LIVE_MEMBERSHIP = """
    FROM circle_members JOIN users USING (user_id) JOIN circles USING (circle_id)
    WHERE users.deleted_at IS NULL AND circles.deleted_at IS NULL"""


def test_the_circles_of_a_user_are_those_the_user_shows(migrated: Any) -> None:
    users = _column(f"SELECT DISTINCT user_id {LIVE_MEMBERSHIP} AND is_visible = 1")
    assert users
    for user in users:
        expected = _column(f"SELECT circle_id {LIVE_MEMBERSHIP} AND is_visible = 1 AND user_id = ?", user)
        assert sorted(_values(_query(migrated, "", f"USER#{user}", "CIRCLE#"), "circleId")) == sorted(expected)


def test_the_members_of_a_circle_are_all_of_them_with_their_roles(migrated: Any) -> None:
    circles = _column(f"SELECT DISTINCT circle_id {LIVE_MEMBERSHIP}")
    assert circles
    for circle in circles:
        expected = _column(f"SELECT user_id || ' ' || role {LIVE_MEMBERSHIP} AND circle_id = ?", circle)
        found = _query(migrated, "", f"CIRCLE#{circle}", "MEMBER#")
        assert sorted(f"{item['userId']['S']} {item['role']['S']}" for item in found) == sorted(expected)


def test_circles_are_found_by_type_and_the_active_ones_of_a_type(migrated: Any) -> None:
    types = _column("SELECT DISTINCT type FROM circles WHERE deleted_at IS NULL")
    live = "SELECT circle_id FROM circles WHERE type = ? AND deleted_at IS NULL"
    fewer = 0
    for type_ in types:
        everyone = _query(migrated, "GSI1", f"CIRCLE_TYPE#{type_}")
        active = _query(migrated, "GSI1", f"CIRCLE_TYPE#{type_}", FilterExpression="isActive = :true")
        assert sorted(_values(everyone, "circleId")) == sorted(_column(live, type_))
        assert sorted(_values(active, "circleId")) == sorted(_column(f"{live} AND is_active = 1", type_))
        fewer += len(active) < len(everyone)
    assert fewer


def test_a_story_comes_with_its_comments_in_one_query(migrated: Any) -> None:
    stories = _column("SELECT story_id FROM stories WHERE deleted_at IS NULL")
    for story in stories:
        comments = _column("SELECT comment_id FROM comments WHERE deleted_at IS NULL AND story_id = ?", story)
        found = _query(migrated, "", f"STORY#{story}")
        expected = {f"COMMENT#{comment}" for comment in comments} | {"METADATA"}
        assert set(_values(found, "SK")) == expected


def test_a_user_is_found_by_email_however_it_was_typed(migrated: Any) -> None:
    found = _query(migrated, "GSI1", "EMAIL#elodie.martin@example.fr")
    assert [item["userId"]["S"] for item in found] == ["usr_005"]


def test_a_feed_comes_in_the_order_of_time(migrated: Any) -> None:
    with closing(sqlite3.connect(SOURCE)) as db:
        live = "feed = 'FEED#healing' AND published_at IS NOT NULL AND deleted_at IS NULL"
        expected = {story for (story,) in db.execute(f"SELECT story_id FROM stories WHERE {live}")}
    found = _query(migrated, "GSI2", "FEED#healing")
    times = [item["publishedAt"]["S"] for item in found]
    assert {item["storyId"]["S"] for item in found} == expected
    assert times == sorted(times)


def test_a_moderation_queue_holds_its_status_and_no_other(migrated: Any) -> None:
    found = _query(migrated, "GSI3", "COMMENT_STATUS#flagged")
    assert found
    assert {item["status"]["S"] for item in found} == {"flagged"}


def test_a_tenant_sees_nothing_of_another(migrated: Any) -> None:
    everything = migrated.scan().values()
    for tenant in ("sisters", "harborclinic", "lotus"):
        found = _query(migrated, "GSI4", f"TENANT#{tenant}")
        assert {item["tenantId"]["S"] for item in found} == {tenant}
        assert len(found) == sum(item.get("tenantId") == {"S": tenant} for item in everything)


def test_no_secret_of_the_source_is_migrated(migrated: Any) -> None:
    run = migrated.run
    for written in (repr(migrated.scan()), repr(run.report), run.stdout, run.stderr):
        assert "argon2id" not in written
        assert "slow to answer" not in written
