"""What the templates of all formats share: the tables' names in them, their parameters, and how texts refer to those.

A parameter is asked for by a table under its own name. Where all tables that ask for it agree on the default it is one
parameter for all of them; where they do not, each table has one, named after the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from migrator.mapping.model import AWS_MANAGED, AWS_OWNED, Capacity, IndexDefinition, TableDefinition
from migrator.mapping.tabledef import TABLE_CLASSES
from migrator.yamlfile import Variable, join

BILLING_MODES = ("PAY_PER_REQUEST", "PROVISIONED")
ENCRYPTION_KEY = "encryption.kms_key"
INDEX_KINDS = {"gsi": "Global secondary indexes", "lsi": "Local secondary indexes"}

# For who switches to PROVISIONED a table of which the mapping gives no units: what the console proposes.
_UNSAID_CAPACITY = Capacity(5, 5)
_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")
# A variable of the mapping may not take a setting's name, nor one of those that Terraform keeps for itself.
_RESERVED = frozenset(
    {
        *("billing_mode", "read_capacity", "write_capacity", "table_class", "tags", "alarm_actions"),
        *("enable_point_in_time_recovery", "enable_deletion_protection"),
        *("source", "version", "providers", "count", "for_each", "lifecycle", "depends_on", "locals"),
    }
)

Tags = tuple[tuple[str, str], ...]


class Parameter(Struct, frozen=True):
    name: str  #: in snake_case
    default: str | int | bool | Tags
    description: str  #: {of} in it becomes the table that it is for, or the tables
    allowed: tuple[str, ...] = ()


#: Literals and parameters in turn.
Text = tuple[str | Parameter, ...]


class ExportedTable(Struct, frozen=True):
    """A definition, its name in the template, and its parameters by their own names."""

    label: str
    definition: TableDefinition
    parameters: Mapping[str, Parameter]

    def text(self, path: str, filled: str) -> Text:
        """The text at a key path of the block, with parameters for its variables.

        A variable that is filled in with two defaults in one table can be one parameter only for the first.
        """
        parts = dict(self.definition.written.texts).get(path, (filled,))
        return tuple(part if isinstance(part, str) else self._parameter(part) for part in parts if part != "")

    def _parameter(self, variable: Variable) -> str | Parameter:
        parameter = self.parameters[variable_name(variable)]
        return parameter if parameter.default == variable.value else variable.value

    def tag_texts(self) -> dict[str, Text]:
        """The tags with a variable in them; the others are the parameter `tags`."""
        return {
            key: self.text(tag_path(key), value)
            for key, value in self.definition.tags
            if key not in dict(constant_tags(self.definition))
        }

    def capacity_parameters(self, index: IndexDefinition | None = None) -> tuple[Parameter, Parameter]:
        """Read and write: of the table, or of an index that may have its own."""
        prefix = f"{index_labels(self.definition)[index.name]}_" if index and index.capacity else ""
        return self.parameters[f"{prefix}read_capacity"], self.parameters[f"{prefix}write_capacity"]


class Names:
    """Names that are given once: the second that wants one gets a number behind it.

    >>> names = Names()
    >>> names.free("orders"), names.free("orders")
    ('orders', 'orders_2')
    """

    def __init__(self, separator: str = "_") -> None:
        self._taken: set[str] = set()
        self._separator = separator

    def free(self, name: str) -> str:
        free, number = name, 1
        while free in self._taken:
            number += 1
            free = f"{name}{self._separator}{number}"
        self._taken.add(free)
        return free


def snake(name: str) -> str:
    """
    >>> snake("OrderHistory"), snake("GSI1"), snake("by-owner.v2")
    ('order_history', 'gsi1', 'by_owner_v2')
    """
    return "_".join(_WORD.findall(name)).lower()


def pascal(name: str) -> str:
    """
    >>> pascal("order_history"), pascal("gsi1_read_capacity")
    ('OrderHistory', 'Gsi1ReadCapacity')
    """
    return "".join(word.capitalize() for word in snake(name).split("_"))


def exported_tables(definitions: Iterable[TableDefinition]) -> list[ExportedTable]:
    """Name the tables and give them their parameters."""
    names = Names()
    wanted = {names.free(_label(definition)): definition for definition in definitions}
    parameters = _shared({label: _parameters(definition) for label, definition in wanted.items()})
    return [ExportedTable(label, definition, parameters[label]) for label, definition in wanted.items()]


def all_parameters(tables: Iterable[ExportedTable]) -> list[Parameter]:
    """Each parameter once, in the order of the tables."""
    named = {parameter.name: parameter for table in tables for parameter in table.parameters.values()}
    return list(named.values())


def index_labels(definition: TableDefinition) -> dict[str, str]:
    """Index name -> its name in the template."""
    names = Names()
    return {index.name: names.free(snake(index.name) or "index") for index in definition.indexes}


def index_names(definition: TableDefinition) -> dict[str, list[str]]:
    """The indexes by their kind; a kind without any is left out."""
    kinds = zip(INDEX_KINDS, (definition.global_indexes, definition.local_indexes), strict=True)
    return {kind: [index.name for index in indexes] for kind, indexes in kinds if indexes}


def variable_name(variable: Variable) -> str:
    """
    >>> variable_name(Variable("STAGE", "dev")), variable_name(Variable("VERSION", "2"))
    ('stage', 'value_of_version')
    """
    name = snake(variable.name) or "value"
    return f"value_of_{name}" if name in _RESERVED or name.endswith("_capacity") or name[0].isdigit() else name


def tag_path(key: str) -> str:
    return join("tags", key)


def constant_tags(definition: TableDefinition) -> Tags:
    written = dict(definition.written.texts)
    return tuple(
        (key, value)
        for key, value in definition.tags
        if not any(isinstance(part, Variable) for part in written.get(tag_path(key), ()))
    )


def _label(definition: TableDefinition) -> str:
    """From the name's words that are no variable: they are what stays the same in every environment."""
    written = dict(definition.written.texts).get("name", ())
    constant = "-".join(part for part in written if isinstance(part, str))
    # Templates say "table" behind a label anyway.
    label = (snake(constant) or snake(definition.name)).removesuffix("_table") or "table"
    return f"table_{label}" if label[0].isdigit() else label


