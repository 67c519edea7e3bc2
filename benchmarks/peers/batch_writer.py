"""boto3's `Table.batch_writer()`: what most people use."""

import boto3

from benchmarks.case import TABLE
from benchmarks.peers.common import items

table = boto3.resource("dynamodb").Table(TABLE)
with table.batch_writer() as batch:
    for item in items():
        batch.put_item(Item=item)
