"""What the community fixture must become, written by hand from the data layer's description.

An independent rendering: sqlite3 and the standard library, no line shared with the migrator. Slow and plain on
purpose. Numbers are wire values ({"N": text}) and are to be compared by value, see `comparable`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

Wire = dict[str, Any]
Items = dict[tuple[str, str], dict[str, Wire]]

NULL: Wire = {"NULL": True}
DAYS_TO_UNIX_EPOCH = Decimal("2440587.5")  # Julian day of 1970-01-01T00:00Z


# ---- wire values


def s(value: str | None) -> Wire | None:
    return None if value is None else {"S": value}


def n(value: float | str | None) -> Wire | None:
    return None if value is None else {"N": value if isinstance(value, str) else repr(value)}


def flag(value: int | None) -> Wire | None:
    return None if value is None else {"BOOL": {0: False, 1: True}[value]}


def blob(value: bytes | None) -> Wire | None:
    return None if value is None else {"B": value}


def words(value: str | None) -> Wire | None:
    return None if value is None else {"SS": sorted(set(value.split(",")))}


def m(**attributes: Wire | None) -> Wire:
    return {"M": {name: value for name, value in attributes.items() if value is not None}}


def from_json(value: str | None) -> Wire | None:
    return None if value is None else _json(json.loads(value, parse_float=Decimal))


def _json(value: Any) -> Wire:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, list):
        return {"L": [_json(element) for element in value]}
    if isinstance(value, dict):
        return {"M": {name: _json(member) for name, member in value.items()}}
    return {"N": str(value)}


def json_or_text(value: str | None) -> Wire | None:
    """A column declared JSON: what does not parse stays the text that it is."""
    try:
        return from_json(value)
    except json.JSONDecodeError:
        return s(value)


# ---- instants, by the form that the column is known to have


def _z(instant: datetime) -> str:
    text = instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{instant.microsecond:06d}Z" if instant.microsecond else "Z")


def text_instant(value: str | None) -> str | None:
    if value is None:
        return None
    instant = datetime.fromisoformat(value)
    return _z(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def epoch_instant(seconds: int | None) -> str | None:
    return None if seconds is None else _z(datetime.fromtimestamp(seconds, UTC))


def milliseconds_instant(value: int | None) -> str | None:
    return None if value is None else _z(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value))


def julian_instant(day: float) -> str:
    # The fixture's Julian days are whole seconds and exact in binary, so nothing is rounded here.
    return _z(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int((Decimal(day) - DAYS_TO_UNIX_EPOCH) * 86400)))


def epoch(value: str | None) -> Wire | None:
    text = text_instant(value)
    return None if text is None else n(int(datetime.fromisoformat(text).timestamp()))


# ---- the source


def rows(db: sqlite3.Connection, sql: str, *parameters: Any) -> list[sqlite3.Row]:
    return db.execute(sql, parameters).fetchall()


def one(db: sqlite3.Connection, sql: str, *parameters: Any) -> sqlite3.Row | None:
    return next(iter(rows(db, sql, *parameters)), None)


def _text_key(text: str, *needed: Any) -> Wire | None:
    return None if None in needed else {"S": text}


# ---- entities: each yields finished items, None still standing for what is left out


def tenants(db: sqlite3.Connection) -> Iterator[dict[str, Wire | None]]:
    for r in rows(db, "SELECT * FROM tenants"):
        pk = s(f"TENANT#{r['tenant_id']}")
        yield {
            "PK": pk,
            "SK": s("METADATA"),
            "GSI1PK": s(f"TENANT_PLAN#{r['plan']}"),
            "GSI1SK": pk,
            "GSI4PK": pk,
            "GSI4SK": pk,
            "entityType": s("Tenant"),
            "tenantId": s(r["tenant_id"]),
            "name": s(r["name"]),
            "plan": s(r["plan"]),
            "isActive": flag(r["is_active"]),
            "createdAt": s(epoch_instant(r["created_at"])),
            "updatedAt": s(epoch_instant(r["updated_at"])),
            "version": n(1),
        }


def users(db: sqlite3.Connection) -> Iterator[dict[str, Wire | None]]:
    for r in rows(db, "SELECT * FROM users WHERE deleted_at IS NULL"):
        user_id, created, updated = r["user_id"], text_instant(r["created_at"]), text_instant(r["updated_at"])
        email = None if r["email"] is None else r["email"].strip().lower()
        goals = rows(db, "SELECT goal FROM user_goals WHERE user_id = ? ORDER BY position", user_id)
        links = rows(db, "SELECT network, handle FROM user_links WHERE user_id = ?", user_id)
        yield {
            "PK": s(f"USER#{user_id}"),
            "SK": s("PROFILE"),
            "GSI1PK": _text_key(f"EMAIL#{email}", email),
            "GSI1SK": s(f"USER#{user_id}"),
            "GSI2PK": s("USERS"),
            "GSI2SK": s(f"{created}#{user_id}"),
            "GSI3PK": s(f"USER_STATUS#{r['status']}"),
            "GSI3SK": s(f"{updated}#{user_id}"),
            "GSI4PK": _text_key(f"TENANT#{r['tenant_id']}", r["tenant_id"]),
            "GSI4SK": s(f"USER#{user_id}"),
            "entityType": s("User"),
            "userId": s(user_id),
            "tenantId": s(r["tenant_id"]),
            "email": s(email),
            "phone": s(r["phone"] or None),
            "displayName": _text_key(f"{r['first_name']} {r['last_name']}", r["last_name"]),
            "profile": _profile(r),
            "avatar": blob(r["avatar"]),
            "preferences": json_or_text(r["preferences"]),
            "settings": _user_settings(db, user_id),
            "stats": _user_stats(db, user_id),
            "primaryGoals": {"L": [{"S": g["goal"]} for g in goals]},
            "links": {"M": {link["network"]: {"S": link["handle"]} for link in links}},
            "legacyMemberNo": n(r["legacy_member_no"]),
            "lifetimeDonations": n(r["lifetime_donations"]),
            "wellnessScore": n(r["wellness_score"]),
            "isVerified": flag(r["is_verified"]),
            "isActive": flag(r["is_active"]),
            "status": s(r["status"]),
            "createdAt": s(created),
            "updatedAt": s(updated),
            "version": n(r["row_version"]),
        }


def _profile(r: sqlite3.Row) -> Wire:
    created = text_instant(r["created_at"])
    assert created is not None
    return m(
        firstName=s(r["first_name"]),
        lastName=s(r["last_name"]),
        bio=s(r["bio"]),
        culturalBackground=from_json(r["cultural_background"]),
        communicationStyle=s(r["communication_style"] or "gentle_encouraging"),
        diagnosisStage=s(r["diagnosis_stage"]),
        supportNeeds=words(r["support_needs"]),
        location=m(city=s(r["city"]), state=s(r["state"]), country=s(r["country"])),
        joinDate=s(created[:10]),
        lastActive=s(milliseconds_instant(r["last_active_ms"])),
    )


def _user_settings(db: sqlite3.Connection, user_id: str) -> Wire | None:
    r = one(db, "SELECT * FROM user_settings WHERE user_id = ?", user_id)
    return r and m(
        theme=s(r["theme"]),
        language=s("en" if r["language"] is None else r["language"]),
        timezone=s(r["timezone"]),
        accessibility=m(
            highContrast=flag(r["high_contrast"]),
            largeText=flag(r["large_text"]),
            screenReader=flag(r["screen_reader"]),
            reducedMotion=flag(r["reduced_motion"]),
        ),
    )


def _user_stats(db: sqlite3.Connection, user_id: str) -> Wire | None:
    r = one(db, "SELECT * FROM user_stats WHERE user_id = ?", user_id)
    return r and m(
        storiesShared=n(r["stories_shared"]),
        commentsPosted=n(r["comments_posted"]),
        circlesJoined=n(r["circles_joined"]),
        helpfulVotes=n(r["helpful_votes"]),
    )


def circles(db: sqlite3.Connection) -> Iterator[dict[str, Wire | None]]:
    for r in rows(db, "SELECT * FROM circles WHERE deleted_at IS NULL"):
        circle_id, created, updated = r["circle_id"], epoch_instant(r["created_at"]), epoch_instant(r["updated_at"])
        moderators = rows(db, "SELECT * FROM circle_moderators WHERE circle_id = ? ORDER BY since", circle_id)
        tags = rows(db, "SELECT tag FROM circle_tags WHERE circle_id = ? ORDER BY tag", circle_id)
        yield {
            "PK": s(f"CIRCLE#{circle_id}"),
            "SK": s("METADATA"),
            "GSI1PK": s(f"CIRCLE_TYPE#{r['type']}"),
            "GSI1SK": s(f"CIRCLE#{circle_id}"),
            "GSI2PK": s("CIRCLES"),
            "GSI2SK": s(f"{created}#{circle_id}"),
            "GSI3PK": s(f"CIRCLE_STATUS#{r['status']}"),
            "GSI3SK": s(f"{updated}#{circle_id}"),
            "GSI4PK": s(f"TENANT#{r['tenant_id']}"),
            "GSI4SK": s(f"CIRCLE#{circle_id}"),
            "entityType": s("Circle"),
            "circleId": s(circle_id),
            "tenantId": s(r["tenant_id"]),
            "name": s(r["name"]),
            "description": s(r["description"]),
            "type": s(r["type"]),
            "privacyLevel": s(r["privacy_level"]),
            "settings": m(
                isPrivate=flag(r["is_private"]),
                requireApproval=flag(r["require_approval"]),
                maxMembers=n(r["max_members"]),
                culturalFocus=from_json(r["cultural_focus"]),
                moderationLevel=s(r["moderation_level"]),
            ),
            "moderators": {"L": [m(userId=s(x["user_id"]), since=s(epoch_instant(x["since"]))) for x in moderators]},
            "tags": {"L": [{"S": x["tag"]} for x in tags]},
            "stats": _circle_stats(db, circle_id),
            "createdBy": s(r["created_by"]),
            "isActive": flag(r["is_active"]),
            "status": s(r["status"]),
            "createdAt": s(created),
            "updatedAt": s(updated),
            "version": n(r["row_version"]),
        }


def _circle_stats(db: sqlite3.Connection, circle_id: str) -> Wire | None:
    r = one(db, "SELECT * FROM circle_stats WHERE circle_id = ?", circle_id)
    return r and m(
        memberCount=n(r["member_count"]),
        activeMembers=n(r["active_members"]),
        postsThisWeek=n(r["posts_this_week"]),
        postsThisMonth=n(r["posts_this_month"]),
        engagementRate=n(r["engagement_rate"]),
        averageResponseTime=n(r["average_response_time"]),
    )


LIVING_MEMBERSHIPS = """
    SELECT cm.*, c.name AS circle_name, c.type AS circle_type, c.is_private
    FROM circle_members cm JOIN users u USING (user_id) JOIN circles c USING (circle_id)
    WHERE u.deleted_at IS NULL AND c.deleted_at IS NULL
