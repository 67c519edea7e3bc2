"""How source files are named: paths, and s3://BUCKET/KEY, where the key may be a glob."""

from __future__ import annotations

import glob
import re

#: Files that SQLite keeps beside a database: a glob such as shop.sqlite* finds them, too.
COMPANIONS = ("-wal", "-shm", "-journal")
_S3 = "s3://"
_MAGIC = re.compile(r"[*?[]")
#: What a glob says -> what a regular expression does; `*` stays within a folder, as in a shell.
_TOKEN = re.compile(
    r"(?P<folders>(?<![^/])\*\*/)|(?P<rest>(?<![^/])\*\*$)|(?P<many>\*+)|(?P<one>\?)|(?P<set>\[!?\]?[^\]]*\])"
)


def is_remote(path: str) -> bool:
    return path.startswith(_S3)


def bucket_and_key(url: str) -> tuple[str, str]:
    """
    >>> bucket_and_key("s3://bucket/tenants/*.sqlite")
    ('bucket', 'tenants/*.sqlite')
    """
    bucket, _, key = url.removeprefix(_S3).partition("/")
    return bucket, key


def require_key(url: str) -> str:
    """The URL, which names a bucket and a key. Raises ValueError.

    >>> require_key("s3://bucket/")
    Traceback (most recent call last):
    ValueError: "s3://bucket/" names no file
    """
    bucket, key = bucket_and_key(url)
    if not bucket or not key or key.endswith("/"):
        raise ValueError(f'"{url}" names no file')
    return url


def is_glob(key: str) -> bool:
    return glob.has_magic(key)


def literal_prefix(key: str) -> str:
    """What all keys begin with that a glob may find.

    >>> literal_prefix("tenants/*/shop.sqlite"), literal_prefix("shop.sqlite")
    ('tenants/', 'shop.sqlite')
    """
    return _MAGIC.split(key, maxsplit=1)[0]


def key_matcher(key: str) -> re.Pattern[str]:
    """What a glob finds, as `glob.glob` would among files: `**` goes through folders, `*` does not.

    >>> [bool(key_matcher("a/*.db").fullmatch(key)) for key in ("a/b.db", "a/b/c.db")]
    [True, False]
    >>> bool(key_matcher("a/**/*.db").fullmatch("a/b.db")), bool(key_matcher("[!x]?").fullmatch("xy"))
    (True, False)
    """
    pattern, position = "", 0
    for token in _TOKEN.finditer(key):
        pattern += re.escape(key[position : token.start()]) + _regular(token)
        position = token.end()
    return re.compile(pattern + re.escape(key[position:]), re.DOTALL)


def _regular(token: re.Match[str]) -> str:
    if token["set"]:
        inner = token["set"][1:-1].replace("\\", r"\\")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return {"folders": "(?:.*/)?", "rest": ".*", "many": "[^/]*", "one": "[^/]"}[str(token.lastgroup)]
