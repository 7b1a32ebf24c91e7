"""Tokens and certificates that end, are refused, and are renewed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pdwatch.adapters.kubernetes import credentials
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.errors import (
    UnauthorizedError,
)
from tests.adapters.certificates import certificate, signed
from tests.adapters.kubeconfigs import exec_plugin, kubeconfig, plugin_calls
from tests.adapters.scripted_server import OK, PATH, answer, scripted_server

pytestmark = pytest.mark.usefixtures("nothing_around_us")
EXEC = "client.authentication.k8s.io/v1"


def commands_with(text: str) -> list[str]:
    """The command lines of this machine's processes in which ``text`` is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            found.append(path.read_text(errors="replace").replace("\0", " "))
    return [line for line in found if text in line]


class TestCredentials:
    @staticmethod
    def token(value: str, lifetime: timedelta | None = None) -> str:
        ends = (
            f', "expirationTimestamp": "{datetime.now(UTC) + lifetime:%Y-%m-%dT%H:%M:%SZ}"'
            if lifetime
            else ""
        )
        return (
            'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
            f' "status": {{"token": "\'"{value}"\'"{ends}}}}}\''
        )

    async def test_a_plugin_s_token_is_used_until_it_ends(self, tmp_path: Path) -> None:
        user = exec_plugin(tmp_path / "plugin", self.token("token-$calls", timedelta(hours=1)))
        async with (
            scripted_server([OK, OK]) as server,
            connect(kubeconfig=kubeconfig(tmp_path / "config", server.url, user=user)) as api,
        ):
            await api.request("GET", PATH)
            await api.request("GET", PATH)
            assert server.sent("Authorization") == ["Bearer token-1", "Bearer token-1"]

    async def test_a_token_about_to_end_is_renewed_before_it_is_sent(self, tmp_path: Path) -> None:
        user = exec_plugin(tmp_path / "plugin", self.token("token-$calls", timedelta(seconds=1)))
        async with (
            scripted_server([OK, OK]) as server,
            connect(kubeconfig=kubeconfig(tmp_path / "config", server.url, user=user)) as api,
        ):
            await api.request("GET", PATH)
            await api.request("GET", PATH)
            assert server.sent("Authorization") == ["Bearer token-2", "Bearer token-3"]

    async def test_a_token_that_is_refused_is_renewed_once(self, tmp_path: Path) -> None:
        user = exec_plugin(tmp_path / "plugin", self.token("token-$calls"))
        async with (
            scripted_server([answer(401, {}), OK]) as server,
            connect(kubeconfig=kubeconfig(tmp_path / "config", server.url, user=user)) as api,
        ):
            assert await api.request("GET", PATH) == {"kind": "Deployment"}
            assert server.sent("Authorization") == ["Bearer token-1", "Bearer token-2"]

    async def test_requests_that_meet_the_same_refusal_renew_the_token_together(self, tmp_path: Path) -> None:
        user = exec_plugin(tmp_path / "plugin", self.token("token-$calls"))
        async with (
            scripted_server([answer(401, {})] * 5 + [OK] * 5) as server,
            connect(kubeconfig=kubeconfig(tmp_path / "config", server.url, user=user)) as api,
        ):
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(api.request("GET", PATH))
            assert plugin_calls(tmp_path / "plugin") == 2

    async def test_a_plugin_that_fails_does_so_once_for_all_requests_that_wait_for_it(
        self, tmp_path: Path
    ) -> None:
        token = self.token("token", timedelta(seconds=1))
        user = exec_plugin(tmp_path / "plugin", f"[ $calls = 1 ] || exit 3; {token}")
        async with (
            scripted_server([]) as server,
            connect(kubeconfig=kubeconfig(tmp_path / "config", server.url, user=user)) as api,
        ):
            requests = [api.request("GET", PATH) for _ in range(5)]
            failed = await asyncio.gather(*requests, return_exceptions=True)
        assert {type(each) for each in failed} == {UnauthorizedError}
        assert plugin_calls(tmp_path / "plugin") == 2

    async def test_a_kubeconfig_written_anew_is_read_after_a_refusal(self, tmp_path: Path) -> None:
        async with scripted_server([answer(401, {}), OK]) as server:
            path = kubeconfig(tmp_path / "config", server.url, user={"token": "old"})
            async with connect(kubeconfig=path) as api:
                kubeconfig(path, server.url, user={"token": "new"})
                assert await api.request("GET", PATH)
            assert server.sent("Authorization") == ["Bearer old", "Bearer new"]

    @pytest.mark.parametrize(
        ("script", "said"),
        [
            pytest.param(
                "echo please log in >&2; exit 3", "exec: it ends with exit code 3: please log in", id="fails"
            ),
            pytest.param("echo garbage", "exec: it prints no ExecCredential", id="garbage"),
            pytest.param("echo '{}'", "exec: it prints no ExecCredential", id="no credential"),
            pytest.param(
                """echo '{"apiVersion": "v1", "status": {}}'""",
                "exec: it answers in v1",
                id="another version",
            ),
        ],
    )
    async def test_a_plugin_that_fails_is_named_with_what_it_said(
        self, tmp_path: Path, script: str, said: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        user = exec_plugin(tmp_path / "plugin", script)
        with pytest.raises(UnauthorizedError) as caught:
            await connect(kubeconfig=kubeconfig(tmp_path / "config", "https://it", user=user)).__aenter__()
        assert f"credential plugin {tmp_path}/plugin failed: {said}" in caught.value.message
        assert "".join(capfd.readouterr()) == ""

    async def test_a_plugin_that_is_not_installed_is_named(self, tmp_path: Path) -> None:
        user = {"exec": {"apiVersion": EXEC, "command": "no-such-plugin"}}
        with pytest.raises(UnauthorizedError, match="no-such-plugin failed: it is not installed"):
            await connect(kubeconfig=kubeconfig(tmp_path / "config", "https://it", user=user)).__aenter__()

    async def test_a_plugin_may_say_more_than_a_pipe_holds(self, tmp_path: Path) -> None:
        user = exec_plugin(tmp_path / "plugin", f"seq 100000 >&2; {self.token('loud')}")
        async with scripted_server([OK]) as server:
            async with connect(kubeconfig=kubeconfig(tmp_path / "config", server.url, user=user)) as api:
                await api.request("GET", PATH)
            assert server.sent("Authorization") == ["Bearer loud"]

    async def test_of_much_that_a_plugin_says_the_end_is_told(self, tmp_path: Path) -> None:
        user = exec_plugin(tmp_path / "plugin", "seq 100000 >&2; echo please log in >&2; exit 1")
        with pytest.raises(UnauthorizedError, match=r"exit code 1: ….*100000 please log in$") as caught:
            await connect(kubeconfig=kubeconfig(tmp_path / "config", "https://it", user=user)).__aenter__()
        assert len(caught.value.message) < 1000

    async def test_what_a_plugin_leaves_running_is_not_waited_for(self, tmp_path: Path) -> None:
        left = f"setsid tail -f {tmp_path}/plugin & echo $! > {tmp_path}/left"
        user = exec_plugin(tmp_path / "plugin", f"{left}; {self.token('done')}")
        async with scripted_server([OK]) as server:
            async with connect(kubeconfig=kubeconfig(tmp_path / "config", server.url, user=user)) as api:
                await api.request("GET", PATH)
            os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)
            assert server.sent("Authorization") == ["Bearer done"]

    @pytest.mark.parametrize("how", ["exec", pytest.param("true &&", id="in a shell")])
    async def test_a_plugin_that_hangs_is_given_up_and_ended(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        monkeypatch.setattr(credentials, "PLUGIN_TIMEOUT_S", 0.1)
        user = exec_plugin(tmp_path / "plugin", f"{how} tail -f {tmp_path}/plugin; exit")
        with pytest.raises(UnauthorizedError, match="has not answered within"):
            await connect(kubeconfig=kubeconfig(tmp_path / "config", "https://it", user=user)).__aenter__()
        assert commands_with(str(tmp_path)) == []

    async def test_the_password_of_a_netrc_is_not_for_the_api_server(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "netrc").write_text("default login somebody password secret\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        async with (
            scripted_server([OK]) as server,
            connect(kubeconfig=kubeconfig(tmp_path / "config", server.url)) as api,
        ):
            await api.request("GET", PATH)
            assert server.sent("Authorization") == ["Bearer a-token"]

    async def test_the_environment_s_proxy_is_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with scripted_server([OK]) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            async with connect(kubeconfig=kubeconfig(tmp_path / "config", "http://far.invalid:80")) as api:
                await api.request("GET", PATH)
            assert proxy.requests[0].startswith(f"GET http://far.invalid{PATH} ")


class TestCertificates:
    """A server that asks for client certificates, and an authority that has signed all of them."""

    @pytest.fixture
    def tls(self, tmp_path: Path) -> ssl.SSLContext:
        certificate(tmp_path)
        for name in ("server", "first", "second"):
            signed(tmp_path, name)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
        return context

    @staticmethod
    def trusting(path: Path) -> Path:
        path.write_text(path.read_text().replace("server:", "certificate-authority: ca.crt\n    server:"))
        return path

    async def test_the_kubeconfig_s_certificate_says_who_we_are(
        self, tmp_path: Path, tls: ssl.SSLContext
    ) -> None:
        user = {"client-certificate": "first.crt", "client-key": "first.key"}
        async with (
            scripted_server([OK], tls=tls) as server,
            connect(kubeconfig=self.trusting(kubeconfig(tmp_path / "config", server.url, user=user))) as api,
        ):
            assert await api.request("GET", PATH)
            assert server.peers == ["first"]
            assert server.sent("Authorization") == [None]

    async def test_a_certificate_that_is_refused_is_replaced_on_connections_of_its_own(
        self, tmp_path: Path, tls: ssl.SSLContext
    ) -> None:
        for call, name in enumerate(("first", "second"), start=1):
            status = {
                "clientCertificateData": (tmp_path / f"{name}.crt").read_text(),
                "clientKeyData": (tmp_path / f"{name}.key").read_text(),
            }
            credential = {"apiVersion": EXEC, "kind": "ExecCredential", "status": status}
            (tmp_path / f"{call}.json").write_text(json.dumps(credential))
        user = exec_plugin(tmp_path / "plugin", f"cat {tmp_path}/$calls.json")
        async with (
            scripted_server([answer(401, {}), OK], tls=tls) as server,
            connect(kubeconfig=self.trusting(kubeconfig(tmp_path / "config", server.url, user=user))) as api,
        ):
            assert await api.request("GET", PATH)
            assert server.peers == ["first", "second"]
