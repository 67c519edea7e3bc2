"""A boto3 client shared by eight threads; `--no-validation` turns botocore's parameter validation off."""

import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import boto3
from boto3.dynamodb.types import TypeSerializer
from botocore.config import Config

from benchmarks.case import TABLE, Item
from benchmarks.peers.common import items, iter_batches

THREADS = 8
IN_FLIGHT = THREADS * 2

validation = "--no-validation" not in sys.argv
client = boto3.client("dynamodb", config=Config(max_pool_connections=THREADS, parameter_validation=validation))
serialize = TypeSerializer().serialize


def write(batch: list[Item]) -> None:
    wanted = {TABLE: [{"PutRequest": {"Item": {name: serialize(item[name]) for name in item}}} for item in batch]}
    pause_s = 0.05
    while wanted := client.batch_write_item(RequestItems=wanted)["UnprocessedItems"]:
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 5)


with ThreadPoolExecutor(THREADS) as threads:
    pending: set[Future[None]] = set()
    for batch in iter_batches(items()):
        if len(pending) >= IN_FLIGHT:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
        pending.add(threads.submit(write, batch))
    for future in pending:
        future.result()
