"""A prices file of the user's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from migrator.errors import UsageError
from migrator.target.prices import OWN_FILE, load_prices

WHOLE: dict[str, Any] = json.loads(OWN_FILE.read_text(encoding="utf-8"))


def saved(folder: Path, document: Any) -> Path:
    path = folder / "prices.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_a_file_of_ones_own_takes_the_place_of_ours(tmp_path: Path) -> None:
    own = {"date": "2027-01-01", "regions": {"us-east-1": {"STANDARD": {"write_million": 7}}}}
    prices = load_prices(saved(tmp_path, WHOLE | own))
    assert (prices.date, prices.of("us-east-1").of(None).write_million) == ("2027-01-01", 7.0)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "is no prices file"),
        ([], "is no prices file"),
        ({name: value for name, value in WHOLE.items() if name != "date"}, "misses 'date'"),
        (WHOLE | {"regions": {"us-east-1": {"STANDARD": {"write_million": "7"}}}}, "write_million is '7', not a price"),
        (WHOLE | {"regions": {"us-east-1": {"STANDARD": {"write_million": -1}}}}, "write_million is -1, not a price"),
        (WHOLE | {"default_region": "mars"}, 'default_region "mars" is none of its regions'),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, document: Any, words: str) -> None:
    path = saved(tmp_path, document)
    with pytest.raises(UsageError, match=words) as caught:
        load_prices(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_prices(tmp_path / "none.json")


def test_the_file_that_the_page_shows_can_be_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "forecast.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert load_prices(saved(tmp_path, example)).of(None).region == "eu-west-1"