"""


def circle_members(db: sqlite3.Connection) -> Iterator[dict[str, Wire | None]]:
    for r in rows(db, LIVING_MEMBERSHIPS):
        circle_id, user_id, joined = r["circle_id"], r["user_id"], text_instant(r["joined_at"])
        both = {
            "GSI4PK": s(f"TENANT#{r['tenant_id']}"),
            "circleId": s(circle_id),
            "userId": s(user_id),
            "tenantId": s(r["tenant_id"]),
            "role": s(r["role"]),
            "status": s(r["status"]),
            "joinedAt": s(joined),
            "ttl": epoch(r["invite_expires_at"]),
            "createdAt": s(joined),
            "updatedAt": s(text_instant(r["updated_at"])),
            "version": n(1),
        }
        yield both | {
            "PK": s(f"CIRCLE#{circle_id}"),
            "SK": s(f"MEMBER#{user_id}"),
            "GSI1PK": s(f"CIRCLE_ROLE#{circle_id}#{r['role']}"),
            "GSI1SK": s(f"USER#{user_id}"),
            "GSI3PK": s(f"MEMBER_STATUS#{r['status']}"),
            "GSI3SK": s(f"{joined}#{circle_id}#{user_id}"),
            "GSI4SK": s(f"CIRCLE#{circle_id}#MEMBER#{user_id}"),
            "entityType": s("CircleMember"),
            "isVisible": flag(r["is_visible"]),
        }
        if r["is_visible"]:
            yield both | {
                "PK": s(f"USER#{user_id}"),
                "SK": s(f"CIRCLE#{circle_id}"),
                "GSI2PK": s(f"USER_CIRCLES#{user_id}"),
                "GSI2SK": s(f"{joined}#{circle_id}"),
                "GSI4SK": s(f"USER#{user_id}#CIRCLE#{circle_id}"),
                "entityType": s("UserCircle"),
                "circle": m(name=s(r["circle_name"]), type=s(r["circle_type"]), isPrivate=flag(r["is_private"])),
            }


def stories(db: sqlite3.Connection) -> Iterator[dict[str, Wire | None]]:
    for r in rows(db, "SELECT * FROM stories WHERE deleted_at IS NULL"):
        story_id, published = r["story_id"], text_instant(r["published_at"])
        updated = text_instant(r["updated_at"])
        reactions = rows(db, "SELECT * FROM story_reactions WHERE story_id = ?", story_id)
        yield {
            "PK": s(f"STORY#{story_id}"),
            "SK": s("METADATA"),
            "GSI1PK": s(f"AUTHOR#{r['author_id']}"),
            "GSI1SK": s(f"STORY#{story_id}"),
            "GSI2PK": s(r["feed"] or None),
            "GSI2SK": _text_key(f"{published}#{story_id}", published),
            "GSI3PK": s(f"STORY_STATUS#{r['status']}"),
            "GSI3SK": s(f"{updated}#{story_id}"),
            "GSI4PK": s(f"TENANT#{r['tenant_id']}"),
            "GSI4SK": s(f"STORY#{story_id}"),
            "entityType": s("Story"),
            "storyId": s(story_id),
            "tenantId": s(r["tenant_id"]),
            "author": _author(db, r["author_id"]),
            "circleId": s(r["circle_id"]),
            "title": s(r["title"]),
            "content": s(r["content"]),
            "type": s(r["type"]),
            "themes": from_json(r["themes"]),
            "reactions": {"M": {x["reaction"]: {"N": str(x["count"])} for x in reactions}},
            "status": s(r["status"]),
            "isAnonymous": flag(r["is_anonymous"]),
            "views": n(r["views"]),
            "publishedAt": s(published),
            "createdAt": s(text_instant(r["created_at"])),
            "updatedAt": s(updated),
            "version": n(r["row_version"]),
        }


def _author(db: sqlite3.Connection, user_id: str) -> Wire | None:
    r = one(db, "SELECT * FROM users WHERE user_id = ? AND deleted_at IS NULL", user_id)
    return r and m(
        userId=s(r["user_id"]),
        name=_text_key(f"{r['first_name']} {r['last_name']}", r["last_name"]),
        isVerified=flag(r["is_verified"]),
    )


LIVING_COMMENTS = """
    SELECT c.*, s.tenant_id FROM comments c JOIN stories s USING (story_id)
    WHERE c.deleted_at IS NULL AND s.deleted_at IS NULL
