from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.docker.api import connect
from pdwatch.adapters.docker.endpoint import Endpoint, docker_config, find_endpoint
from pdwatch.errors import DockerUnavailableError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def listening(home: Path) -> Iterator[Path]:
    path = home / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


def write_config(home: Path, content: object) -> None:
    (home / ".docker").mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (home / ".docker/config.json").write_text(text)


def test_docker_host_wins_over_a_context(home: Path) -> None:
    write_config(home, {"currentContext": "remote"})
    environ = {"DOCKER_HOST": "tcp://127.0.0.1:2375", "DOCKER_CONTEXT": "other"}
    assert find_endpoint(environ) == Endpoint(url="tcp://127.0.0.1:2375", origin="from DOCKER_HOST")


@pytest.mark.parametrize(
    ("config", "environ", "context"),
    [
        pytest.param({"currentContext": "remote"}, {}, "remote", id="of the configuration"),
        pytest.param(
            {"currentContext": "remote"}, {"DOCKER_CONTEXT": "other"}, "other", id="of the environment"
        ),
        pytest.param({"currentContext": "remote"}, {"DOCKER_CONTEXT": "default"}, None, id="the default one"),
        pytest.param({}, {"DOCKER_HOST": ""}, None, id="none"),
    ],
)
def test_a_context_wins_over_sockets(
    home: Path, config: dict[str, str], environ: dict[str, str], context: str | None
) -> None:
    write_config(home, config)
    assert find_endpoint(environ).context == context


def test_the_socket_of_a_rootless_docker_is_found(listening: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdwatch.adapters.docker.endpoint.DEFAULT_SOCKET", Path("/nowhere/docker.sock"))
    assert find_endpoint({"XDG_RUNTIME_DIR": str(listening.parent)}).url == f"unix://{listening}"


def test_without_any_socket_the_usual_one_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdwatch.adapters.docker.endpoint.DEFAULT_SOCKET", Path("/nowhere/docker.sock"))
    assert find_endpoint({}).url == "unix:///nowhere/docker.sock"


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"a": \ud83d}'.encode("utf-16", "surrogatepass").decode("latin-1")]
)
def test_a_broken_configuration_is_named_and_not_shown(home: Path, content: str) -> None:
    write_config(home, content)
    with pytest.raises(SettingsError, match=r"config\.json holds no JSON object") as refused:
        docker_config({})
    assert refused.value.__context__ is None or content not in str(refused.value)


def test_the_configuration_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"auths": {}}')
    assert docker_config({"DOCKER_CONFIG": str(tmp_path)}) == {"auths": {}}


async def error_at(endpoint: Endpoint) -> DockerUnavailableError:
    async with connect(endpoint) as api:
        with pytest.raises(DockerUnavailableError) as refused:
            await api.request("GET", "info")
    assert refused.value.retryable
    return refused.value


async def test_a_missing_socket_is_named_with_what_to_do(tmp_path: Path) -> None:
    error = await error_at(Endpoint(url=f"unix://{tmp_path}/no.sock", origin="from DOCKER_HOST"))
    assert error.message == f"there is no Docker socket at unix://{tmp_path}/no.sock (from DOCKER_HOST)"
    assert "systemctl start docker" in (error.remedy or "")


async def test_a_socket_that_nobody_listens_on_is_named(listening: Path) -> None:
    dead = listening.with_name("dead.sock")
    with socket.socket(socket.AF_UNIX) as unused:
        unused.bind(str(dead))
    error = await error_at(Endpoint(url=f"unix://{dead}", origin="from DOCKER_HOST"))
    assert error.message.startswith(f"no Docker listens at unix://{dead}")


async def test_a_socket_of_a_group_that_one_is_not_in_is_named(listening: Path) -> None:
    os.chmod(listening, 0)  # noqa: PTH101  # the event loop has nothing else to do
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # nothing is denied to root
    try:
        error = await error_at(Endpoint(url=f"unix://{listening}", origin="from DOCKER_HOST"))
    finally:
        os.seteuid(me)
    assert error.message.startswith(f"permission denied on the Docker socket unix://{listening}")
    assert "usermod -aG docker" in (error.remedy or "")


async def test_a_closed_tcp_port_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
    error = await error_at(Endpoint(url=url, origin="from DOCKER_HOST"))
    assert error.message == f"no Docker listens at {url} (from DOCKER_HOST)"


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint(url="/var/run/docker.sock", origin="from DOCKER_HOST"),
        Endpoint(url="ftp://docker", origin="from DOCKER_HOST"),
        Endpoint(context="gone", origin="Docker context gone"),
    ],
    ids=["no scheme", "unknown scheme", "a context that does not exist"],
)
async def test_an_unusable_address_is_a_setting_to_put_right(home: Path, endpoint: Endpoint) -> None:
    with pytest.raises(SettingsError, match=str(endpoint).split()[0]) as refused:
        async with connect(endpoint):
            pass
    assert refused.value.remedy
