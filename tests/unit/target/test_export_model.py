"""Names and parameters of exported tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from export_definitions import EVERYTHING, SILENT, defined
from migrator.target.export_model import all_parameters, exported_tables

# The table's name in the mapping -> its name in a template
LABELS = [
    ("orders", "orders"),
    ("OrderHistory", "order_history"),
    ("${STAGE:-dev}-products", "products"),
    ("shop-${STAGE:-dev}-main", "shop_main"),
    ("shop.${STAGE:-dev}_v2", "shop_v2"),
    ("${TABLE:-orders}", "orders"),
    ("orders-table", "orders"),
    ("table", "table"),
    ("2024-orders", "table_2024_orders"),
    ("---", "table"),
]

# Variables that may not be called as they are: a setting has the name, or Terraform keeps it.
TAKEN = [
    *("billing_mode", "read_capacity", "write_capacity", "table_class", "tags", "alarm_actions"),
    *("enable_point_in_time_recovery", "enable_deletion_protection", "gsi1_read_capacity"),
    *("version", "source", "count"),
]


@pytest.mark.parametrize(("name", "label"), LABELS)
def test_a_table_is_called_by_the_words_that_stay(name: str, label: str, tmp_path: Path) -> None:
    (table,) = exported_tables(defined(tmp_path, f"\n  name: {name}\n  partition_key: id\n"))
    assert table.label == label


def test_two_tables_of_one_label_are_numbered(tmp_path: Path) -> None:
    blocks = [f"\n  name: {name}\n  partition_key: id\n" for name in ("order-history", "OrderHistory")]
    assert [table.label for table in exported_tables(defined(tmp_path, *blocks))] == [
        "order_history",
        "order_history_2",
    ]


def test_the_defaults_are_what_the_mapping_says(tmp_path: Path) -> None:
    tables = exported_tables(defined(tmp_path, EVERYTHING))
    assert {parameter.name: parameter.default for parameter in all_parameters(tables)} == {
        "stage": "dev",
        "billing_mode": "PROVISIONED",
        "read_capacity": 3,
        "write_capacity": 4,
        "enable_point_in_time_recovery": True,
        "enable_deletion_protection": True,
        "table_class": "STANDARD_INFREQUENT_ACCESS",
        "tags": (("Project", 'a "quoted" ${word}'), ("Nothing", "")),
        "by_owner_read_capacity": 7,
        "by_owner_write_capacity": 8,
    }


def test_where_the_mapping_is_silent_the_defaults_are_the_service_s(tmp_path: Path) -> None:
    tables = exported_tables(defined(tmp_path, SILENT))
    assert {parameter.name: parameter.default for parameter in all_parameters(tables)} == {
        "billing_mode": "PAY_PER_REQUEST",
        "read_capacity": 5,
        "write_capacity": 5,
        "enable_point_in_time_recovery": False,
        "enable_deletion_protection": False,
        "table_class": "STANDARD",
        "tags": (),
    }


def test_a_variable_s_default_is_the_value_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "prod")
    (table,) = exported_tables(defined(tmp_path, EVERYTHING))
    assert table.parameters["stage"].default == "prod"


def test_tables_that_agree_share_a_parameter_and_those_that_differ_have_their_own(tmp_path: Path) -> None:
    same = "\n  partition_key: id\n  name: ${STAGE:-dev}-"
    blocks = [f"{same}orders\n", f"{same}logs\n  table_class: STANDARD_INFREQUENT_ACCESS\n"]
    names = [parameter.name for parameter in all_parameters(exported_tables(defined(tmp_path, *blocks)))]
    assert names.count("stage") == names.count("billing_mode") == 1
    assert [name for name in names if "table_class" in name] == ["orders_table_class", "logs_table_class"]


def test_a_description_says_which_tables_a_parameter_is_for(tmp_path: Path) -> None:
    blocks = ["\n  name: orders\n  partition_key: id\n  deletion_protection: true\n", SILENT]
    described = {each.name: each.description for each in all_parameters(exported_tables(defined(tmp_path, *blocks)))}
    assert described["table_class"] == "Table class of the tables"
    assert described["orders_enable_deletion_protection"] == "Deletion protection of the table orders"


@pytest.mark.parametrize("name", TAKEN)
def test_a_variable_takes_no_name_that_means_something_else(name: str, tmp_path: Path) -> None:
    (table,) = exported_tables(defined(tmp_path, f"\n  name: ${{{name.upper()}:-my}}-orders\n  partition_key: id\n"))
    (variable, text) = table.text("name", "my-orders")
    assert (variable, text) == (table.parameters[f"value_of_{name}"], "-orders")


def test_a_second_default_of_a_variable_in_one_table_stays_text(tmp_path: Path) -> None:
    block = "\n  name: ${STAGE:-dev}-orders\n  partition_key: id\n  tags: {Stage: '${STAGE:-test}'}\n"
    (table,) = exported_tables(defined(tmp_path, block))
    assert table.tag_texts() == {"Stage": ("test",)}


def test_indexes_whose_names_differ_in_marks_only_have_capacity_of_their_own(tmp_path: Path) -> None:
    index = "{partition_key: a, capacity: {read: %d, write: 1}}"
    indexes = f"{{by-a: {index % 2}, by_a: {index % 3}}}"
    block = (
        f"\n  name: orders\n  partition_key: id\n  billing_mode: {{read: 1, write: 1}}\n  global_indexes: {indexes}\n"
    )
    (table,) = exported_tables(defined(tmp_path, block))
    assert [table.capacity_parameters(each)[0].default for each in table.definition.global_indexes] == [2, 3]


def test_the_key_that_aws_manages_leaves_no_parameter_that_nothing_uses(tmp_path: Path) -> None:
    block = "\n  name: orders\n  partition_key: id\n  encryption: {kms_key: '${KEY:-alias/aws/dynamodb}'}\n"
    (table,) = exported_tables(defined(tmp_path, block))
    assert "key" not in table.parameters
