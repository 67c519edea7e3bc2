import pytest
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from migrator.target.faults import Verdict, fault_of, to_target_error


@pytest.mark.parametrize(
    ("raised", "verdict", "code"),
    [
        (ReadTimeoutError(endpoint_url="x"), Verdict.TRANSIENT, "target_unreachable"),
        (ConnectTimeoutError(endpoint_url="x"), Verdict.TRANSIENT, "target_unreachable"),
        (EndpointConnectionError(endpoint_url="x"), Verdict.TRANSIENT, "target_unreachable"),
        (SSLError(endpoint_url="x", error="y"), Verdict.FINAL, "tls"),
        (ResponseParserError("<html>"), Verdict.TRANSIENT, "target_error"),
        (NoCredentialsError(), Verdict.FINAL, "credentials_missing"),
        (ProfileNotFound(profile="x"), Verdict.FINAL, "profile_missing"),
    ],
)
def test_exceptions_of_botocore_are_known_by_class(raised, verdict, code):
    fault = fault_of(raised)
    assert (fault.verdict, fault.code) == (verdict, code)


@pytest.mark.parametrize(
    ("name", "status", "verdict"),
    [
        ("ProvisionedThroughputExceededException", 400, Verdict.THROTTLED),
        ("InternalServerError", 500, Verdict.TRANSIENT),
        ("503", 503, Verdict.TRANSIENT),
        ("413", 413, Verdict.TOO_LARGE),
        ("429", 429, Verdict.THROTTLED),
        ("ValidationException", 400, Verdict.REFUSED),
        ("ExpiredTokenException", 400, Verdict.FINAL),
        ("SomethingNewException", 400, Verdict.FINAL),
        ("SomethingNewException", 500, Verdict.TRANSIENT),
    ],
)
def test_error_codes_and_statuses_are_classified(error, name, status, verdict):
    assert fault_of(error(name, status=status)).verdict is verdict


def test_a_refused_signature_does_not_quote_the_request(error):
    words = "Signatures do not match.\n\nThe Canonical String for this request should have been 'x:SECRET'"
    assert "SECRET" not in str(to_target_error(error("InvalidSignatureException", words), "write"))


def test_expired_credentials_can_be_tried_again(error):
    assert to_target_error(error("ExpiredTokenException"), "write").retryable
    assert not to_target_error(error("AccessDeniedException"), "write").retryable
