"""What Chinook must become in one table, and what must then be answered, by sqlite3 and plain Python alone.

`expected_items` renders every item by hand; `QUESTIONS` asks the table what the shop asks and the source file
the same in SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

Wire = dict[str, Any]
Items = dict[tuple[str, str], dict[str, Wire]]
Row = sqlite3.Row

PAGE_ITEMS = 400  # small, so that long answers come in several pages


def connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    return db


def by_value(value: float | str | None) -> Wire | None:
    if value is None:
        return None
    return {"S": value} if isinstance(value, str) else {"N": repr(value)}


def item(**values: Any) -> dict[str, Wire]:
    """Plain values to wire values; what is a wire value already stays, None is left out."""
    wired = {name: value if isinstance(value, dict) else by_value(value) for name, value in values.items()}
    return {name: value for name, value in wired.items() if value is not None}


def m(**values: Any) -> Wire:
    return {"M": item(**values)}


def table(db: sqlite3.Connection, name: str, key: str) -> dict[int, Row]:
    return {row[key]: row for row in db.execute(f'SELECT * FROM "{name}"')}


def group(db: sqlite3.Connection, name: str, column: str, order: str) -> dict[int, list[Row]]:
    groups: dict[int, list[Row]] = {}
    for row in db.execute(f'SELECT * FROM "{name}" ORDER BY {order}'):
        groups.setdefault(row[column], []).append(row)
    return groups


def full_name(row: Row) -> str:
    return f"{row['FirstName']} {row['LastName']}"


# ---- entities


def genres(db: sqlite3.Connection) -> Iterator[dict[str, Wire]]:
    for genre_id, r in table(db, "Genre", "GenreId").items():
        yield item(PK=f"GENRE#{genre_id}", SK="METADATA", entityType="Genre", genreId=genre_id, Name=r["Name"])


def artists(db: sqlite3.Connection) -> Iterator[dict[str, Wire]]:
    albums = group(db, "Album", "ArtistId", "Title DESC, AlbumId")
    for artist_id, r in table(db, "Artist", "ArtistId").items():
        yield item(
            PK=f"ARTIST#{artist_id}",
            SK="PROFILE",
            entityType="Artist",
            artistId=artist_id,
            name=r["Name"],
            albums={"L": [m(albumId=a["AlbumId"], title=a["Title"]) for a in albums.get(artist_id, [])]},
        )


def albums(db: sqlite3.Connection) -> Iterator[dict[str, Wire]]:
    artist, tracks = table(db, "Artist", "ArtistId"), group(db, "Track", "AlbumId", "TrackId")
    for album_id, r in table(db, "Album", "AlbumId").items():
        yield item(
            PK=f"ARTIST#{r['ArtistId']}",
            SK=f"ALBUM#{album_id:05d}",
            GSI1PK=f"ALBUM#{album_id}",
            GSI1SK="METADATA",
            entityType="Album",
            albumId=album_id,
            title=r["Title"],
            artist=m(artistId=r["ArtistId"], name=artist[r["ArtistId"]]["Name"]),
            trackNames={"L": [{"S": t["Name"]} for t in tracks.get(album_id, [])]},
        )


def tracks(db: sqlite3.Connection) -> Iterator[dict[str, Wire]]:
    album, genre = table(db, "Album", "AlbumId"), table(db, "Genre", "GenreId")
    media = table(db, "MediaType", "MediaTypeId")
    for track_id, r in table(db, "Track", "TrackId").items():
        yield item(
            PK=f"ARTIST#{album[r['AlbumId']]['ArtistId']}",
            SK=f"ALBUM#{r['AlbumId']:05d}#TRACK#{track_id:06d}",
            GSI1PK=f"ALBUM#{r['AlbumId']}",
            GSI1SK=f"TRACK#{track_id:06d}",
            GSI2PK=f"GENRE#{r['GenreId']}",
            GSI2SK=f"{r['Name']}#{track_id}",
            GSI3PK=f"GENRE#{r['GenreId']}",
            GSI3SK=r["Milliseconds"],
            entityType="Track",
            trackId=track_id,
            name=r["Name"],
            composer={"NULL": True} if r["Composer"] is None else r["Composer"],
            genre=m(genreId=r["GenreId"], name=genre[r["GenreId"]]["Name"]),
            mediaType=m(name=media[r["MediaTypeId"]]["Name"]),
            milliseconds=r["Milliseconds"],
            bytes=r["Bytes"],
            unitPrice=r["UnitPrice"],
        )


def customers(db: sqlite3.Connection) -> Iterator[dict[str, Wire]]:
    employee = table(db, "Employee", "EmployeeId")
    for customer_id, r in table(db, "Customer", "CustomerId").items():
        rep = employee[r["SupportRepId"]]
        yield item(
            PK=f"CUSTOMER#{customer_id}",
            SK="PROFILE",
            GSI1PK=f"EMAIL#{r['Email'].lower()}",
            GSI1SK=f"CUSTOMER#{customer_id}",
            GSI2PK=f"COUNTRY#{r['Country'].upper()}",
            GSI2SK=f"CUSTOMER#{r['City']}#{customer_id}",
            entityType="Customer",
            customerId=customer_id,
            name=full_name(r),
            email=r["Email"],
            city=r["City"],
            country=r["Country"],
            supportRepId=r["SupportRepId"],
            supportRep=m(name=full_name(rep), email=rep["Email"]),
            **{column: r[column] for column in ("Company", "Address", "State", "PostalCode", "Phone")},
        )


def invoices(db: sqlite3.Connection) -> Iterator[dict[str, Wire]]:
    lines = group(db, "InvoiceLine", "InvoiceId", "InvoiceLineId")
    track, album = table(db, "Track", "TrackId"), table(db, "Album", "AlbumId")

    def line(r: Row) -> Wire:
        sold = track[r["TrackId"]]
        return m(
            lineId=r["InvoiceLineId"],
            quantity=r["Quantity"],
            unitPrice=r["UnitPrice"],
            track=m(trackId=r["TrackId"], name=sold["Name"], album=m(title=album[sold["AlbumId"]]["Title"])),
        )

    for invoice_id, r in table(db, "Invoice", "InvoiceId").items():
        day, time = r["InvoiceDate"].split(" ")
        yield item(
            PK=f"CUSTOMER#{r['CustomerId']}",
            SK=f"INVOICE#{day}#{invoice_id}",
            GSI1PK=f"INVOICE#{invoice_id}",
            GSI1SK="METADATA",
            GSI2PK=f"COUNTRY#{r['BillingCountry'].upper()}",
            GSI2SK=f"INVOICE#{day}T{time}Z#{invoice_id}",
            GSI3PK="INVOICES",
            GSI3SK=r["Total"],
            entityType="Invoice",
            invoiceId=invoice_id,
            customerId=r["CustomerId"],
            date=f"{day}T{time}Z",
            dateEpoch=int(datetime.fromisoformat(r["InvoiceDate"]).replace(tzinfo=UTC).timestamp()),
            billing=m(
                address=r["BillingAddress"],
                city=r["BillingCity"],
                state=r["BillingState"],
                country=r["BillingCountry"],
                postalCode=r["BillingPostalCode"],
            ),
            total=r["Total"],
            lines={"L": [line(x) for x in lines.get(invoice_id, [])]},
        )


def playlists(db: sqlite3.Connection) -> Iterator[dict[str, Wire]]:
    for playlist_id, r in table(db, "Playlist", "PlaylistId").items():
        yield item(
            PK=f"PLAYLIST#{playlist_id}",
            SK="METADATA",
            entityType="Playlist",
            playlistId=playlist_id,
            Name=r["Name"],
        )


def playlist_tracks(db: sqlite3.Connection) -> Iterator[dict[str, Wire]]:
    track, playlist = table(db, "Track", "TrackId"), table(db, "Playlist", "PlaylistId")
    for playlist_id, track_id in db.execute("SELECT PlaylistId, TrackId FROM PlaylistTrack"):
        yield item(
            PK=f"PLAYLIST#{playlist_id}",
            SK=f"TRACK#{track_id:06d}",
            entityType="PlaylistTrack",
            trackId=track_id,
            track=m(name=track[track_id]["Name"], milliseconds=track[track_id]["Milliseconds"]),
        )
        yield item(
            PK=f"TRACK#{track_id}",
            SK=f"PLAYLIST#{playlist_id:04d}",
            entityType="TrackPlaylist",
            playlistId=playlist_id,
            playlist=m(name=playlist[playlist_id]["Name"]),
        )


def employees(db: sqlite3.Connection) -> Iterator[dict[str, Wire]]:
    everyone, reports = table(db, "Employee", "EmployeeId"), group(db, "Employee", "ReportsTo", "LastName")
    for employee_id, r in everyone.items():
        boss = everyone.get(r["ReportsTo"])
        yield item(
            PK=f"EMPLOYEE#{employee_id}",
            SK="PROFILE",
            GSI1PK=boss and f"MANAGER#{r['ReportsTo']}",
            GSI1SK=f"EMPLOYEE#{employee_id}",
            entityType="Employee",
            employeeId=employee_id,
            name=full_name(r),
            title=r["Title"],
            birthDate=r["BirthDate"][:10],
            hireDate=r["HireDate"][:10],
            manager=boss and m(employeeId=boss["EmployeeId"], title=boss["Title"]),
            reports={"L": [{"S": x["LastName"].upper()} for x in reports.get(employee_id, [])]},
        )
        if boss:
            yield item(
                PK=f"EMPLOYEE#{r['ReportsTo']}",
                SK=f"REPORT#{employee_id}",
                entityType="Report",
                employeeId=employee_id,
                name=full_name(r),
                email=r["Email"].lower(),
            )


#: The mapping's name of the entity -> its rendering
ENTITIES: dict[str, Callable[[sqlite3.Connection], Iterator[dict[str, Wire]]]] = {
    "Genre": genres,
    "Artist": artists,
    "Album": albums,
    "Track": tracks,
    "Customer": customers,
    "Invoice": invoices,
    "Playlist": playlists,
    "PlaylistTrack": playlist_tracks,
    "Employee": employees,
}


def expected_items(path: Path) -> Items:
    """Every item of the table, by (PK, SK)."""
    items: Items = {}
    with closing(connect(path)) as db:
        for render in ENTITIES.values():
            for rendered in render(db):
                key = (rendered["PK"]["S"], rendered["SK"]["S"])
                assert key not in items, key
                items[key] = rendered
    return items


# ---- questions


@dataclass(frozen=True)
class Question:
    """What the shop asks: of the table, and of the source in SQL. Both give a list in the order asked for."""

    name: str
    ask: Callable[[Any, str], list[Any]]  #: (boto3 client, table name)
    sql: str
    parameters: tuple[Any, ...] = ()

    def expected(self, db: sqlite3.Connection) -> list[Any]:
        """One value a row, or a tuple; REAL as Decimal, as DynamoDB gives it back."""
        found = [tuple(map(_exact, row)) for row in db.execute(self.sql, self.parameters)]
        return [row[0] if len(row) == 1 else row for row in found]


def _exact(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, (int, float)) else value


def _plain(value: Wire) -> Any:
    ((kind, content),) = value.items()
    return Decimal(content) if kind == "N" else content


def query(client: Any, table_name: str, condition: str, *, limit: int | None = None, **request: Any) -> list[Any]:
    """All items of a Query, through its pages; `request` gives index, direction and :values."""
    values = {f":{name}": request.pop(name) for name in list(request) if isinstance(request[name], dict)}
    request |= {"TableName": table_name, "KeyConditionExpression": condition, "ExpressionAttributeValues": values}
    items: list[Any] = []
    for page in client.get_paginator("query").paginate(**request, PaginationConfig={"PageSize": PAGE_ITEMS}):
        items += page["Items"]
        if limit is not None and len(items) >= limit:
            return items[:limit]
    return items


def values_of(items: list[Any], *names: str) -> list[Any]:
    rows = [tuple(_plain(item[name]) for name in names) for item in items]
    return [row[0] if len(row) == 1 else row for row in rows]


def _discography(client: Any, name: str) -> list[Any]:
    items = query(client, name, "PK = :pk AND begins_with(SK, :sk)", pk={"S": "ARTIST#90"}, sk={"S": "ALBUM#"})
    return [item["title" if item["entityType"]["S"] == "Album" else "name"]["S"] for item in items]


def _album(client: Any, name: str) -> list[Any]:
    items = query(
        client,
        name,
        "GSI1PK = :pk AND begins_with(GSI1SK, :sk)",
        IndexName="GSI1",
        pk={"S": "ALBUM#141"},
        sk={"S": "TRACK#"},
    )
    return values_of(items, "trackId", "name", "unitPrice")


def _customer_by_email(client: Any, name: str) -> list[Any]:
    items = query(client, name, "GSI1PK = :pk", IndexName="GSI1", pk={"S": "EMAIL#luisg@embraer.com.br"})
    return values_of(items, "customerId", "name")


def _latest_invoices(client: Any, name: str) -> list[Any]:
    items = query(
        client,
        name,
        "PK = :pk AND begins_with(SK, :sk)",
        limit=3,
        ScanIndexForward=False,
        pk={"S": "CUSTOMER#5"},
        sk={"S": "INVOICE#"},
    )
    return values_of(items, "invoiceId", "total")


def _lines_of_an_invoice(client: Any, name: str) -> list[Any]:
    (invoice,) = query(client, name, "GSI1PK = :pk", IndexName="GSI1", pk={"S": "INVOICE#404"})
    lines = [line["M"] for line in invoice["lines"]["L"]]
    return [(line["track"]["M"]["name"]["S"], Decimal(line["unitPrice"]["N"])) for line in lines]


def _tracks_of_a_playlist(client: Any, name: str) -> list[Any]:
    items = query(client, name, "PK = :pk AND begins_with(SK, :sk)", pk={"S": "PLAYLIST#5"}, sk={"S": "TRACK#"})
    return [item["track"]["M"]["name"]["S"] for item in items]


def _playlists_of_a_track(client: Any, name: str) -> list[Any]:
    items = query(client, name, "PK = :pk", pk={"S": "TRACK#3"})
    return [item["playlist"]["M"]["name"]["S"] for item in items]


def _team_in_the_partition(client: Any, name: str) -> list[Any]:
    items = query(client, name, "PK = :pk AND begins_with(SK, :sk)", pk={"S": "EMPLOYEE#2"}, sk={"S": "REPORT#"})
    return values_of(items, "employeeId", "email")


def _team_by_index(client: Any, name: str) -> list[Any]:
    items = query(client, name, "GSI1PK = :pk", IndexName="GSI1", pk={"S": "MANAGER#6"})
    return values_of(items, "employeeId", "hireDate")


def _customers_of_a_country(client: Any, name: str) -> list[Any]:
    items = query(
        client,
        name,
        "GSI2PK = :pk AND begins_with(GSI2SK, :sk)",
        IndexName="GSI2",
        pk={"S": "COUNTRY#BRAZIL"},
        sk={"S": "CUSTOMER#"},
    )
    return sorted(values_of(items, "customerId"))


def _invoices_of_a_year(client: Any, name: str) -> list[Any]:
    items = query(
        client,
        name,
        "GSI2PK = :pk AND GSI2SK BETWEEN :low AND :high",
        IndexName="GSI2",
        pk={"S": "COUNTRY#USA"},
        low={"S": "INVOICE#2023"},
        high={"S": "INVOICE#2024"},
    )
    return sorted(values_of(items, "invoiceId"))


def _longest_tracks(client: Any, name: str) -> list[Any]:
    items = query(client, name, "GSI3PK = :pk", limit=5, IndexName="GSI3", ScanIndexForward=False, pk={"S": "GENRE#1"})
    return values_of(items, "GSI3SK")


def _invoices_over_15(client: Any, name: str) -> list[Any]:
    items = query(client, name, "GSI3PK = :pk AND GSI3SK > :n", IndexName="GSI3", pk={"S": "INVOICES"}, n={"N": "15"})
    return values_of(items, "GSI3SK")


QUESTIONS = (
    Question(
        "an artist's albums with their tracks, in order",
        _discography,
        """SELECT text FROM (
             SELECT AlbumId, 0 AS TrackId, Title AS text FROM Album WHERE ArtistId = 90 UNION ALL
             SELECT AlbumId, TrackId, Name FROM Track JOIN Album USING (AlbumId) WHERE ArtistId = 90
           ) ORDER BY AlbumId, TrackId""",
    ),
    Question(
        "the tracks of an album",
        _album,
        "SELECT TrackId, Name, UnitPrice FROM Track WHERE AlbumId = 141 ORDER BY TrackId",
    ),
    Question(
        "a customer by e-mail",
        _customer_by_email,
        "SELECT CustomerId, FirstName || ' ' || LastName FROM Customer WHERE Email = 'luisg@embraer.com.br'",
    ),
    Question(
        "a customer's three latest invoices",
        _latest_invoices,
        "SELECT InvoiceId, Total FROM Invoice WHERE CustomerId = 5 ORDER BY InvoiceDate DESC LIMIT 3",
    ),
    Question(
        "the lines of an invoice with the names of their tracks",
        _lines_of_an_invoice,
        """SELECT Name, InvoiceLine.UnitPrice FROM InvoiceLine JOIN Track USING (TrackId)
           WHERE InvoiceId = 404 ORDER BY InvoiceLineId""",
    ),
    Question(
        "the tracks of a playlist, over several pages",
        _tracks_of_a_playlist,
        "SELECT Name FROM PlaylistTrack JOIN Track USING (TrackId) WHERE PlaylistId = 5 ORDER BY TrackId",
    ),
    Question(
        "the playlists of a track",
        _playlists_of_a_track,
        "SELECT Name FROM PlaylistTrack JOIN Playlist USING (PlaylistId) WHERE TrackId = 3 ORDER BY PlaylistId",
    ),
    Question(
        "a manager's team",
        _team_in_the_partition,
        "SELECT EmployeeId, lower(Email) FROM Employee WHERE ReportsTo = 2 ORDER BY EmployeeId",
    ),
    Question(
        "a manager's team, by index",
        _team_by_index,
        "SELECT EmployeeId, date(HireDate) FROM Employee WHERE ReportsTo = 6 ORDER BY EmployeeId",
    ),
    Question(
        "the customers of a country",
        _customers_of_a_country,
        "SELECT CustomerId FROM Customer WHERE Country = 'Brazil' ORDER BY CustomerId",
    ),
    Question(
        "a country's invoices of one year",
        _invoices_of_a_year,
        """SELECT InvoiceId FROM Invoice WHERE BillingCountry = 'USA' AND strftime('%Y', InvoiceDate) = '2023'
           ORDER BY InvoiceId""",
    ),
    Question(
        "the five longest tracks of a genre",
        _longest_tracks,
        "SELECT Milliseconds FROM Track WHERE GenreId = 1 ORDER BY Milliseconds DESC LIMIT 5",
    ),
    Question(
        "invoices over 15, from the lowest",
        _invoices_over_15,
        "SELECT Total FROM Invoice WHERE Total > 15 ORDER BY Total",
    ),
)
