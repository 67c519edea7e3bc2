import pickle
import zlib

import pytest
from botocore.awsrequest import AWSResponse
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import ChecksumError

from migrator.errors import TargetError
from migrator.target.session import TargetSettings, create_client, open_session, resolve_region

HERE = TargetSettings(region="eu-west-1", endpoint_url="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("plan", "environment", "profile", "region"),
    [
        ("a", {"AWS_REGION": "b", "AWS_DEFAULT_REGION": "c"}, "d", "a"),
        (None, {"AWS_REGION": "b", "AWS_DEFAULT_REGION": "c"}, "d", "b"),
        (None, {"AWS_DEFAULT_REGION": "c"}, "d", "c"),
        (None, {"AWS_REGION": ""}, "d", "d"),
    ],
)
def test_the_region_comes_from_plan_then_environment_then_profile(plan, environment, profile, region):
    assert resolve_region(TargetSettings(region=plan), profile, environment) == region


def test_no_region_says_what_to_set():
    with pytest.raises(TargetError, match=r"target: region.*AWS_REGION") as caught:
        resolve_region(TargetSettings(), None, {})
    assert caught.value.code == "region_missing"


def test_aws_region_reaches_the_client(monkeypatch):
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    assert create_client(TargetSettings()).meta.region_name == "ap-south-1"


def test_the_plans_endpoint_goes_before_the_environments(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:2")
    assert create_client(HERE).meta.endpoint_url == "http://127.0.0.1:1"
    assert create_client(TargetSettings(region="eu-west-1")).meta.endpoint_url == "http://127.0.0.1:2"


def test_no_credentials_say_what_to_do(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(TargetError, match="AWS_PROFILE") as caught:
        create_client(HERE)
    assert caught.value.code == "credentials_missing"


def test_a_profile_that_does_not_exist_is_named():
    with pytest.raises(TargetError, match="nobody") as caught:
        create_client(TargetSettings(region="eu-west-1", profile="nobody"))
    assert caught.value.code == "profile_missing"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("AWS_ENDPOINT_URL", "localhost:8000", "endpoint_wrong"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://[::1", "endpoint_wrong"),
        ("AWS_REGION", "eu_west!", "region_missing"),
        ("AWS_DEFAULTS_MODE", "fast", "setting_wrong"),
        ("AWS_ACCOUNT_ID_ENDPOINT_MODE", "maybe", "setting_wrong"),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "never", "setting_wrong"),
        ("AWS_STS_REGIONAL_ENDPOINTS", "no", "setting_wrong"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "nowhere", "setting_wrong"),
    ],
)
def test_a_setting_that_makes_no_client_is_the_users(monkeypatch, name, value, code):
    monkeypatch.setenv(name, value)
    with pytest.raises(TargetError, match=r"^AWS settings: .*\n  \S") as caught:
        create_client(TargetSettings())
    assert caught.value.code == code


def test_an_endpoint_of_the_plan_that_is_no_address_is_the_users():
    with pytest.raises(TargetError, match=r"Invalid endpoint: localhost:8000\n.*http://HOST:PORT"):
        create_client(TargetSettings(region="eu-west-1", endpoint_url="localhost:8000"))


def test_the_client_that_a_role_is_assumed_with_says_what_is_wrong_with_its_settings(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "localhost:80")
    session = open_session(TargetSettings(region="eu-west-1", role_arn="arn:aws:iam::123456789012:role/migrator"))
    with pytest.raises(TargetError, match="Invalid endpoint: localhost:80") as caught:
        session.get_credentials().get_frozen_credentials()
    assert caught.value.code == "endpoint_wrong"


def test_a_local_target_needs_no_settings_and_uses_none(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    client = create_client(TargetSettings(endpoint_url="http://127.0.0.1:1", local=True))
    assert client.meta.region_name == "us-east-1"
    assert client.meta.config.proxies == {}


def test_settings_pickle():
    assert pickle.loads(pickle.dumps(HERE)) == HERE


def test_a_role_is_assumed_when_its_credentials_are_needed_and_refreshed_by_botocore():
    session = open_session(TargetSettings(region="eu-west-1", role_arn="arn:aws:iam::123456789012:role/migrator"))
    credentials = session.get_credentials()
    assert isinstance(credentials, DeferredRefreshableCredentials)
    assert credentials.method == "assume-role"


# ---- what goes over the wire


class Raw:
    def __init__(self, content):
        self.content = content

    def stream(self):
        yield self.content


class Wire:
    """Answers instead of the network, through botocore's own event."""

    def __init__(self, client, content=b"{}", crc32=None):
        self.requests = []
        self._content = content
        self._headers = {"x-amz-crc32": str(zlib.crc32(content) if crc32 is None else crc32)}
        client.meta.events.register("before-send.dynamodb.*", self._answer)

    def _answer(self, request, **_):
        self.requests.append(request)
        return AWSResponse(request.url, 200, self._headers, Raw(self._content))


ITEM = {"PK": {"S": "é"}, "b": {"B": b"\xff"}, "n": {"N": "1"}, "l": {"L": [{"BS": [b"a"]}, {"NULL": True}]}}


def send(client):
    return client.batch_write_item(
        RequestItems={"orders": [{"PutRequest": {"Item": ITEM}}]}, ReturnConsumedCapacity="INDEXES"
    )


def test_an_answer_damaged_on_its_way_is_noticed_and_not_asked_for_again():
    client = create_client(HERE)
    wire = Wire(client, crc32=1)
    with pytest.raises(ChecksumError):
        send(client)
    assert len(wire.requests) == 1


def test_a_request_is_tried_once():
    client = create_client(HERE)
    tried = []
    client.meta.events.register("before-send.dynamodb.*", lambda **_: tried.append(1))
    with pytest.raises(Exception, match="Could not connect"):
        send(client)
    assert tried == [1]
