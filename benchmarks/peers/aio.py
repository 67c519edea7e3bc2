"""aiobotocore with 64 requests in flight."""

import asyncio

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from boto3.dynamodb.types import TypeSerializer

from benchmarks.case import TABLE, Item
from benchmarks.peers.common import items, iter_batches

IN_FLIGHT = 64

serialize = TypeSerializer().serialize


async def write(client, batch: list[Item], room: asyncio.Semaphore) -> None:
    wanted = {TABLE: [{"PutRequest": {"Item": {name: serialize(item[name]) for name in item}}} for item in batch]}
    pause_s = 0.05
    try:
        while wanted := (await client.batch_write_item(RequestItems=wanted))["UnprocessedItems"]:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 5)
    finally:
        room.release()


async def main() -> None:
    room = asyncio.Semaphore(IN_FLIGHT)
    config = AioConfig(max_pool_connections=IN_FLIGHT)
    async with get_session().create_client("dynamodb", config=config) as client, asyncio.TaskGroup() as tasks:
        for batch in iter_batches(items()):
            await room.acquire()
            tasks.create_task(write(client, batch, room))


asyncio.run(main())
