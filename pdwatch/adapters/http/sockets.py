"""The daemon's sockets: a private one in the file system, and TCP where settings ask for it."""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pdwatch.errors import DaemonUnavailableError, EndpointError, PortTakenError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdwatch.core.listen import ListenAddress

_SUFFIX = ".sock"
_SYSTEM_DIRECTORY = Path("/run/pdwatch")


def runtime_directories(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where daemons of this user have their sockets, the place for a new one first."""
    places = [
        Path(environ["RUNTIME_DIRECTORY"].partition(":")[0]) if environ.get("RUNTIME_DIRECTORY") else None,
        Path(environ["XDG_RUNTIME_DIR"]) / "pdwatch" if environ.get("XDG_RUNTIME_DIR") else None,
        Path(tempfile.gettempdir()) / f"pdwatch-{os.getuid()}",
    ]
    return tuple(dict.fromkeys(place for place in places if place is not None))


def find_sockets(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the sockets of daemons that may run, of this user's and the system's, the oldest first."""
    found: dict[Path, float] = {}
    for directory in (*runtime_directories(environ), _SYSTEM_DIRECTORY):
        for path in directory.glob(f"*{_SUFFIX}") if os.access(directory, os.R_OK | os.X_OK) else ():
            try:
                found[path] = path.stat().st_mtime
            except OSError:  # it ended meanwhile
                continue
    return tuple(sorted(found, key=found.__getitem__))


def places_to_ask(place: str | None, environ: Mapping[str, str]) -> Sequence[str]:
    """Return ``place``, or without one where every daemon that may run here answers.

    Raises:
        DaemonUnavailableError: None runs here.
    """
    found = [place] if place is not None else [str(path) for path in find_sockets(environ)]
    if not found:
        raise DaemonUnavailableError(
            "no pdwatch runs here, so there is nobody to ask",
            remedy="start one with `pdwatch run DIR`; `pdwatch status NAME` asks the cluster and needs none",
        )
    return found


def default_socket(environ: Mapping[str, str], *, pid: int) -> Path:
    """Return the path of this daemon's socket, in a directory that is there, private and tidy.

    Raises:
        EndpointError: There can be no such directory.
    """
    directory = runtime_directories(environ)[0]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise EndpointError(f"{directory} can't be made: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise EndpointError(f"{directory} is not this user's alone to write")
    for left in directory.glob(f"*{_SUFFIX}"):
        if left.stem == str(pid) or (left.stem.isdecimal() and not Path(f"/proc/{left.stem}").exists()):
            left.unlink(missing_ok=True)
    return directory / f"{pid}{_SUFFIX}"


def bind_unix(path: Path) -> socket.socket:
    """Return a socket at ``path`` that only this user can connect to; it does not listen yet.

    What an ended daemon has left there is replaced.

    Raises:
        PortTakenError: Somebody listens there.
        EndpointError: There can be no socket there.
    """
    _make_room(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        path.chmod(0o600)  # before it listens, so nobody can have connected
    except OSError as error:
        bound.close()
        raise EndpointError(f"there can be no socket at {path}: {error.strerror or error}") from error
    return bound


def bind_tcp(address: ListenAddress) -> socket.socket:
    """Return a socket on a TCP address.

    Raises:
        PortTakenError: Somebody else listens there.
        EndpointError: It is no address of this machine, or is not for everybody to take.
    """
    shown = f"{address.host}:{address.port}"
    try:
        family, *_, name = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(name[:2], family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(
                f"http.listen: {shown} is taken", remedy="name another port, or 0 for any that is free"
            ) from error
        raise EndpointError(f"http.listen: {shown} can't be listened on: {error.strerror}") from error


def _make_room(path: Path) -> None:
    try:
        left = stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return
    if not left:
        raise EndpointError(f"{path} is there already and no socket", remedy="name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            return  # binding tells what is wrong
        else:
            raise PortTakenError(f"another pdwatch listens at {path}", remedy="stop it, or name another path")
