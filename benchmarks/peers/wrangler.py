"""awswrangler's `put_items`, in slabs, since it takes a list."""

import awswrangler

from benchmarks.case import TABLE
from benchmarks.peers.common import items, iter_batches

SLAB = 20_000

for slab in iter_batches(items(), SLAB):
    awswrangler.dynamodb.put_items(items=slab, table_name=TABLE)
