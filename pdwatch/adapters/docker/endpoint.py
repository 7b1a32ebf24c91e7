"""Where Docker is, found as its own command line finds it, and what it means when nobody answers there."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdwatch.errors import DockerError, DockerUnavailableError, SettingsError
from pdwatch.paths import home, is_socket

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SOCKET = Path("/var/run/docker.sock")
_DEFAULT_CONTEXT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A daemon's address, or the Docker context that holds it; ``origin`` says where it came from."""

    url: str | None = None
    context: str | None = None
    origin: str

    def __str__(self) -> str:
        return f"{self.url} ({self.origin})" if self.url else self.origin


def docker_config(environ: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    """Read Docker's ``config.json``, from ``DOCKER_CONFIG`` or ``~/.docker``; empty when there is none.

    Raises:
        SettingsError: It can't be read; the message never shows its content, which holds credentials.
    """
    environ = os.environ if environ is None else environ
    path = Path(environ.get("DOCKER_CONFIG") or home() / ".docker") / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from error
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise SettingsError(
            f"{path} holds no JSON object", remedy="repair it, or move it away and log in again"
        )
    return config


def find_endpoint(environ: Mapping[str, str] | None = None) -> Endpoint:
    """Return where Docker is: ``DOCKER_HOST``, else the current context, else the first socket that exists.

    Raises:
        SettingsError: Docker's ``config.json`` can't be read.
    """
    environ = os.environ if environ is None else environ
    if url := environ.get("DOCKER_HOST"):
        return Endpoint(url=url, origin="from DOCKER_HOST")
    context = environ.get("DOCKER_CONTEXT") or docker_config(environ).get("currentContext")
    if context and context != _DEFAULT_CONTEXT:
        return Endpoint(context=context, origin=f"Docker context {context}")
    runtime = environ.get("XDG_RUNTIME_DIR")
    rootless = [Path(runtime) / "docker.sock"] if runtime else []
    candidates = [DEFAULT_SOCKET, *rootless, home() / ".docker/run/docker.sock"]
    socket = next(filter(is_socket, candidates), DEFAULT_SOCKET)
    return Endpoint(url=f"unix://{socket}", origin="DOCKER_HOST is not set")


def unreachable(error: Exception, endpoint: Endpoint) -> DockerError:
    """Return the error that says why ``endpoint`` gave no answer, or no whole one."""
    cause = getattr(error, "os_error", error)
    match cause:
        case FileNotFoundError():
            return DockerUnavailableError(
                f"there is no Docker socket at {endpoint}",
                remedy="start Docker (`sudo systemctl start docker`), or set DOCKER_HOST to where it listens",
            )
        case PermissionError():
            return DockerUnavailableError(
                f"permission denied on the Docker socket {endpoint}",
                remedy="join its group (`sudo usermod -aG docker $USER`) and log in again, or go rootless",
            )
        case ConnectionRefusedError():
            return DockerUnavailableError(
                f"no Docker listens at {endpoint}",
                remedy="start Docker (`sudo systemctl start docker`), or set DOCKER_HOST to where it listens",
            )
        case asyncio.TimeoutError():
            return DockerUnavailableError(
                f"Docker at {endpoint} does not answer",
                remedy="see whether `docker info` answers; if not, restart Docker",
            )
    said = str(cause) or type(cause).__name__
    return DockerUnavailableError(
        f"the connection to Docker at {endpoint} broke: {said}",
        remedy="see whether `docker info` answers, and look at Docker's own log",
    )
