"""What can be wrong with a workflow, a deployment or a step; `fluxio_protocol.errors` has the rest."""

from __future__ import annotations

from fluxio_protocol.errors import FluxioError


class DefinitionError(FluxioError):
    """A workflow class is not well formed; raised when it is decorated, so a worker never sees one."""


class DeploymentError(FluxioError):
    """The worker's zip or function does not fit the run: the run is parked until that is mended."""


class UnknownWorkflow(FluxioError):
    """No manifest of this deployment names the workflow of a run."""


class DefinitionWarning(UserWarning):
    """Something about a workflow class that is probably not meant; said when it is decorated."""


class BindingError(FluxioError):
    """A step's parameters cannot be supplied; no retry mends that, so none is made."""

    def __init__(self, message: str | None = None, signals: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        #: The signals whose payloads are to blame: the step waits for them anew.
        self.signals = signals


class TransactError(FluxioError):
    """An operation handed to ctx.transact is not one that TransactWriteItems takes."""


class StartError(FluxioError):
    """A run that ctx.start is asked for cannot be started: no such workflow, or nothing it can be given."""


class StepTimeout(BaseException):
    """A step ran longer than its timeout.

    Not an Exception, so that neither a step's `except Exception` nor boto3's retries swallow it.
    """
