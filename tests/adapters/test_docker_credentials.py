from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.adapters.docker.credentials import registry_auth
from pdwatch.errors import PushRefusedError

if TYPE_CHECKING:
    from pathlib import Path

HUB = "https://index.docker.io/v1/"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    return tmp_path


def write(config: Path, content: dict[str, Any]) -> None:
    (config / "config.json").write_text(json.dumps(content))


def helper(config: Path, name: str, script: str) -> None:
    program = config / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def basic(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


async def auth(host: str) -> dict[str, str]:
    decoded: dict[str, str] = json.loads(base64.urlsafe_b64decode(await registry_auth(host)))
    return decoded


async def test_without_a_configuration_the_push_is_anonymous(config: Path) -> None:
    assert await auth("ghcr.io") == {"serveraddress": "ghcr.io"}


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v1/", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        (HUB, "docker.io"),
    ],
)
async def test_credentials_of_docker_login_are_found_by_host(config: Path, key: str, host: str) -> None:
    write(config, {"auths": {"other.io": basic("eve", "x"), key: basic("me", "pass:word")}})
    found = await auth(host)
    assert (found["username"], found["password"]) == ("me", "pass:word")
    assert found["serveraddress"] == (HUB if host == "docker.io" else host)


async def test_an_identity_token_stands_for_name_and_password(config: Path) -> None:
    write(config, {"auths": {"ghcr.io": {"auth": "", "identitytoken": "t0ken"}}})
    assert await auth("ghcr.io") == {"identitytoken": "t0ken", "serveraddress": "ghcr.io"}


@pytest.mark.parametrize(
    "auths",
    [
        None,
        [],
        {"ghcr.io": None},
        {"ghcr.io": {}},
        {"ghcr.io": {"auth": "%%"}},
        {"ghcr.io": {"auth": "YQ=="}},
    ],
    ids=str,
)
async def test_what_holds_no_credentials_is_anonymous(config: Path, auths: object) -> None:
    write(config, {"auths": auths})
    assert await auth("ghcr.io") == {"serveraddress": "ghcr.io"}


ANSWER = """test "$1" = get || exit 9
read server
echo "{\\"ServerURL\\": \\"$server\\", \\"Username\\": \\"me@$server\\", \\"Secret\\": \\"s3cret\\"}\""""


@pytest.mark.parametrize(
    "content",
    [{"credsStore": "vault"}, {"credHelpers": {"ghcr.io": "vault"}, "credsStore": "broken"}],
    ids=["for all", "for the host"],
)
async def test_a_credential_helper_is_asked(config: Path, content: dict[str, Any]) -> None:
    write(config, content)
    helper(config, "vault", ANSWER)
    found = await auth("ghcr.io")
    assert (found["username"], found["password"]) == ("me@ghcr.io", "s3cret")


async def test_a_helpers_token_is_an_identity_token(config: Path) -> None:
    write(config, {"credsStore": "vault"})
    helper(config, "vault", """echo '{"Username": "<token>", "Secret": "t0ken"}'""")
    assert await auth("ghcr.io") == {"identitytoken": "t0ken", "serveraddress": "ghcr.io"}


async def test_a_helper_that_knows_nothing_leaves_the_file(config: Path) -> None:
    write(config, {"credsStore": "vault", "auths": {"ghcr.io": basic("me", "word")}})
    helper(config, "vault", "echo credentials not found in native keychain; exit 1")
    assert (await auth("ghcr.io"))["password"] == "word"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param(None, "can't be run: No such file", id="missing"),
        pytest.param("echo s3cret; exit 3", "fails with exit code 3", id="failing"),
        pytest.param("echo s3cret", "is no credentials", id="no JSON"),
        pytest.param("""echo '{"Username": "s3cret"}'""", "is no credentials", id="half an answer"),
    ],
)
async def test_a_helper_that_fails_is_named_without_what_it_said(
    config: Path, script: str | None, message: str
) -> None:
    write(config, {"credsStore": "vault"})
    if script is not None:
        helper(config, "vault", script)
    with pytest.raises(PushRefusedError, match=message) as refused:
        await auth("ghcr.io")
    shown = f"{refused.value.message} {refused.value.remedy} {refused.value.fields}"
    assert "docker-credential-vault" in shown
    assert "s3cret" not in shown


async def test_a_helper_that_hangs_is_stopped(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdwatch.adapters.docker.credentials.HELPER_TIMEOUT_S", 0.05)
    write(config, {"credsStore": "vault"})
    helper(config, "vault", "exec tail -f /dev/null")
    with pytest.raises(PushRefusedError, match="gives no credentials within"):
        await auth("ghcr.io")
