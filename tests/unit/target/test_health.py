import pytest
from botocore.exceptions import EndpointConnectionError

from migrator.target.backoff import Timing
from migrator.target.health import health
from migrator.target.session import TargetSettings
from migrator.target.tablefound import is_service


class Client:
    class meta:  # noqa: N801  (botocore's name)
        region_name = "eu-west-1"
        endpoint_url = "https://dynamodb.eu-west-1.amazonaws.com"

    def __init__(self, clock, tables, error):
        self._clock, self._tables, self._error = clock, tables, error

    def describe_table(self, TableName):  # noqa: N803
        self._clock.now += 0.02
        status = self._tables.get(TableName)
        if status is None:
            raise self._error("ResourceNotFoundException")
        if isinstance(status, Exception):
            raise status
        return {"Table": {"TableStatus": status}}


@pytest.fixture
def ask_health(clock, error):
    def ask_health(tables, settings=TargetSettings(), who=lambda settings: "arn:me"):  # noqa: B008  (frozen)
        client = Client(clock, tables, error)
        return health(client, settings, tables, timing=Timing(clock, clock.sleep), who=who)

    return ask_health


def test_a_well_target_is_described(ask_health):
    assert ask_health({"orders": "ACTIVE", "gone": None}) == {
        "identity": "arn:me",
        "identity_note": None,
        "region": "eu-west-1",
        "endpoint": "https://dynamodb.eu-west-1.amazonaws.com",
        "reachable": True,
        "latency_ms": 20.0,
        "tables": {"orders": "ACTIVE", "gone": None},
        "error": None,
    }


def test_an_unreachable_target_is_told_within_seconds(ask_health, clock):
    report = ask_health({"orders": EndpointConnectionError(endpoint_url="x")})
    assert (report["reachable"], report["latency_ms"], report["error"]["code"]) == (False, None, "target_unreachable")
    assert clock.now < 1_010


def test_denied_is_reachable(ask_health, error):
    report = ask_health({"orders": error("AccessDeniedException")})
    assert (report["reachable"], report["error"]["code"]) == (True, "access_denied")


def test_an_identity_that_cannot_be_had_is_a_note(ask_health):
    def who(settings):
        raise EndpointConnectionError(endpoint_url="https://sts")

    report = ask_health({"orders": "ACTIVE"}, who=who)
    assert report["identity"] is None
    assert "https://sts" in report["identity_note"]


def test_an_endpoint_of_ones_own_is_not_asked_for_an_identity(ask_health):
    report = ask_health({"orders": "ACTIVE"}, TargetSettings(endpoint_url="http://localhost:8000"), who=None)
    assert report["identity_note"] == "not asked for at an endpoint of one's own"


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://dynamodb.eu-central-1.amazonaws.com", True),
        ("https://dynamodb.cn-north-1.amazonaws.com.cn", True),
        ("http://localhost:8000", False),
        ("https://amazonaws.com.example.org", False),
    ],
)
def test_only_the_services_own_endpoints_are_asked_for_an_identity(endpoint, expected):
    assert is_service(endpoint) is expected
