from migrator.mapping.canonical import item_size
from migrator.mapping.encoded import encode_item
from migrator.mapping.model import Item, KeyAttribute, TableDefinition
from migrator.target.wire import Batch, consumed_units, read_batch

ID = TableDefinition("orders", KeyAttribute("id", "N"))


def encoded(**attributes):
    return encode_item(Item(attributes, {}, item_size(attributes)), ID)


def test_unprocessed_items_are_found_by_value_of_their_key():
    """dynalite answers 1.50 as 1.5."""
    items = [encoded(id={"N": "1.50"}), encoded(id={"N": "2"})]
    answer = {"UnprocessedItems": {"orders": [{"PutRequest": {"Item": {"id": {"N": "1.5"}}}}]}}
    result = read_batch(answer, Batch.of(items), ID)
    assert (list(result.unprocessed.items), list(result.written.items)) == (items[:1], items[1:])


def test_unprocessed_items_are_found_by_a_binary_key():
    table = TableDefinition("orders", KeyAttribute("id", "B"))
    items = [encode_item(Item({"id": {"B": key}}, {}, 3), table) for key in (b"\xff", b"a")]
    answer = {"UnprocessedItems": {"orders": [{"PutRequest": {"Item": {"id": {"B": "/w=="}}}}]}}
    assert list(read_batch(answer, Batch.of(items), table).unprocessed.items) == items[:1]


def test_an_answer_without_unprocessed_items_left_none():
    batch = Batch.of([encoded(id={"N": "1"})])
    assert read_batch({}, batch, ID).written is batch


def test_a_report_of_less_than_a_unit_an_item_is_not_believed():
    batch = Batch.of([encoded(id={"N": str(n)}, text={"S": "y" * 1_500}) for n in range(3)])
    assert consumed_units([{"CapacityUnits": 1.0}], batch) == 6.0
    assert consumed_units([{"CapacityUnits": 12.0}], batch) == 12.0
    assert consumed_units([], batch) == 6.0
