"""What each error of DynamoDB and of botocore means: one table, read by everything that meets one.

Names are the service's error codes ("Common Errors" and each operation's "Errors" in the API reference)
and botocore's exception classes. For each: what a writer does about it, our own stable code,
and what the user should do.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from enum import Enum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from msgspec import Struct

from migrator.errors import TargetError

#: What a client raises when a request fails. Anything else is a defect of ours and is not caught.
CLIENT_ERRORS = (ClientError, BotoCoreError, ResponseParserError)

_WORDS_LENGTH = 300


class Verdict(Enum):
    """What to do about an error."""

    THROTTLED = "throttled"  # nothing was applied; come back more slowly
    TRANSIENT = "transient"  # may have been applied; send again
    TOO_LARGE = "too large"  # send it in parts
    REFUSED = "refused"  # something in the request is not valid: find the item
    FINAL = "final"  # no request can succeed before somebody acts


class Fault(Struct, frozen=True):
    verdict: Verdict
    code: str  #: ours, stable
    advice: str
    retryable: bool  #: whether running the same command again, unchanged, may succeed


_THROTTLED = Fault(
    Verdict.THROTTLED, "throttled", "lower settings: write_rate, or give the table more capacity; then run again", True
)
_UNSTEADY = Fault(Verdict.TRANSIENT, "target_error", "run the same command again", True)
_UNREACHABLE = Fault(
    Verdict.TRANSIENT, "target_unreachable", "check target: endpoint_url and region, the network and its proxy", True
)
_REFUSED = Fault(Verdict.REFUSED, "target_refused", "the service does not accept this request", False)
_TOO_LARGE = Fault(Verdict.TOO_LARGE, "request_too_large", "lower settings: batch_size", False)
_DENIED = Fault(
    Verdict.FINAL, "access_denied", "allow this identity the named action on the table, or use another profile", False
)
_MISSING = Fault(
    Verdict.FINAL, "table_missing", "create it: migrator table create PLAN; or check target: region and profile", False
)
_NO_BUCKET = Fault(Verdict.FINAL, "bucket_missing", "name a bucket that is there, or make this one", False)
_EXPIRED = Fault(Verdict.FINAL, "credentials_expired", "log in again, then run the same command again", True)
_CREDENTIALS = Fault(
    Verdict.FINAL, "credentials_missing", "set AWS_PROFILE or target: profile, or log in (aws sso login)", False
)
_CREDENTIALS_WRONG = Fault(
    Verdict.FINAL, "credentials_refused", "check that AWS_PROFILE and the access keys belong to this account", False
)
_PROFILE = Fault(
    Verdict.FINAL, "profile_missing", "name a profile of ~/.aws/config in target: profile or AWS_PROFILE", False
)
_REGION = Fault(Verdict.FINAL, "region_missing", "set target: region in the plan, or AWS_REGION", False)
_SETTING = Fault(
    Verdict.FINAL, "setting_wrong", "mend it in the environment (AWS_…) or in the profile in ~/.aws/config", False
)
_CLOCK = Fault(Verdict.FINAL, "clock_wrong", "set this machine's clock", False)
_KEY = Fault(Verdict.FINAL, "encryption_key", "make the table's KMS key usable again", False)
_LIMIT = Fault(Verdict.FINAL, "target_limit", "wait for other changes of tables to end, or raise the quota", True)
_UNKNOWN_OPERATION = Fault(Verdict.FINAL, "unknown_operation", "this engine does not know the operation", False)
_OTHER = Fault(Verdict.FINAL, "target_refused", "see the service's words", False)

FAULTS: Mapping[str, Fault] = {
    "ProvisionedThroughputExceededException": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "RequestThrottled": _THROTTLED,
    "RequestThrottledException": _THROTTLED,
    "SlowDown": _THROTTLED,
    "Throttling": _THROTTLED,
    "ThrottledException": _THROTTLED,
    "ThrottlingException": _THROTTLED,
    "TooManyRequestsException": _THROTTLED,
    "InternalError": _UNSTEADY,
    "InternalFailure": _UNSTEADY,
    "InternalServerError": _UNSTEADY,
    "InternalServerErrorException": _UNSTEADY,
    "ReplicatedWriteConflictException": _UNSTEADY,
    "RequestTimeout": _UNSTEADY,
    "RequestTimeoutException": _UNSTEADY,
    "ServiceUnavailable": _UNSTEADY,
    "ServiceUnavailableException": _UNSTEADY,
    "TransactionConflictException": _UNSTEADY,
    "ResponseParserError": _UNSTEADY,
    "ChecksumError": _UNSTEADY,
    "IncompleteReadError": _UNSTEADY,
    "ResponseStreamingError": _UNSTEADY,
    "HTTPClientError": _UNREACHABLE,
    "ConnectionError": _UNREACHABLE,
    "SSLError": Fault(
        Verdict.FINAL, "tls", "check endpoint_url (http or https), AWS_CA_BUNDLE and this machine's clock", False
    ),
    "ValidationException": _REFUSED,
    "SerializationException": _REFUSED,
    "ParamValidationError": _REFUSED,
    "ItemCollectionSizeLimitExceededException": _REFUSED,
    "RequestEntityTooLarge": _TOO_LARGE,
    "RequestEntityTooLargeException": _TOO_LARGE,
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "UnauthorizedOperation": _DENIED,
    "OptInRequired": _DENIED,
    "ResourceNotFoundException": _MISSING,
    "TableNotFoundException": _MISSING,
    "NoSuchBucket": _NO_BUCKET,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "UnauthorizedSSOTokenError": _EXPIRED,
    "TokenRetrievalError": _EXPIRED,
    "SSOError": _EXPIRED,
    "LoginError": _EXPIRED,
    "CredentialRetrievalError": _EXPIRED,
    "MetadataRetrievalError": _EXPIRED,
    "NoCredentialsError": _CREDENTIALS,
    "PartialCredentialsError": _CREDENTIALS,
    "NoAuthTokenError": _CREDENTIALS,
    "IncompleteSignature": _CREDENTIALS_WRONG,
    "IncompleteSignatureException": _CREDENTIALS_WRONG,
    "InvalidClientTokenId": _CREDENTIALS_WRONG,
    "InvalidSignatureException": _CREDENTIALS_WRONG,
    "MissingAuthenticationToken": _CREDENTIALS_WRONG,
    "MissingAuthenticationTokenException": _CREDENTIALS_WRONG,
    "SignatureDoesNotMatch": _CREDENTIALS_WRONG,
    "UnrecognizedClientException": _CREDENTIALS_WRONG,
    "RequestTimeTooSkewed": _CLOCK,
    "ProfileNotFound": _PROFILE,
    "ConfigParseError": _PROFILE,
    "NoRegionError": _REGION,
    "InvalidRegionError": _REGION,
    "BrokenModel": _SETTING,
    "EndpointProviderError": _SETTING,
    "EndpointVariantError": _SETTING,
    "InvalidChecksumConfigError": _SETTING,
    "InvalidConfigError": _SETTING,
    "InvalidDefaultsMode": _SETTING,
    "InvalidEndpointConfigurationError": _SETTING,
    "InvalidIMDSEndpointError": _SETTING,
    "InvalidIMDSEndpointModeError": _SETTING,
    "InvalidProxiesConfigError": _SETTING,
    "InvalidRetryConfigurationError": _SETTING,
    "InvalidSTSRegionalEndpointsConfigError": _SETTING,
    "InaccessibleEncryptionCredentialsException": _KEY,
    "KMSAccessDeniedException": _KEY,
    "KMSDisabledException": _KEY,
    "KMSInvalidStateException": _KEY,
    "KMSNotFoundException": _KEY,
    "LimitExceededException": _LIMIT,
    "ResourceInUseException": _LIMIT,
    "UnknownOperationException": _UNKNOWN_OPERATION,
    "NotImplemented": _UNKNOWN_OPERATION,
}

_STATUSES: Mapping[int, Fault] = {413: _TOO_LARGE, 429: _THROTTLED, 501: _UNKNOWN_OPERATION}

# A message about a signature quotes the canonical request, session token included.
_QUOTED_REQUEST = re.compile(r"The Canonical String.*|The String-to-Sign.*", re.DOTALL)


def error_code(error: BaseException) -> str:
    """The service's code, or the exception's class."""
    response: Any = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code or type(error).__name__)


def fault_of(error: BaseException) -> Fault:
    """Find the fault by error code, else by HTTP status, else by exception class.

    >>> fault_of(ClientError({"Error": {"Code": "ThrottlingException"}}, "PutItem")).verdict
    <Verdict.THROTTLED: 'throttled'>
    >>> fault_of(ClientError({"Error": {"Code": "413"}, "ResponseMetadata": {"HTTPStatusCode": 413}}, "PutItem")).code
    'request_too_large'
    """
    for name in (error_code(error), *(kind.__name__ for kind in type(error).__mro__)):
        if name in FAULTS:
            return FAULTS[name]
    response: Any = getattr(error, "response", None)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) if isinstance(response, dict) else 0
    if status in _STATUSES:
        return _STATUSES[status]
    return _UNSTEADY if status >= 500 else _OTHER


def words_of(error: BaseException) -> str:
    """The service's own words on one line, without what may quote a request."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        said = response.get("Error", {}).get("Message") or response.get("message") or ""
    else:
        said = str(error)
    line = " ".join(_QUOTED_REQUEST.sub("", str(said)).split())
    return line[:_WORDS_LENGTH] or error_code(error)


def to_target_error(error: BaseException, doing: str) -> TargetError:
    """Say where, what and what to do. `doing` names the action and the table.

    >>> print(to_target_error(ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "x"), "write"))
    write: no (AccessDeniedException)
      allow this identity the named action on the table, or use another profile
    """
    fault = fault_of(error)
    told = TargetError(
        f"{doing}: {words_of(error)} ({error_code(error)})\n  {fault.advice}",
        code=fault.code,
        retryable=fault.retryable,
    )
    # A cause does not pickle and a writer's error is handed over, not raised: a note goes with it to the debug log.
    told.add_note("".join(traceback.format_exception(error)))
    return told
