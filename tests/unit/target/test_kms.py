import boto3
import pytest
from moto import mock_aws
from msgspec.structs import replace

from migrator.errors import TargetError
from migrator.mapping.model import AWS_MANAGED, KeyAttribute, TableDefinition
from migrator.target.kms import key_finder
from migrator.target.session import TargetSettings, create_client
from migrator.target.table import create_table, inspect_table

SETTINGS = TargetSettings(region="us-east-1")


@pytest.fixture
def aws():
    with mock_aws():
        yield create_client(SETTINGS)


def make_key(alias):
    kms = boto3.client("kms", region_name="us-east-1")
    metadata = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName=alias, TargetKeyId=metadata["KeyId"])
    return metadata["Arn"]


def test_an_alias_leads_to_its_key(aws):
    arn = make_key("alias/shop")
    assert key_finder(SETTINGS, aws)("alias/shop") == arn


@pytest.mark.parametrize(("told", "asked", "same"), [(AWS_MANAGED, AWS_MANAGED, True), (None, AWS_MANAGED, False)])
def test_a_table_under_the_key_that_aws_manages_is_told_from_others(aws, told, asked, same):
    definition = TableDefinition("orders", KeyAttribute("PK"), encryption=asked)
    create_table(aws, replace(definition, encryption=told))
    inspection = inspect_table(aws, definition, find_key=key_finder(SETTINGS, aws))
    assert (not inspection.differences, inspection.notes) == (same, ())


def test_an_alias_that_is_not_there_is_an_error(aws):
    with pytest.raises(TargetError, match="look up alias/missing in KMS"):
        key_finder(SETTINGS, aws)("alias/missing")


def test_the_embedded_engine_has_no_kms(aws):
    make_key("alias/shop")
    with pytest.raises(TargetError, match="no KMS to ask") as refused:
        key_finder(TargetSettings(local=True), aws)("alias/shop")
    assert refused.value.code == "no_kms"


def test_the_kms_of_aws_is_not_asked_about_an_engine_of_ones_own(aws):
    make_key("alias/shop")
    own = TargetSettings(region="us-east-1", endpoint_url="http://127.0.0.1:1")
    with pytest.raises(TargetError, match="no KMS to ask"):
        key_finder(own, create_client(own))("alias/shop")
