"""Which failures of an AWS call may pass by themselves, so that the same call is worth repeating."""

from __future__ import annotations

from botocore.exceptions import ClientError, ParamValidationError

from fluxio_protocol.errors import FluxioError
from fluxio_protocol.queue import QueueError

#: Answers that the same call gets each time: it is malformed, or what it is about is not there.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
_LASTING = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "InvalidAddress",
        "InvalidParameterValue",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
        "SerializationException",
        "ValidationException",
    }
)

#: What a call raises each time, because the code that makes it is wrong.
_MISTAKES = (
    ParamValidationError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
)


def is_transient(error: Exception) -> bool:
    """Whether a call that failed with this may pass when it is repeated.

    Throttles, 5xx, timeouts, lost connections and conflicts with a transaction do; so may a refusal for lack of
    rights, since IAM takes some seconds to know a change of policy; and whatever else a call raises on its way,
    where an answer cannot be parsed, for example, or the process has no file descriptor left.
    """
    if isinstance(error, ClientError):
        return error_code(error) not in _LASTING
    if isinstance(error, FluxioError):
        return isinstance(error, QueueError)
    return not isinstance(error, _MISTAKES)


def error_code(error: Exception) -> str | None:
    """AWS's code of an error, `ThrottlingException` for example; None if AWS has not answered."""
    response = error.response if isinstance(error, ClientError) else {}
    code: str | None = response.get("Error", {}).get("Code")
    return code
