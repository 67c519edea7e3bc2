"""What `--cluster` may name, and what cannot be done there: found out before anything is looked at."""

from __future__ import annotations

import sys

import pytest

from migrator.cli.app import run_command
from migrator.errors import UsageError
from migrator.run.cluster_address import ClusterAddress, read_address


@pytest.mark.parametrize("scheduler", ["tcp://host:8786", "tls://10.0.0.1:1", "tcp://[::1]:65535"])
def test_a_scheduler(scheduler):
    assert read_address(scheduler) == ClusterAddress(scheduler=scheduler)


NONE = """
local local:0 local:-1 local:x tcp://host tcp://host:0 tcp://host:65536 host:8786 http://host:80 tcp://host:8786/x
tcp://user:secret@host:8786
"""


@pytest.mark.parametrize("text", ["", "tcp://a b:1", *NONE.split()])
def test_no_cluster(text):
    with pytest.raises(UsageError, match="is no cluster"):
        read_address(text)


@pytest.fixture
def plan(tmp_path):
    def write(settings="{}"):
        (tmp_path / "mapping.yaml").write_text(
            "version: 1\ntable: {name: orders, partition_key: PK}\n"
            "entities: {Order: {source: orders, key: {PK: '{id}'}}}\n"
        )
        plan = tmp_path / "plan.yaml"
        plan.write_text(
            f"version: 1\nname: shop\nsource: shop.sqlite\nmappings: [mapping.yaml]\nsettings: {settings}\n"
        )
        return str(plan)

    return write


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ("{rollback: true}", (), "settings.rollback: true"),
        ("{incremental: hash}", (), "settings.incremental: hash"),
        ("{}", ("--via", "out"), "--via DIR"),
        ("{}", ("--local",), "--local: the embedded DynamoDB is on this machine alone"),
    ],
)
def test_what_needs_a_folder_that_hosts_share_is_refused(plan, settings, options, words, capsys):
    assert run_command(["run", plan(settings), "--cluster", "tcp://127.0.0.1:9", *options]) == 2
    assert words in capsys.readouterr().err


def test_what_is_wrong_with_the_address_is_told_at_once(plan, capsys):
    assert run_command(["verify", plan(), "--cluster", "here"]) == 2
    assert '"here" is no cluster' in capsys.readouterr().err


def test_without_dask_the_extra_is_named(plan, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setattr("migrator.extras.find_spec", lambda name: None)
    assert run_command(["run", plan(), "--cluster", "local:2"]) == 2
    assert 'pip install "migrator[cluster]"' in capsys.readouterr().err
