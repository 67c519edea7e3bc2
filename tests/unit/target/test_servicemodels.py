import json

import botocore.loaders
import pytest
from botocore.exceptions import DataNotFoundError

from migrator.errors import TargetError
from migrator.target.servicemodels import ServiceModels
from migrator.target.session import TargetSettings, create_client, open_session

USUAL = botocore.loaders.Loader()
OURS = ServiceModels(USUAL)


@pytest.mark.parametrize("service", ["dynamodb", "s3", "sts", "kms", "logs", "sso", "sso-oidc"])
@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1", "paginators-1"])
def test_a_service_is_described_as_by_botocore(service, kind):
    # As text, so that the order of members counts.
    assert json.dumps(OURS.load_service_model(service, kind)) == json.dumps(USUAL.load_service_model(service, kind))


@pytest.mark.parametrize("name", ["endpoints", "partitions", "_retry", "sdk-default-configuration"])
def test_what_all_services_share_is_botocores(name):
    (ours, place), usual = OURS.load_data_with_path(name), USUAL.load_data(name)
    assert json.dumps(ours) == json.dumps(usual)
    assert OURS.is_builtin_path(place)


def test_what_is_not_there_is_said_as_botocore_says_it():
    with pytest.raises(DataNotFoundError, match="dynamodbb"):
        OURS.load_service_model("dynamodbb", "service-2")
    with pytest.raises(DataNotFoundError, match="nothing"):
        OURS.load_data("nothing")


def test_a_model_that_is_no_json_is_named(tmp_path, monkeypatch):
    (tmp_path / "endpoints.json").write_text("{")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    with pytest.raises(TargetError, match=r"endpoints\.json is no JSON") as caught:
        create_client(TargetSettings(region="eu-west-1"))
    assert caught.value.code == "setting_wrong"


def test_clients_have_the_models_of_aws_data_path_first(tmp_path, monkeypatch):
    model = USUAL.load_service_model("dynamodb", "service-2")
    changed = model | {"metadata": model["metadata"] | {"serviceFullName": "DynamoDB as of tomorrow"}}
    place = tmp_path / "dynamodb" / model["metadata"]["apiVersion"]
    place.mkdir(parents=True)
    (place / "service-2.json").write_text(json.dumps(changed))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    here = TargetSettings(region="eu-west-1")
    assert create_client(here).meta.service_model.metadata["serviceFullName"] == "DynamoDB as of tomorrow"
    assert isinstance(open_session(here).get_component("data_loader"), ServiceModels)
