"""A DynamoDB that forgets: it describes any table as ACTIVE with keys PK and SK and takes every BatchWriteItem.

Measures a writer without an engine's own ceiling: `python benchmarks/sink.py PORT [LATENCY_MS]`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib

KEYS = [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}]


def describe(body: bytes) -> dict[str, object]:
    attributes = [{"AttributeName": key["AttributeName"], "AttributeType": "S"} for key in KEYS]
    table = {"TableName": json.loads(body)["TableName"], "TableStatus": "ACTIVE", "KeySchema": KEYS, "ItemCount": 0}
    return {"Table": {**table, "AttributeDefinitions": attributes, "TableSizeBytes": 0, "TableId": "sink"}}


ANSWERS = {b"DescribeTable": describe, b"BatchWriteItem": lambda body: {"UnprocessedItems": {}}}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency_s: float) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            headers = {name.lower(): value for name, value in lines.items()}
            body = await reader.readexactly(int(headers[b"content-length"]))
            await asyncio.sleep(latency_s)
            writer.write(answer(headers[b"x-amz-target"].rpartition(b".")[2], body))
    except (asyncio.IncompleteReadError, ConnectionResetError):
        writer.close()


def answer(operation: bytes, body: bytes) -> bytes:
    known = ANSWERS.get(operation)
    status = "200 OK" if known else "400 Bad Request"
    text = json.dumps(known(body) if known else {"__type": "UnknownOperationException"}).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {len(text)}\r\n"
    return f"{head}x-amz-crc32: {zlib.crc32(text)}\r\n\r\n".encode() + text


async def main(port: int, latency_ms: float) -> None:
    server = await asyncio.start_server(lambda r, w: serve(r, w, latency_ms / 1000), "127.0.0.1", port, limit=2**25)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
