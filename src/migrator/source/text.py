"""Text as SQLite stores it: usually UTF-8, and sometimes not.

sqlite3 raises in the middle of a result for one invalid value and loses the rows after it, so text is taken
as bytes and decoded strictly here; what does not decode stays visible as InvalidText.
"""

from __future__ import annotations


class InvalidText(bytes):
    """The bytes of a TEXT value that are not UTF-8. Test for it before `bytes`, which is a BLOB.

    As in SQLite it equals no BLOB: keys of both kinds may stand side by side.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InvalidText) and bytes.__eq__(self, other)

    __hash__ = bytes.__hash__


#: What a SQLite value is in Python: NULL, INTEGER, REAL, TEXT, BLOB, or TEXT that is not UTF-8.
SqliteValue = None | int | float | str | bytes | InvalidText


def decode_text(raw: bytes) -> str | InvalidText:
    """For `sqlite3.Connection.text_factory`.

    >>> decode_text(b"caf\\xc3\\xa9"), decode_text(b"\\xff")
    ('café', b'\\xff')
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return InvalidText(raw)


def storage_class(value: SqliteValue) -> str:
    """SQLite's word for a value, as `typeof()` in capitals.

    >>> storage_class(1.5), storage_class(b""), storage_class(None)
    ('REAL', 'BLOB', 'NULL')
    """
    match value:
        case None:
            return "NULL"
        case int():
            return "INTEGER"
        case float():
            return "REAL"
        case str() | InvalidText():
            return "TEXT"
        case _:
            return "BLOB"
