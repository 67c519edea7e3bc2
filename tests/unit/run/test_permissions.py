from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint
from msgspec.structs import replace

from migrator.cli.app import run_command
from migrator.cli.iam import COMMANDS as OFFERED
from migrator.errors import TargetError, UsageError
from migrator.run.permissions import COMMANDS, plan_policy
from migrator.run.plan import Plan, load_plan
from migrator.target.permissions import FETCH, PURPOSES, assume_policy

ROOT = Path(__file__).parents[3]
ACCOUNT = "123456789012"
ROLE = "arn:aws:iam::210987654321:role/migrator"
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
VIA_DYNAMODB = {"kms:ViaService": "dynamodb.eu-central-1.amazonaws.com"}


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    def made(table: str = "", *, target: str = "{region: eu-central-1}", more: str = "", **settings: Any) -> Plan:
        for name in ("orders", "carts"):
            (tmp_path / f"{name}.yaml").write_text(
                f"version: 1\ntable: {{name: {name}, partition_key: PK{table}}}\n"
                f"entities: {{{name}: {{source: {name}, key: {{PK: '{{id}}'}}}}}}\n"
            )
        (tmp_path / "plan.yaml").write_text(
            f"version: 1\nname: shop\nsource: shop.sqlite\nmappings: [orders.yaml, carts.yaml]\ntarget: {target}\n"
            f"{more}\nsettings: {json.dumps(settings)}\n"
        )
        return load_plan(tmp_path / "plan.yaml")

    return made


def iter_grants(document: dict[str, Any], service: str) -> Iterator[tuple[str, str, Any]]:
    for statement in document["Statement"]:
        for action in statement["Action"]:
            if action.startswith(f"{service}:"):
                yield from ((action, resource, statement.get("Condition")) for resource in statement["Resource"])


def resources(document: dict[str, Any]) -> set[str]:
    return {resource for statement in document["Statement"] for resource in statement["Resource"]}


def of_sources(plan: Plan, *sources: str, command: str = "run") -> list[tuple[str, str, Any]]:
    return list(iter_grants(plan_policy(replace(plan, sources=sources), [command], ACCOUNT), "s3"))


def test_sources_in_s3_are_listed_and_read_and_no_others(plan: Any) -> None:
    prefix = {"StringLike": {"s3:prefix": "tenants/*"}}
    assert of_sources(plan(), "/shop.sqlite", "s3://bucket/tenants/*.sqlite", "s3://bucket/tenants/*.db") == [
        ("s3:ListBucket", "arn:aws:s3:::bucket", prefix),
        ("s3:GetObject", "arn:aws:s3:::bucket/tenants/*", None),
    ]


def test_making_a_table_takes_no_source(plan: Any) -> None:
    assert of_sources(plan(), "s3://bucket/shop.sqlite", command="table create") == []


def test_the_commands_that_are_offered_are_those_that_rights_are_known_of() -> None:
    assert tuple(COMMANDS) == OFFERED


def test_every_purpose_is_a_commands(plan: Any) -> None:
    every = [
        plan(backup=True, rollback=True, verify="full").settings,
        plan(on_existing="skip", verify="sample").settings,
    ]
    assert {name for command in COMMANDS.values() for settings in every for name in command(settings)} == set(PURPOSES)


def test_the_account_is_left_open_where_nobody_tells_it(plan: Any) -> None:
    assert "arn:aws:dynamodb:eu-central-1:*:table/orders" in resources(plan_policy(plan(), ["run"], None))


def test_the_account_is_that_of_the_role(plan: Any) -> None:
    document = plan_policy(plan(target=f"{{region: eu-central-1, role_arn: '{ROLE}'}}"), ["run"], None)
    assert "arn:aws:dynamodb:eu-central-1:210987654321:table/orders" in resources(document)


def test_an_account_that_is_told_goes_before_the_roles(plan: Any) -> None:
    document = plan_policy(plan(target=f"{{region: eu-central-1, role_arn: '{ROLE}'}}"), ["run"], ACCOUNT)
    assert f"arn:aws:dynamodb:eu-central-1:{ACCOUNT}:table/orders" in resources(document)