def _parameters(definition: TableDefinition) -> dict[str, Parameter]:
    """By name; where two want one name, the first has it."""
    wanted: dict[str, Parameter] = {}
    for parameter in (*_variables(definition), *_settings(definition), *_index_settings(definition)):
        wanted.setdefault(parameter.name, parameter)
    return wanted


def _variables(definition: TableDefinition) -> Iterator[Parameter]:
    # The keys of AWS are named by what they are, whatever variable that was written with.
    key = () if definition.encryption in (None, AWS_OWNED, AWS_MANAGED) else (ENCRYPTION_KEY,)
    texts = ("name", *key, *(tag_path(key) for key, _ in definition.tags))
    parts = chain.from_iterable(written for path, written in definition.written.texts if path in texts)
    for variable in (part for part in parts if isinstance(part, Variable)):
        name = variable_name(variable)
        said = name.replace("_", " ").capitalize()
        yield Parameter(name, variable.value, f"{said}: a part of names and tags{{of}}")


def _settings(definition: TableDefinition) -> Iterator[Parameter]:
    capacity = definition.capacity or _UNSAID_CAPACITY
    billing_mode = "PROVISIONED" if definition.capacity else "PAY_PER_REQUEST"
    yield Parameter("billing_mode", billing_mode, "Billing mode{of}", BILLING_MODES)
    yield from _capacity("", capacity, "{of}, and of each index without its own")
    recovery = bool(definition.point_in_time_recovery)
    yield Parameter("enable_point_in_time_recovery", recovery, "Point-in-time recovery{of}")
    protection = bool(definition.deletion_protection)
    yield Parameter("enable_deletion_protection", protection, "Deletion protection{of}")
    table_class = definition.table_class or "STANDARD"
    yield Parameter("table_class", table_class, "Table class{of}", TABLE_CLASSES)
    yield Parameter("tags", constant_tags(definition), "Tags{of}")


def _index_settings(definition: TableDefinition) -> Iterator[Parameter]:
    labels = index_labels(definition)
    for index in definition.global_indexes:
        if index.capacity:
            yield from _capacity(f"{labels[index.name]}_", index.capacity, f" of the index {index.name}{{of}}")


def _capacity(prefix: str, capacity: Capacity, what: str) -> Iterator[Parameter]:
    for kind, units in (("read", capacity.read), ("write", capacity.write)):
        description = f"{kind.capitalize()} capacity units{what}; used when the billing mode is PROVISIONED"
        yield Parameter(f"{prefix}{kind}_capacity", units, description)


def _shared(wanted: Mapping[str, Mapping[str, Parameter]]) -> dict[str, dict[str, Parameter]]:
    """By table and own name, the parameter that stands for it in the template."""
    defaults: dict[str, list[object]] = {}
    for name, parameter in (each for parameters in wanted.values() for each in parameters.items()):
        defaults.setdefault(name, []).append(parameter.default)
    names = Names()
    shared = {name: names.free(name) for name, values in defaults.items() if len(set(values)) == 1}

    def named(label: str, parameter: Parameter) -> Parameter:
        own = parameter.name
        is_for_several = own in shared and len(defaults[own]) > 1
        return replace(
            parameter,
            name=shared.get(own) or names.free(f"{label}_{own}"),
            description=parameter.description.format(
                of=" of the tables" if is_for_several else f" of the table {label}"
            ),
        )

    return {
        label: {own: named(label, parameter) for own, parameter in parameters.items()}
        for label, parameters in wanted.items()
    }