"""


def comments(db: sqlite3.Connection) -> Iterator[dict[str, Wire | None]]:
    for r in rows(db, LIVING_COMMENTS):
        comment_id, story_id, author_id = r["comment_id"], r["story_id"], r["author_id"]
        created = epoch_instant(r["created_at"])
        updated = created if r["edited_at"] is None else epoch_instant(r["edited_at"])
        yield {
            "PK": s(f"STORY#{story_id}"),
            "SK": s(f"COMMENT#{comment_id}"),
            "GSI1PK": _text_key(f"COMMENT_AUTHOR#{author_id}", author_id),
            "GSI1SK": s(f"COMMENT#{comment_id:019d}"),
            "GSI2PK": s(f"STORY_COMMENTS#{story_id}"),
            "GSI2SK": s(f"{created}#{comment_id}"),
            "GSI3PK": s(f"COMMENT_STATUS#{r['status']}"),
            "GSI3SK": s(f"{updated}#{comment_id}"),
            "GSI4PK": s(f"TENANT#{r['tenant_id']}"),
            "GSI4SK": s(f"STORY#{story_id}#COMMENT#{comment_id}"),
            "entityType": s("Comment"),
            "commentId": n(comment_id),
            "storyId": s(story_id),
            "tenantId": s(r["tenant_id"]),
            "authorId": s(author_id),
            "parentId": n(r["parent_id"]),
            "content": s(r["body"]),
            "status": s(r["status"]),
            "createdAt": s(created),
            "updatedAt": s(updated),
            "version": n(1),
        }


def businesses(db: sqlite3.Connection) -> Iterator[dict[str, Wire | None]]:
    for r in rows(db, "SELECT * FROM businesses"):
        business_id, registered, updated = (
            r["business_id"],
            julian_instant(r["registered_at"]),
            julian_instant(r["updated_at"]),
        )
        places = rows(db, "SELECT * FROM business_locations WHERE business_id = ? ORDER BY position", business_id)
        yield {
            "PK": s(f"BUSINESS#{business_id}"),
            "SK": s("METADATA"),
            "GSI1PK": s(f"BUSINESS_CATEGORY#{r['category']}"),
            "GSI1SK": s(f"{r['review_count']:010d}#{business_id}"),
            "GSI2PK": s("BUSINESSES"),
            "GSI2SK": s(f"{registered}#{business_id}"),
            "GSI3PK": s(f"BUSINESS_STATUS#{r['status']}"),
            "GSI3SK": s(f"{updated}#{business_id}"),
            "GSI4PK": s(f"TENANT#{r['tenant_id']}"),
            "GSI4SK": s(f"BUSINESS#{business_id}"),
            "entityType": s("Business"),
            "businessId": s(business_id),
            "tenantId": s(r["tenant_id"]),
            "ownerId": s(r["owner_id"]),
            "category": s(r["category"]),
            "website": s(r["website"] or None),
            "isVerified": flag(r["is_verified"]),
            "reviewCount": n(r["review_count"]),
            "locations": {"L": [_location(db, place) for place in places]},
            "status": s(r["status"]),
            "createdAt": s(registered),
            "updatedAt": s(updated),
            "version": n(1),
            # the rest of the columns, under their own names and by their values
            "name": s(r["name"]),
            "description": s(r["description"]),
            "phone": s(r["phone"]),
            "accepts_hsa": flag(r["accepts_hsa"]),
            "rating": n(r["rating"]),
            "features": json_or_text(r["features"]),
            "licence_scan": blob(r["licence_scan"]),
        }


def _location(db: sqlite3.Connection, place: sqlite3.Row) -> Wire:
    hours = rows(db, "SELECT * FROM business_hours WHERE location_id = ? ORDER BY weekday", place["location_id"])
    return m(
        street=s(place["street"]),
        city=s(place["city"]),
        coordinates=m(latitude=n(place["latitude"]), longitude=n(place["longitude"])),
        hours={"L": [m(weekday=n(h["weekday"]), opens=s(h["opens"]), closes=s(h["closes"])) for h in hours]},
    )


def resources(db: sqlite3.Connection) -> Iterator[dict[str, Wire | None]]:
    """Here a NULL stays visible as NULL, except in index keys."""
    for r in rows(db, "SELECT * FROM resources"):
        resource_id, published = r["resource_id"], text_instant(r["published_at"])
        updated = text_instant(r["updated_at"])
        yield {
            "PK": s(f"RESOURCE#{resource_id}"),
            "SK": s("METADATA"),
            "GSI1PK": s(f"RESOURCE_TYPE#{r['type']}"),
            "GSI1SK": s(f"RESOURCE#{resource_id}"),
            "GSI2PK": s("RESOURCES"),
            "GSI2SK": _text_key(f"{published}#{resource_id}", published),
            "GSI3PK": s(f"RESOURCE_STATUS#{r['status']}"),
            "GSI3SK": s(f"{updated}#{resource_id}"),
            "GSI4PK": s(f"TENANT#{r['tenant_id']}"),
            "GSI4SK": s(f"RESOURCE#{resource_id}"),
            "entityType": s("Resource"),
            "resourceId": s(resource_id),
            "tenantId": s(r["tenant_id"]),
            "title": s(r["title"]),
            "summary": s(r["summary"]) or NULL,
            "type": s(r["type"]),
            "url": s(r["url"]) or NULL,
            "author": s(r["author"]) or NULL,
            "topics": words(r["topics"]),
            "metadata": json_or_text(r["metadata"]) or NULL,
            "contentBytes": n(r["content_bytes"]) or NULL,
            "price": n(r["price"]),
            "isPremium": flag(r["is_premium"]),
            "status": s(r["status"]),
            "publishedAt": s(published) or NULL,
            "createdAt": s(text_instant(r["created_at"])),
            "updatedAt": s(updated),
            "version": n(1),
        }


def fixed_items(started_at: datetime) -> dict[str, Wire | None]:
    return {
        "PK": s("SYSTEM"),
        "SK": s("STATUS"),
        "entityType": s("System"),
        "status": s("ready"),
        "schemaVersion": n(1),
        "createdAt": s("2024-01-01T00:00:00Z"),
        "updatedAt": s("2024-01-01T00:00:00Z"),
        "version": n(1),
        "ttl": n(int((started_at + timedelta(days=365)).timestamp())),
    }


#: The mapping's name of the entity -> its rendering
ENTITIES: dict[str, Callable[[sqlite3.Connection], Iterator[dict[str, Wire | None]]]] = {
    "Tenant": tenants,
    "User": users,
    "Circle": circles,
    "CircleMember": circle_members,
    "Story": stories,
    "Comment": comments,
    "Business": businesses,
    "Resource": resources,
}


def expected_items(path: Path, started_at: datetime) -> Items:
    """Every item of the table, by (PK, SK). `started_at` is the run's start, which {now: …} counts from."""
    items: Items = {}
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        rendered = [fixed_items(started_at)] + [item for render in ENTITIES.values() for item in render(db)]
    for loose in rendered:
        item = {name: value for name, value in loose.items() if value is not None}
        key = (item["PK"]["S"], item["SK"]["S"])
        assert key not in items, key
        items[key] = item
    return items


def comparable(value: Wire) -> Any:
    """A wire value in a form where == is DynamoDB's own: numbers by value, sets without order."""
    ((kind, content),) = value.items()
    if kind == "N":
        return kind, Decimal(content)
    if kind == "NS":
        return kind, frozenset(map(Decimal, content))
    if kind in ("SS", "BS"):
        return kind, frozenset(content)
    if kind == "L":
        return kind, [comparable(element) for element in content]
    if kind == "M":
        return kind, {name: comparable(member) for name, member in content.items()}
    return kind, content
