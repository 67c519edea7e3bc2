"""DynamoDB's documented limits, each with the page that states it.

Pages are those of the Amazon DynamoDB developer guide and API reference.
"""

from __future__ import annotations

from decimal import Decimal

# "Item size" — ServiceQuotas / Constraints
ITEM_SIZE_BYTES = 400 * 1024
# "Partition keys and sort keys" — Constraints
PARTITION_KEY_BYTES = 2048
SORT_KEY_BYTES = 1024
# "Attribute names" — Constraints: 64 KB, but 255 bytes for the names of keys
ATTRIBUTE_NAME_BYTES = 64 * 1024
KEY_ATTRIBUTE_NAME_BYTES = 255
# "Nested attribute depth" — Constraints: 32 levels, the item itself being the first
NESTING_LEVELS = 31
# "Number" — HowItWorks.NamingRulesDataTypes
NUMBER_DIGITS = 38
NUMBER_MAGNITUDE_MAX = Decimal("9.9999999999999999999999999999999999999E+125")
NUMBER_MAGNITUDE_MIN = Decimal("1E-130")
# "BatchWriteItem" — API reference: 25 requests, 16 MB
BATCH_ITEMS = 25
BATCH_WIRE_BYTES = 16 * 1024 * 1024
# "Table names" — HowItWorks.NamingRulesDataTypes
TABLE_NAME_PATTERN = r"[a-zA-Z0-9_.-]{3,255}"
# "Secondary indexes per table" — Constraints
GLOBAL_INDEXES = 20
LOCAL_INDEXES = 5
# "Write request units" — CapacityUnitCalculations
WRITE_UNIT_BYTES = 1024
# "Projected secondary index attributes" — Constraints: over all indexes of a table, where a list names them
PROJECTED_ATTRIBUTES = 100
# "Import quotas" — S3DataImport.Validation
IMPORT_FILES = 50_000
