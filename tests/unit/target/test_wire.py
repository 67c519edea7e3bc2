from migrator.mapping.canonical import item_size
from migrator.mapping.model import IndexDefinition, Item, KeyAttribute, TableDefinition
from migrator.target.batch import identity
from migrator.target.outcome import Entry
from migrator.target.wire import consumed_units, send_batch, write_units

ID = TableDefinition("orders", KeyAttribute("id", "N"))


def entry(table, **attributes):
    item = Item(attributes, {}, item_size(attributes))
    return Entry(item, "E", identity(attributes, table), 0)


class Leaves:
    """Answers that items with this key, as the engine writes it, were not taken."""

    def __init__(self, text):
        self.text = text

    def batch_write_item(self, **request):
        return {"UnprocessedItems": {"orders": [{"PutRequest": {"Item": {"id": {"N": self.text}}}}]}}


def test_unprocessed_items_are_found_by_value_of_their_key(clock):
    """dynalite answers 1.50 as 1.5."""
    entries = (entry(ID, id={"N": "1.50"}), entry(ID, id={"N": "2"}))
    result = send_batch(Leaves("1.5"), ID, entries, clock)
    assert (result.unprocessed, result.written) == (entries[:1], entries[1:])


def test_indexes_an_item_enters_cost_as_well():
    table = TableDefinition(
        "orders",
        KeyAttribute("id", "N"),
        global_indexes=(
            IndexDefinition("all", KeyAttribute("a")),
            IndexDefinition("keys", KeyAttribute("a"), projection="KEYS_ONLY"),
            IndexDefinition("sparse", KeyAttribute("none")),
        ),
    )
    large = entry(table, id={"N": "1"}, a={"S": "x"}, text={"S": "y" * 3_000})
    assert write_units(large.item, table) == 3 + 3 + 1


def test_a_report_of_less_than_a_unit_an_item_is_not_believed():
    entries = tuple(entry(ID, id={"N": str(n)}, text={"S": "y" * 1_500}) for n in range(3))
    assert consumed_units([{"CapacityUnits": 1.0}], entries, ID) == 6.0
    assert consumed_units([{"CapacityUnits": 12.0}], entries, ID) == 12.0
    assert consumed_units([], entries, ID) == 6.0
