"""Read a YAML file by the rules of YAML 1.2, and fill in ${VAR}.

PyYAML follows YAML 1.1, where `no` is false, 2026-11-21 a date, 1:30 a number and a key given twice the last one.
Only its parser is used here: what a scalar means is decided by the resolvers below, and the tree is walked by
hand, so that every problem of a file is found at once and carries its key path and line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct, field

from migrator.errors import DocumentError, Problem

#: More than any hand-written document has; aliases of aliases can multiply without end.
MAX_VALUES = 200_000

# YAML 1.2.2, section 10.3.2 "Core schema", but for numbers with leading zeros: 007 is a code, not seven.
_WHOLE = "(?:0|[1-9][0-9]*)"
_TAGS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (rf"[-+]?{_WHOLE}|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        rf"[-+]?(?:\.[0-9]+|{_WHOLE}(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
_CORE = "tag:yaml.org,2002:"
_VARIABLE = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<or>:-(?P<default>[^}]*))?\})?")


class Variable(Struct, frozen=True):
    """A ${VAR} in a text, with the value that was filled in."""

    name: str
    value: str


#: Text as it was written, with its variables: literals and variables in turn.
Written = tuple[str | Variable, ...]


class Filled(str):
    """Text into which a variable was filled: it may stand where a number or true and false are wanted."""

    __slots__ = ("written",)
    written: Written

    @classmethod
    def of(cls, written: Written) -> Filled:
        filled = cls("".join(part if isinstance(part, str) else part.value for part in written))
        filled.written = written
        return filled


class Document(Struct, frozen=True):
    """A mapping read from YAML: text keys; values None, bool, int, Decimal, str, list, dict."""

    data: dict[str, Any]
    file: str  #: as messages name it
    path: Path  #: absolute
    lines: dict[str, int] = field(default_factory=dict)  #: key path -> line, from 1


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own class attribute, emptied of YAML 1.1


for _name, (_pattern, _first) in _TAGS.items():
    _Loader.add_implicit_resolver(_CORE + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


def load_yaml(path: str | Path, environ: Mapping[str, str] = os.environ) -> Document:
    """Read a file. Raises DocumentError with all its problems."""
    path = Path(path).absolute()
    return parse_yaml(_read(path, shown(path)), path, environ)


def parse_yaml(text: str, path: Path, environ: Mapping[str, str] = os.environ) -> Document:
    """The text of the file `path`. Raises DocumentError with all its problems."""
    file = shown(path)
    root = _compose(text, file)
    walk = _Walk(file, environ)
    data = walk.value(root, "") if root is not None else None
    if not walk.problems and not isinstance(data, dict):
        walk.problems.append(Problem(file, "", "is empty" if data is None else "is not a map of keys and values"))
    if walk.problems or not isinstance(data, dict):
        raise DocumentError(walk.problems)
    return Document(data, file, path, walk.lines)


def shown(path: Path) -> str:
    """A path as the user knows it: from the current folder where it is below that.

    >>> shown(Path.cwd() / "plans" / "shop.yaml"), shown(Path("/etc/shop.yaml"))
    ('plans/shop.yaml', '/etc/shop.yaml')
    """
    full = Path(os.path.normpath(path.absolute()))
    return str(full.relative_to(Path.cwd())) if full.is_relative_to(Path.cwd()) else str(full)


def join(path: str, key: str | int) -> str:
    """A key path, one step further.

    >>> join(join(join("", "items"), 0), "PK")
    'items[0].PK'
    """
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def scalar(text: str) -> Any:
    """What plain text means in the core schema.

    >>> scalar("0x1F"), scalar("1.50"), scalar("007"), scalar("no"), scalar("~")
    (31, Decimal('1.50'), '007', 'no', None)
    """
    tag = next((name for name, (pattern, _) in _TAGS.items() if re.fullmatch(pattern, text)), "str")
    return _SCALARS[tag](text)


def _integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _decimal(text: str) -> Decimal:
    return Decimal(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda text: None,
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": _decimal,
    "str": str,
}


def _read(path: Path, file: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        problem = Problem(file, "", "there is no such file")
    except IsADirectoryError:
        problem = Problem(file, "", "is a folder, not a file")
    except UnicodeDecodeError as error:
        problem = Problem(file, "", f"is not UTF-8 text: {error.reason} at byte {error.start}")
    except OSError as error:
        problem = Problem(file, "", f"cannot be read: {error.strerror}")
    raise DocumentError([problem])


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        problem = _syntax_problem(file, text, error)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = f"U+{ord(text[error.position]):04X}"
        problem = Problem(file, f"line {line}", f"the character {character} is not allowed in YAML", line=line)
    except RecursionError:
        problem = Problem(file, "", "is nested too deeply")
    raise DocumentError([problem])


def _syntax_problem(file: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    message = f"is not valid YAML: {error.problem}" + (f" {error.context}" if error.context else "")
    if mark is None:
        return Problem(file, "", message)
    source = "".join(text.split("\n")[mark.line : mark.line + 1])
    hint = next((hint for sign, hint in _SYNTAX_HINTS.items() if sign in message or sign in source), "")
    where = f"line {mark.line + 1}, column {mark.column + 1}"
    return Problem(file, where, message, (hint,) if hint else (), line=mark.line + 1)


#: Found in the parser's words or in the line -> what is probably meant.
_SYNTAX_HINTS = {
    r"'\t'": "YAML is indented with spaces",
    "cannot start any token": "text that starts with @, ` or % stands in quotes",
    "{": 'text with { or } stands in quotes, as in PK: "USER#{id}"',
}


class _Walk:
    """One pass over the tree: values, and the problems met on the way."""

    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ
        self.problems: list[Problem] = []
        self.lines: dict[str, int] = {}
        self._above: list[yaml.Node] = []

    def value(self, node: yaml.Node, path: str) -> Any:
        if any(node is one for one in self._above):
            return self._problem(node, path, "this alias stands inside what it repeats")
        if len(self.lines) == MAX_VALUES:
            self._problem(node, path, f"there are more than {MAX_VALUES:,} values: aliases repeat each other")
        if len(self.lines) >= MAX_VALUES:
            return None
        self.lines.setdefault(path, node.start_mark.line + 1)
        self._above.append(node)
        try:
            return self._read(node, path)
        finally:
            self._above.pop()

    def _read(self, node: yaml.Node, path: str) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_CORE}map":
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_CORE}seq":
            return [self.value(child, join(path, n)) for n, child in enumerate(node.value)]
        name = node.tag.removeprefix(_CORE)
        if not isinstance(node, yaml.ScalarNode) or name not in _SCALARS:
            return self._problem(node, path, f"the tag {node.tag.replace(_CORE, '!!')} is not known here")
        if name == "str":
            return self._fill(node, path)
        if not re.fullmatch(_TAGS[name][0], node.value):
            return self._problem(node, path, f"{node.value!r} is no {name}")
        return _SCALARS[name](node.value)

    def _map(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, child in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, path, f"a key is text, not a list or map (line {line})", 'quote it, as in "{id}": …')
                continue
            name = key.value
            if name in first:
                lines = f"in line {line} twice" if first[name] == line else f"in lines {first[name]} and {line}"
                self._problem(key, path, f'the key "{name}" is given twice, {lines}')
                continue
            first[name] = self.lines[join(path, name)] = line
            found[name] = self.value(child, join(path, name))
        return found

    def _fill(self, node: yaml.ScalarNode, path: str) -> str:
        text: str = node.value
        if "${" not in text:
            return text

        written: list[str | Variable] = []
        end = 0
        for match in _VARIABLE.finditer(text):
            written += [text[end : match.start()], self._variable(node, path, match)]
            end = match.end()
        return Filled.of((*written, text[end:]))

    def _variable(self, node: yaml.ScalarNode, path: str, match: re.Match[str]) -> str | Variable:
        if match[0] == "$${":
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            self._problem(node, path, f'"${{" in {node.value!r} starts no variable', _VARIABLE_HINT)
            return ""
        # As in a shell, :- stands for a variable that is empty, too.
        value = self.environ.get(name) or default if match["or"] else self.environ.get(name)
        if value is None:
            hint = f"set it, or give a default: ${{{name}:-…}};  $${{ is a literal ${{"
            self._problem(node, path, f"the environment variable {name} is not set", hint)
            return ""
        return Variable(name, value)

    def _problem(self, node: yaml.Node, path: str, message: str, *hints: str) -> None:
        self.problems.append(Problem(self.file, path, message, hints, line=node.start_mark.line + 1))


_VARIABLE_HINT = "write ${NAME} or ${NAME:-default};  $${ is a literal ${"
