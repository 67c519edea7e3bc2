"""Items that nobody can judge: those of files that are set aside, as far as their keys tell whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from migrator.errors import DocumentError
from migrator.mapping.key_proofs import key_pattern
from migrator.mapping.model import Template
from migrator.mapping.templates import fill, is_of_file
from migrator.run.binding import BoundEntity
from migrator.run.fitting import context_of
from migrator.run.opened import OpenRun


class LeftOut:
    """Of a verification: what is claimed is neither extra nor foreign."""

    def __init__(self, opened: OpenRun) -> None:
        self._texts = list(_iter_texts(opened))
        self._keys: dict[int, list[Sequence[Template]]] = {}

    def claims(self, entity: BoundEntity, texts: Sequence[str]) -> bool:
        """Whether an item with this key, in the words of the key's templates, may be of a file that is left out."""
        if not self._texts:
            return False
        keys = self._keys.get(entity.number)
        if keys is None:
            keys = self._keys[entity.number] = list(self._keys_of(entity))
        return any(
            all(key_pattern(t).fullmatch(text) for t, text in zip(templates, texts, strict=True)) for templates in keys
        )

    def _keys_of(self, entity: BoundEntity) -> Iterator[Sequence[Template]]:
        """The keys that a file left out would give, where these are not as any file gives them."""
        for templates in entity.keys:
            if any(is_of_file(column) for template in templates for column in template.columns()):
                yield from ([fill(template, texts) for template in templates] for texts in self._texts)


def _iter_texts(opened: OpenRun) -> Iterator[Mapping[str, str]]:
    for each in opened.set_aside:
        try:
            yield context_of(opened.plan, each.path, now_s=0).texts
        except DocumentError:  # `source_pattern` does not find it: no item can be its
            continue
