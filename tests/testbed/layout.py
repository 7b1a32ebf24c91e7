"""Where the testbed keeps its cache, which lasts, and its state, which goes when it goes down."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.testbed import credentials
from tests.testbed.errors import PrerequisiteMissingError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_STATE_PATH = 60
"""Unix socket paths end at 108 bytes, and containerd adds up to 45 to the state directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The directories of one testbed; two with different state directories can run side by side."""

    cache: Path
    state: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Layout:
        """Read ``PDWATCH_TESTBED_CACHE`` and ``PDWATCH_TESTBED_STATE``; both have defaults.

        The state holds Docker's images, so by default it is on disk rather than in ``/run`` or ``/tmp``.
        """
        home_cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "/root")) / ".cache"
        cache = environ.get("PDWATCH_TESTBED_CACHE") or Path(home_cache) / "pdwatch-testbed"
        state = environ.get("PDWATCH_TESTBED_STATE") or "/var/tmp/pdwatch-testbed"
        if len(state) > _LONGEST_STATE_PATH:
            raise PrerequisiteMissingError(
                f"The state directory {state} is too long for the Unix sockets in it.",
                remedy=f"Set PDWATCH_TESTBED_STATE to a path of at most {_LONGEST_STATE_PATH} characters.",
            )
        return cls(cache=Path(cache).absolute(), state=Path(state).absolute())

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that tell this testbed from others on the machine."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """The name of everything that can't be kept inside the state directory: cgroups and the lock."""
        return f"pdwatch-testbed-{self.digest}"

    @property
    def lock(self) -> Path:
        """Held while the testbed goes up or down; in the cache, since the state directory comes and goes."""
        return self.cache / "locks" / self.name

    @property
    def logs(self) -> Path:
        """One file a component."""
        return self.state / "logs"

    @property
    def record(self) -> Path:
        """The instance as JSON: processes, ports, tokens."""
        return self.state / "instance.json"

    @property
    def docker_socket(self) -> Path:
        """Where dockerd listens."""
        return self.state / "docker.sock"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def certificate(self) -> Path:
        """What the testbed's https servers show."""
        return self.state / credentials.CERTIFICATE

    @property
    def programs(self) -> Path:
        """kubectl and docker, for the PATH of whoever uses the testbed by hand."""
        return self.state / "bin"
