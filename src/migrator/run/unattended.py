"""What a plan says for runs that nobody watches: commands at their start and end, and files of metrics."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from msgspec import Struct

from migrator.extras import require_extra
from migrator.node import Node, describe

#: The textfile collector of node_exporter overlooks every other file.
_PROMETHEUS_SUFFIX = ".prom"
# PutMetricData: "Namespace", with the prefix that it keeps for AWS's own services.
_NAMESPACE = re.compile(r"(?!AWS/)[A-Za-z0-9._#/-][A-Za-z0-9._#:/-]{0,254}")


class Command(Struct, frozen=True):
    """A program and its arguments; no shell looks at them."""

    arguments: tuple[str, ...]
    folder: str  #: the plan's, where it runs


class CloudWatch(Struct, frozen=True):
    namespace: str
    file: str | None  #: where lines are appended; None for standard error


class Metrics(Struct, frozen=True):
    """Where the figures of a run go when it has ended."""

    prometheus: str | None = None  #: a text file
    cloudwatch: CloudWatch | None = None

    def require_extra(self) -> None:
        """Raises UsageError where a library is missing."""
        if self.prometheus:
            require_extra("metrics", "metrics.prometheus", "prometheus_client")
        if self.cloudwatch:
            require_extra("metrics", "metrics.cloudwatch", "aws_embedded_metrics")


def read_command(node: Node) -> Command:
    """A list of arguments, or text that is cut into them as a shell would."""
    if isinstance(node.value, str):
        arguments = _cut(node)
    elif isinstance(node.value, list):
        arguments = node.each(lambda argument: argument.text(may_be_empty=True))
    else:
        node.refuse(f"must be a command, as text or as a list of arguments, and is {describe(node.value)}")
    if not arguments or not arguments[0]:
        node.refuse("names no program")
    return Command(tuple(arguments), str(node.document.path.parent))


def _cut(node: Node) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(node.text()))
    except ValueError as error:
        node.refuse(f"cannot be cut into arguments: {str(error).lower()}", "write them as a list")


def read_metrics(node: Node) -> Metrics:
    fields = node.fields("prometheus", "cloudwatch")
    prometheus = fields.get("prometheus", _prometheus, None)
    cloudwatch = fields.get("cloudwatch", _cloudwatch, None)
    fields.finish()
    if prometheus is None and cloudwatch is None:
        node.refuse("names neither prometheus nor cloudwatch")
    return Metrics(prometheus, cloudwatch)


def _prometheus(node: Node) -> str:
    path = node.path_from_document()
    if Path(path).suffix != _PROMETHEUS_SUFFIX:
        node.refuse("must end in .prom", "node_exporter's textfile collector reads no other file")
    return path


def _cloudwatch(node: Node) -> CloudWatch:
    fields = node.fields("namespace", "file")
    namespace = fields.need("namespace", _namespace)
    file = fields.get("file", Node.path_from_document, None)
    fields.finish()
    return CloudWatch(namespace, file)


def _namespace(node: Node) -> str:
    text = node.text()
    if not _NAMESPACE.fullmatch(text):
        node.refuse(
            f"{describe(text)} is no namespace of CloudWatch",
            "up to 255 letters, digits and . - _ / # :, not beginning with : or AWS/",
        )
    return text
