"""What went wrong, in one line with its remedy, and the exit code that stands for it."""

from __future__ import annotations

import json
from typing import NamedTuple

from botocore import exceptions as aws

from fluxio_client.cli.exits import ExitCode
from fluxio_protocol import errors


class Declined(errors.FluxioError):
    """Nothing was done, since the question was not answered with yes."""


class Unasked(errors.FluxioError):
    """There is no terminal to ask on: say --yes, if that is what you want."""


class NotFound(errors.FluxioError):
    """There is no such thing."""


class Explained(NamedTuple):
    """A failure as the command reports it."""

    kind: str
    message: str
    code: ExitCode

    def to_json(self) -> str:
        """The one object that --json makes of it."""
        error = {"type": self.kind, "message": self.message, "exit_code": self.code}
        return json.dumps({"error": error}, ensure_ascii=False)


_CODES: tuple[tuple[type[errors.FluxioError], ExitCode], ...] = (
    (errors.RunNotFound, ExitCode.NOT_FOUND),
    (NotFound, ExitCode.NOT_FOUND),
    (errors.InvalidInput, ExitCode.USAGE),
    (errors.PayloadError, ExitCode.USAGE),
    (errors.SettingError, ExitCode.USAGE),
    (Unasked, ExitCode.USAGE),
    (errors.RunParked, ExitCode.UNSUCCESSFUL),
    (errors.WaitTimeout, ExitCode.NOT_ENDED),
)

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN_KEY = {
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_NO_QUEUE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}

#: What DynamoDB says of calls on a table with other keys than fluxio's.
_OTHER_TABLE = (
    "key element does not match the schema",
    "missed key schema element",
    "Query key condition not supported",
    "Missing the key",
    "Type mismatch for key",
)

_NO_CREDENTIALS = (aws.NoCredentialsError, aws.PartialCredentialsError)
_BAD_CREDENTIALS = (aws.SSOError, aws.CredentialRetrievalError, aws.TokenRetrievalError)

_SIGN_IN = "Sign in again (`aws sso login`, or fresh keys) and repeat the command."
_ENDPOINT = (
    "Check the network, --region (AWS_DEFAULT_REGION) and --endpoint-url (AWS_ENDPOINT_URL)."
)


def explain(error: BaseException) -> Explained | None:
    """A failure that a person can mend; None for one that only the maintainers can."""
    if isinstance(error, errors.FluxioError):
        code = next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.ERROR)
        return Explained(type(error).__name__, " ".join(str(error).split()), code)
    if isinstance(error, aws.ClientError):
        return _explain_answer(error)
    message = _explain_sdk(error)
    return Explained(type(error).__name__, message, ExitCode.AWS) if message else None


def concerns_every_call(error: BaseException) -> bool:
    """Whether it is about the caller's credentials, so that no other call would get further."""
    if isinstance(error, aws.ClientError):
        return error.response["Error"]["Code"] in _EXPIRED | _UNKNOWN_KEY
    return isinstance(error, _NO_CREDENTIALS + _BAD_CREDENTIALS + (aws.ProfileNotFound,))


def is_denied(error: BaseException) -> bool:
    """Whether AWS refused a call for want of a permission."""
    return isinstance(error, aws.ClientError) and error.response["Error"]["Code"] in _DENIED


def missing_action(error: aws.ClientError) -> str:
    """The IAM action that the caller lacks, as AWS names it, or else by the call's own name."""
    message = error.response["Error"].get("Message", "")
    _, _, after = message.partition("not authorized to perform: ")
    return str(after.split()[0].rstrip(".") if after else error.operation_name)


def _explain_answer(error: aws.ClientError) -> Explained:
    code = error.response["Error"]["Code"]
    said = " ".join(error.response["Error"].get("Message", "").split()).rstrip(".")
    if code in _DENIED:
        action = missing_action(error)
        text = (
            f"AWS denies {action}: add it to the policy of your role (docs/cli.md lists what each command "
            f"needs). {said}"
        )
        return Explained(code, f"{text.rstrip('. ')}.", ExitCode.AWS)
    if code in _EXPIRED:
        return Explained(code, f"your AWS credentials have expired. {_SIGN_IN}", ExitCode.AWS)
    if code in _UNKNOWN_KEY:
        text = f"AWS does not know your credentials ({code}): check AWS_PROFILE and the keys. {_SIGN_IN}"
        return Explained(code, text, ExitCode.AWS)
    if code in _NO_QUEUE:
        text = "there is no such queue: set --queue-url or FLUXIO_QUEUE_URL to the module's output `queue_url`."
        return Explained(code, text, ExitCode.USAGE)
    if code == "ValidationException" and any(text in said for text in _OTHER_TABLE):
        text = (
            f"the table is not fluxio's, or is damaged ({said}): is --table-name or FLUXIO_TABLE_NAME the "
            "module's output `table_name`? If so, `fluxio doctor` says what the table lacks."
        )
        return Explained(errors.SettingError.__name__, text, ExitCode.USAGE)
    text = f"AWS refused {error.operation_name} ({code}): {said}. Nothing else is known of it."
    return Explained(code, text, ExitCode.AWS)


def _explain_sdk(error: BaseException) -> str | None:
    if isinstance(error, _NO_CREDENTIALS):
        return (
            "no AWS credentials found: sign in (`aws sso login`), name a profile (AWS_PROFILE), or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if isinstance(error, _BAD_CREDENTIALS):  # the subclasses say more than a person needs
        return f"your AWS credentials cannot be used ({_one_line(error)}). {_SIGN_IN}"
    if isinstance(error, aws.ProfileNotFound):
        return f"{_one_line(error)}: set AWS_PROFILE to one of `aws configure list-profiles`."
    if isinstance(error, aws.NoRegionError):
        return "the AWS Region is not set: say --region, or set AWS_DEFAULT_REGION."
    if isinstance(error, (aws.InvalidRegionError, aws.InvalidEndpointConfigurationError)):
        return f"{_one_line(error)}: check --region."
    if isinstance(error, (aws.HTTPClientError, aws.ConnectionError)):
        return f"AWS cannot be reached: {_one_line(error)}. {_ENDPOINT}"
    if isinstance(error, aws.BotoCoreError):
        return f"the AWS SDK cannot go on: {_one_line(error)}."
    if isinstance(error, ValueError) and "Invalid endpoint" in str(error):
        return f"{_one_line(error)}: check --endpoint-url and --region."
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")
