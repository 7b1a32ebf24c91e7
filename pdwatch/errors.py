"""Every error that pdwatch raises on purpose: what to say, whether trying again can help, and how to exit.

Exit codes are part of the command line's contract (docs/exit-codes.md).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ExitCode(IntEnum):
    """What a pdwatch command's exit status means."""

    OK = 0
    FAILED = 1
    """The work was done and the answer is no: invalid, not ready, build failed, a check failed."""
    USAGE = 2
    """Flags, arguments or settings are wrong."""
    UNAVAILABLE = 3
    """Docker, the API server or a registry could not be reached."""
    NOT_FOUND = 4
    """The named thing does not exist."""
    HELD = 5
    """pdwatch refuses to act: no gVisor, another field manager, another daemon."""


class PdwatchError(Exception):
    """Base of all expected errors.

    Args:
        message: What is wrong and where, in one sentence, free of secret values.
        remedy: What the reader can do about it.
        fields: Flat extra fields for a structured log line.
    """

    retryable: ClassVar[bool] = True
    """Whether the same attempt may succeed later with nothing saved in between."""
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(
        self, message: str, *, remedy: str | None = None, fields: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.fields: Mapping[str, object] = dict(fields or {})


class SettingsError(PdwatchError):
    """The configuration file, the environment, a flag or the kubeconfig is wrong.

    The daemon has checked its own when it starts; a kubeconfig is read again when a token ends.
    """

    exit_code = ExitCode.USAGE


class NotFoundError(PdwatchError):
    """The named workflow, directory or Deployment does not exist."""

    exit_code = ExitCode.NOT_FOUND


class NotWatchedError(NotFoundError):
    """The directory lies in no root of the settings."""


class InvalidWorkflowError(PdwatchError):
    """``workflow.yaml`` or a file it names has problems."""

    retryable = False


class DirectoryTakenError(PdwatchError):
    """A new directory was to go where there is something already."""

    retryable = False
    exit_code = ExitCode.HELD


class NotWrittenError(PdwatchError):
    """A directory or file of the user's could not be written."""


class LogUnreadableError(PdwatchError):
    """The daemon's log is another user's alone."""

    retryable = False


class UnreadablePathError(PdwatchError):
    """Deno's flags can't name a path that engines have to read."""

    retryable = False
    exit_code = ExitCode.USAGE


class TargetUnavailableError(PdwatchError):
    """A target can't be opened now; it is tried again (docs/adr/0020-two-targets.md)."""


class ProgramMissingError(PdwatchError):
    """A program that pdwatch starts is not on this machine."""

    exit_code = ExitCode.UNAVAILABLE


class PortTakenError(PdwatchError):
    """Somebody else listens on the port that was asked for."""

    retryable = False
    exit_code = ExitCode.HELD


class EndpointError(PdwatchError):
    """The HTTP endpoint can't listen where it should."""

    retryable = False
    exit_code = ExitCode.USAGE


class DaemonUnavailableError(PdwatchError):
    """No daemon answers."""

    exit_code = ExitCode.UNAVAILABLE


class SourceError(PdwatchError):
    """A source file could not be read."""


class SourceChangedError(SourceError):
    """A source file changed or vanished between being scanned and being shipped."""


class DockerError(PdwatchError):
    """The Docker daemon answered with an error."""


class DockerUnavailableError(DockerError):
    """No Docker daemon answers on the socket."""

    exit_code = ExitCode.UNAVAILABLE


class BaseImageError(DockerError):
    """The base image is not there and cannot be pulled."""

    exit_code = ExitCode.UNAVAILABLE


class DiskFullError(DockerError):
    """There is no space left where Docker keeps its images."""


class BuilderMissingError(DockerError):
    """Docker does not have the builder that was asked for by name."""

    retryable = False


class BuildFailedError(DockerError):
    """A build step failed; the sources have to change before another attempt can help.

    Args:
        message: One sentence that names the image.
        step: The failing Dockerfile instruction, as the daemon prints it.
        output: The last lines that the step printed.
        place: The ``path``, ``line`` and ``column`` in the user's own files, where it has one.
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        step: str | None = None,
        output: Sequence[str] = (),
        place: Mapping[str, object] | None = None,
        remedy: str | None = None,
    ) -> None:
        fields = {"step": step, "output": "\n".join(output), **(place or {})}
        super().__init__(message, remedy=remedy, fields=fields)
        self.step = step
        self.output = tuple(output)


class DependencyUnavailableError(DockerError):
    """A third-party import can't be fetched, since where it comes from can't be reached."""

    exit_code = ExitCode.UNAVAILABLE


class PushRefusedError(DockerError):
    """The registry refused the image, or could not be reached."""

    exit_code = ExitCode.UNAVAILABLE


class ClusterError(PdwatchError):
    """The API server answered with an error."""


class ClusterUnavailableError(ClusterError):
    """The API server cannot be reached, or does not answer in time."""

    exit_code = ExitCode.UNAVAILABLE


class ForbiddenError(ClusterError):
    """The API server knows the caller and does not allow the request (RBAC, quota, admission)."""


class UnauthorizedError(ClusterError):
    """The API server does not accept the caller's credentials."""


class NamespaceMissingError(ClusterError):
    """The namespace does not exist; somebody may create it at any time."""

    exit_code = ExitCode.NOT_FOUND


class ResourceExpiredError(ClusterError):
    """The resourceVersion to go on from is too old (410 Gone): list again."""


class ApplyConflictError(ClusterError):
    """Another field manager owns a field that pdwatch wants to set (server-side apply)."""

    exit_code = ExitCode.HELD


class ApplyRejectedError(ClusterError):
    """The API server finds the manifest invalid; only another manifest can help."""

    retryable = False


class GvisorMissingError(ClusterError):
    """RuntimeClass ``gvisor`` does not exist (seed, decision 3: gVisor is not optional)."""

    reason: ClassVar[str] = "gvisor-missing"
    exit_code = ExitCode.HELD


class ContextNotAllowedError(ClusterError):
    """The kubeconfig's context does not look local, and nobody has allowed writing to it."""

    reason: ClassVar[str] = "context-not-allowed"
    exit_code = ExitCode.HELD


class ClusterChangedError(ClusterError):
    """Behind the API server's address is another cluster than before."""

    reason: ClassVar[str] = "cluster-changed"
    exit_code = ExitCode.HELD


class ForeignObjectError(ClusterError):
    """The object has the right name, but pdwatch did not make it."""

    retryable = False
    exit_code = ExitCode.HELD


class RollbackError(ClusterError):
    """What a workflow ran before can't be brought back as asked."""

    retryable = False
    exit_code = ExitCode.HELD


class AlreadyWatchedError(PdwatchError):
    """Another daemon already watches the directory."""

    retryable = False
    exit_code = ExitCode.HELD