def test_the_region_tells_the_partition(plan: Any) -> None:
    document = plan_policy(plan(target="{region: cn-north-1}"), ["run"], ACCOUNT)
    assert f"arn:aws-cn:dynamodb:cn-north-1:{ACCOUNT}:table/orders" in resources(document)


def test_no_credentials_are_asked_for(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert plan_policy(plan(), ["run"], None)["Statement"]


def test_without_a_region_there_is_no_policy(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(TargetError, match="no AWS region is set"):
        plan_policy(plan(target="{}"), ["run"], None)


def test_a_region_that_there_is_not_is_named(plan: Any) -> None:
    with pytest.raises(TargetError, match="region mars"):
        plan_policy(plan(target="{region: mars}"), ["run"], None)


def test_a_run_of_few_entities_gets_their_tables_alone(plan: Any) -> None:
    document = plan_policy(plan(more="entities: [carts]"), ["run"], ACCOUNT)
    assert resources(document) == {f"arn:aws:dynamodb:eu-central-1:{ACCOUNT}:table/carts"}


def test_the_table_commands_know_no_entities(plan: Any) -> None:
    document = plan_policy(plan(more="entities: [carts]"), ["table show"], ACCOUNT)
    assert f"arn:aws:dynamodb:eu-central-1:{ACCOUNT}:table/orders" in resources(document)


def test_nothing_is_granted_twice(plan: Any) -> None:
    document = plan_policy(plan(", tags: {a: b}", verify="full"), list(COMMANDS), ACCOUNT)
    grants = list(iter_grants(document, "dynamodb"))
    assert len(grants) == len({(action, resource) for action, resource, _ in grants})


def test_each_statement_has_a_name_of_its_own(plan: Any) -> None:
    document = plan_policy(plan(", encryption: {kms_key: alias/shop}", backup=True), list(COMMANDS), ACCOUNT)
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(sids) == len(set(sids))


def test_the_page_explains_every_statement() -> None:
    explained = re.findall(r"^\| `([A-Z]\w+)` \|", (ROOT / "docs" / "iam.md").read_text(), re.MULTILINE)
    assert sorted(explained) == sorted((*PURPOSES, FETCH))


# ---- keys, and rights beside DynamoDB


@pytest.mark.parametrize(
    ("key", "resource", "condition"),
    [
        (KEY_ID, f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/{KEY_ID}", {"StringEquals": VIA_DYNAMODB}),
        (
            f"arn:aws:kms:eu-central-1:1:key/{KEY_ID}",
            f"arn:aws:kms:eu-central-1:1:key/{KEY_ID}",
            {"StringEquals": VIA_DYNAMODB},
        ),
        (
            "alias/shop",
            f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/*",
            {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/shop"}, "StringEquals": VIA_DYNAMODB},
        ),
        (
            "arn:aws:kms:eu-central-1:1:alias/shop",
            "arn:aws:kms:eu-central-1:1:key/*",
            {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/shop"}, "StringEquals": VIA_DYNAMODB},
        ),
    ],
)
def test_items_under_a_key_of_ones_own_need_it_through_dynamodb(
    plan: Any, key: str, resource: str, condition: Any
) -> None:
    document = plan_policy(plan(f", encryption: {{kms_key: '{key}'}}", create_table="never"), ["run"], ACCOUNT)
    assert ("kms:Decrypt", resource, condition) in list(iter_grants(document, "kms"))


def test_who_makes_a_table_under_a_key_may_let_dynamodb_use_it(plan: Any) -> None:
    document = plan_policy(plan(f", encryption: {{kms_key: {KEY_ID}}}"), ["table create"], ACCOUNT)
    grants = {action: condition for action, _, condition in iter_grants(document, "kms")}
    assert grants["kms:CreateGrant"] == {"StringEquals": VIA_DYNAMODB}


@pytest.mark.parametrize("encryption", ["AWS_OWNED", "AWS_MANAGED"])
def test_keys_of_aws_need_no_right_but_to_be_told_apart(plan: Any, encryption: str) -> None:
    document = plan_policy(plan(f", encryption: {encryption}"), ["run"], ACCOUNT)
    allowed = {action for action, _, _ in iter_grants(document, "kms")}
    assert allowed == ({"kms:DescribeKey"} if encryption == "AWS_MANAGED" else set())


def test_insights_need_the_role_that_they_bring_and_no_other(plan: Any) -> None:
    document = plan_policy(plan(", contributor_insights: true"), ["run"], ACCOUNT)
    ((action, resource, condition),) = iter_grants(document, "iam")
    assert action == "iam:CreateServiceLinkedRole"
    assert resource.startswith(f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/contributorinsights.dynamodb")
    assert condition == {"StringEquals": {"iam:AWSServiceName": "contributorinsights.dynamodb.amazonaws.com"}}


def test_who_takes_a_role_on_may_do_nothing_else(plan: Any) -> None:
    document = assume_policy(plan(target=f"{{region: eu-central-1, role_arn: '{ROLE}'}}").target)
    assert list(iter_grants(document, "sts")) == [("sts:AssumeRole", ROLE, None)]
    assert len(document["Statement"]) == 1


def test_a_plan_without_a_role_has_no_caller_of_it(plan: Any) -> None:
    with pytest.raises(UsageError, match="role_arn"):
        assume_policy(plan().target)


# ---- the command


def test_the_policy_is_all_that_is_printed(plan: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan(target=f"{{region: eu-central-1, role_arn: '{ROLE}'}}")
    assert run_command(["iam", str(tmp_path / "plan.yaml"), "--for", "verify", "--for", "table create"]) == 0
    printed = capsys.readouterr()
    sids = {statement["Sid"] for statement in json.loads(printed.out)["Statement"]}
    assert {"CompareAll", "Create"} <= sids
    assert "--caller" in printed.err


def test_who_takes_the_role_on_gets_a_policy_too(plan: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan(target=f"{{region: eu-central-1, role_arn: '{ROLE}'}}")
    assert run_command(["iam", str(tmp_path / "plan.yaml"), "--caller"]) == 0
    assert [each["Sid"] for each in json.loads(capsys.readouterr().out)["Statement"]] == ["Assume"]


@pytest.mark.parametrize("wrong", [["--account", "12"], ["--for", "everything"], ["--caller"]])
def test_a_wrong_option_is_wrong_usage(plan: Any, tmp_path: Path, wrong: list[str]) -> None:
    plan()
    assert run_command(["iam", str(tmp_path / "plan.yaml"), *wrong]) == 2


# ---- by AWS's own list of actions and resources, as cfn-lint brings it


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "plans").glob("*.yaml")))
def test_the_policies_of_the_plans_that_ship_pass_the_linter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    document = plan_policy(load_plan(ROOT / "plans" / name), list(COMMANDS), ACCOUNT)
    assert findings(document) == []


def test_the_policy_of_everything_passes_the_linter(plan: Any) -> None:
    table = f", tags: {{a: b}}, encryption: {{kms_key: {KEY_ID}}}, contributor_insights: true, stream: NEW_IMAGE"
    assert findings(plan_policy(plan(table, backup=True, rollback=True), list(COMMANDS), ACCOUNT)) == []


def test_the_linter_knows_what_there_is_to_allow() -> None:
    statement = {"Effect": "Allow", "Action": ["dynamodb:ScanEverything"], "Resource": ["*"]}
    assert findings({"Version": "2012-10-17", "Statement": [statement]}) != []


def findings(document: dict[str, Any]) -> list[str]:
    """What cfn-lint says of a managed policy; I is for what it holds for wiser."""
    policy = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}}
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Policy": policy}}
    config = ManualArgs(regions=["us-east-1"], include_checks=["I"])
    return [str(match) for match in lint(json.dumps(template), config=config)]
