from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.adapters.kubernetes import credentials
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.errors import (
    ApplyConflictError,
    ApplyRejectedError,
    ClusterError,
    ClusterUnavailableError,
    ForbiddenError,
    NamespaceMissingError,
    NotFoundError,
    PdwatchError,
    ResourceExpiredError,
    SettingsError,
    UnauthorizedError,
)
from tests.adapters.kubeconfigs import exec_plugin, kubeconfig, plugin_calls
from tests.adapters.scripted_server import HANG, KUBE_SYSTEM, RESET, answer, scripted_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATH = "/apis/apps/v1/namespaces/dev/deployments/hello"
EXEC = "client.authentication.k8s.io/v1"
CANARY = "canary-9f8e7d6c"
OK = answer(200, {"kind": "Deployment"})


@pytest.fixture(autouse=True)
def _nothing_around_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this machine's kubeconfig nor its proxies nor its service account."""
    names = ("KUBECONFIG", "CREDENTIALS_DIRECTORY", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")
    for name in (*names, "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", tmp_path / "no-service-account")


def status(code: int, message: str, *causes: dict[str, str]) -> bytes:
    return answer(code, {"kind": "Status", "code": code, "message": message, "details": {"causes": causes}})


async def test_the_answer_is_the_json_object_the_server_sent(tmp_path: Path) -> None:
    async with (
        scripted_server([OK]) as server,
        connect(kubeconfig=kubeconfig(tmp_path / "config", server.url)) as api,
    ):
        assert await api.request("GET", PATH, query={"labelSelector": "a=b"}) == {"kind": "Deployment"}
        assert server.requests[0].startswith(f"GET {PATH}?labelSelector=a%3Db HTTP/1.1\r\n")
        assert server.sent("Authorization") == ["Bearer a-token"]


class TestFindingTheCluster:
    async def test_without_any_kubeconfig_the_error_lists_where_it_looked(self) -> None:
        with pytest.raises(
            SettingsError, match=r"looked for .*/home/\.kube/config and for a pod's"
        ) as caught:
            await connect().__aenter__()
        assert "KUBECONFIG" in str(caught.value.remedy)

    async def test_a_kubeconfig_that_is_named_and_missing_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"missing\.yaml"):
            await connect(kubeconfig=tmp_path / "missing.yaml").__aenter__()

    async def test_the_home_directory_s_kubeconfig_is_used(self, tmp_path: Path) -> None:
        (tmp_path / "home" / ".kube").mkdir(parents=True)
        kubeconfig(tmp_path / "home" / ".kube" / "config", "https://from.home:6443")
        async with connect() as api:
            assert (api.context, api.namespace, api.server) == ("here", "default", "https://from.home:6443")

    @pytest.mark.parametrize(
        ("credential", "variable", "expected"),
        [
            pytest.param(True, False, "https://from.credential:6443", id="it comes before the one at home"),
            pytest.param(True, True, "https://from.variable:6443", id="KUBECONFIG comes before it"),
            pytest.param(False, False, "https://from.home:6443", id="the service has other credentials only"),
        ],
    )
    async def test_a_service_s_credential_kubeconfig_is_used(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        credential: bool,
        variable: bool,
        expected: str,
    ) -> None:
        (tmp_path / "home" / ".kube").mkdir(parents=True)
        kubeconfig(tmp_path / "home" / ".kube" / "config", "https://from.home:6443")
        (tmp_path / "credentials").mkdir()
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
        if credential:
            kubeconfig(tmp_path / "credentials" / "kubeconfig", "https://from.credential:6443")
        if variable:
            named = kubeconfig(tmp_path / "named", "https://from.variable:6443")
            monkeypatch.setenv("KUBECONFIG", str(named))
        async with connect() as api:
            assert api.server == expected

    async def test_kubeconfig_may_name_several_files_and_the_first_wins(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = kubeconfig(tmp_path / "one", "https://one:6443", namespace="first")
        two = tmp_path / "two"
        two.write_text(
            kubeconfig(two, "https://two:6443", namespace="second").read_text().replace("here", "there")
        )
        monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{one}:{two}")
        async with connect(context="here") as api:
            assert (api.server, api.namespace) == ("https://one:6443", "first")
        async with connect(context="there") as api:
            assert api.namespace == "second"

    async def test_an_unknown_context_is_an_error_that_lists_the_known_ones(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="there is no context elsewhere") as caught:
            await connect(
                context="elsewhere", kubeconfig=kubeconfig(tmp_path / "config", "https://it")
            ).__aenter__()
        assert caught.value.remedy == "there are: here"

    async def test_paths_in_a_kubeconfig_count_from_its_own_directory(self, tmp_path: Path) -> None:
        certificate(tmp_path)
        path = kubeconfig(tmp_path / "config", "https://it:6443")
        path.write_text(path.read_text().replace("server:", "certificate-authority: ca.crt\n    server:"))
        async with connect(kubeconfig=path) as api:
            assert api.server == "https://it:6443"

    async def test_in_a_pod_the_service_account_is_used_and_its_rotated_token_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account = tmp_path / "serviceaccount"
        account.mkdir()
        for name, content in {"token": "first", "ca.crt": certificate(tmp_path), "namespace": "team"}.items():
            (account / name).write_text(content)
        monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", account)
        async with scripted_server([OK, answer(401, {}), OK]) as server:
            host, port = server.url.removeprefix("http://").split(":")
            monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
            monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
            loaded = await credentials.load_credentials(context=None, kubeconfig=None)
            assert (loaded.context, loaded.namespace, loaded.server) == (
                None,
                "team",
                f"https://{host}:{port}",
            )
            assert loaded.authorization == {"Authorization": "Bearer first"}
            assert loaded.expires_at is not None
            (account / "token").write_text("second\n")
            loaded = await credentials.load_credentials(context=None, kubeconfig=None)
            assert loaded.authorization == {"Authorization": "Bearer second"}


def certificate(tmp_path: Path) -> str:
    out = tmp_path / "ca.crt"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=authority",
            "-keyout",
            str(tmp_path / "ca.key"),
            "-out",
            str(out),
        ],
        check=True,
        capture_output=True,
    )
    return out.read_text()


def signed(tmp_path: Path, name: str) -> None:
    """Write NAME.crt and NAME.key, signed by the authority of :func:`certificate`."""
    key, request, extensions = tmp_path / f"{name}.key", tmp_path / f"{name}.csr", tmp_path / "extensions"
    extensions.write_text("subjectAltName = IP:127.0.0.1")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"]
    authority = ["-CA", tmp_path / "ca.crt", "-CAkey", tmp_path / "ca.key", "-CAcreateserial"]
    out = ["-extfile", extensions, "-out", tmp_path / f"{name}.crt"]
    for command in (
        ["openssl", "req", *new, "-keyout", key, "-out", request],
        ["openssl", "x509", "-req", "-in", request, *authority, *out],
    ):
        subprocess.run([str(part) for part in command], check=True, capture_output=True)


def without(key: str) -> Callable[[str], str]:
    return lambda text: "\n".join(line for line in text.splitlines() if key not in line)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda _: "", "it is empty", id="empty"),
        pytest.param(lambda _: f"- {CANARY}", "not laid out as one", id="a list"),
        pytest.param(lambda text: text + "\n: : [", "while parsing", id="no YAML"),
        pytest.param(without("current-context"), "no current context is set", id="no current context"),
        pytest.param(without("server:"), "cluster it has no server", id="no server"),
        pytest.param(lambda text: text.replace("https://it", "it:6443"), "has no server of", id="no URL"),
        pytest.param(lambda text: text.replace("user: me", "user: you"), "names user you", id="no user"),
        pytest.param(
            lambda text: text.replace("cluster: it", "cluster: at"), "names cluster at", id="no cluster"
        ),
        pytest.param(
            lambda text: text.replace("token:", "exec: {command: x}\n    token:"),
            "missing key 'apiVersion'",
            id="half an exec plugin",
        ),
        pytest.param(
            lambda text: text.replace("token:", "exec: {apiVersion: v, command: x, env: [{}]}\n    token:"),
            "Expected key name in",
            id="an exec plugin with half a variable, which the library shows with all that is around it",
        ),
        pytest.param(
            lambda text: text.replace("token:", "auth-provider: {name: oidc, x: 1}\n    token:"),
            "oidc: missing configuration",
            id="half an auth provider",
        ),
        pytest.param(
            lambda text: text.replace("token:", "client-certificate: /nowhere/me.crt\n    token:"),
            "/nowhere/me.crt",
            id="a certificate that is missing",
        ),
    ],
)
async def test_a_broken_kubeconfig_is_an_error_that_names_the_file_and_never_its_secrets(
    tmp_path: Path, spoil: Callable[[str], str], said: str, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    path = kubeconfig(tmp_path / "config", "https://it", user={"token": CANARY, "password": CANARY})
    path.write_text(spoil(path.read_text()))
    with pytest.raises((SettingsError, UnauthorizedError)) as caught:
        await connect(kubeconfig=path).__aenter__()
    assert said in caught.value.message
    assert str(path) in caught.value.message
    assert CANARY not in f"{caught.value.message} {caught.value.remedy} {caught.value.fields}"
    assert CANARY not in caplog.text + "".join(capfd.readouterr())


class TestFaults:
    async def request(self, tmp_path: Path, *script: tuple[bytes | str, ...] | bytes) -> dict[str, Any]:
        async with (
            scripted_server(script) as server,
            connect(kubeconfig=kubeconfig(tmp_path / "config", server.url), request_timeout_s=0.3) as api,
        ):
            return await api.request("GET", PATH)

    @pytest.mark.parametrize(
        ("script", "said"),
        [
            pytest.param([(HANG,)], "has not answered within 0.3 s", id="no answer"),
            pytest.param([(OK[:-3], HANG)], "has not answered within 0.3 s", id="half an answer"),
            pytest.param([(RESET,)], "broke the connection off", id="reset before the answer"),
            pytest.param([(OK[:-3], RESET)], "broke the connection off", id="reset mid-body"),
            pytest.param([(b"SSH-2.0-OpenSSH\r\n",)], "broke the connection off", id="not HTTP"),
            pytest.param([answer(502, "<html>\n bad gateway")], "502 to .*: <html> bad gateway", id="proxy"),
            pytest.param([status(503, "etcd is away")], "answers 503 to .*: etcd is away", id="503"),
            pytest.param([status(500, 'failed calling webhook "x"')], 'calling webhook "x"', id="webhook"),
            pytest.param([status(429, "slow down")], "slow down", id="429 without a time to wait"),
            pytest.param([answer(429, "", Retry_After=300)], "HTTP status 429", id="429 for too long"),
            pytest.param([answer(429, "", Retry_After=0)] * 2, "HTTP status 429", id="429 twice"),
            pytest.param([answer(200, "<html>Log in</html>")], "no Kubernetes object", id="a login page"),
            pytest.param([answer(302, "", Location="/login")], "no Kubernetes object", id="a redirect"),
        ],
    )
    async def test_the_cluster_is_unavailable_and_the_error_says_how(
        self, tmp_path: Path, script: list[Any], said: str
    ) -> None:
        with pytest.raises(ClusterUnavailableError, match=said) as caught:
            await self.request(tmp_path, *script)
        assert "http://127.0.0.1:" in caught.value.message
        assert caught.value.remedy
        assert caught.value.retryable

    async def test_a_429_is_obeyed_once(self, tmp_path: Path) -> None:
        assert await self.request(tmp_path, answer(429, "", Retry_After=0), OK) == {"kind": "Deployment"}

    async def test_a_refused_connection_names_the_server(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        async with connect(kubeconfig=kubeconfig(tmp_path / "config", f"https://127.0.0.1:{port}")) as api:
            with pytest.raises(
                ClusterUnavailableError, match=f"127.0.0.1:{port} can't be reached: Connection refused"
            ):
                await api.request("GET", PATH)

    async def test_a_server_that_speaks_no_tls_is_told_from_one_that_is_away(self, tmp_path: Path) -> None:
        async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent no HTTP.")
            writer.close()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with (
            server,
            connect(kubeconfig=kubeconfig(tmp_path / "it", f"https://127.0.0.1:{port}")) as api,
        ):
            with pytest.raises(ClusterUnavailableError, match="does not speak TLS as it should") as caught:
                await api.request("GET", PATH)
        assert "server is the API server's own address" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("code", "message", "causes", "error", "said"),
    [
        pytest.param(401, "Unauthorized", [], UnauthorizedError, "does not accept", id="401"),
        pytest.param(
            403,
            'deployments.apps is forbidden: User "me" cannot list resource "deployments" in …',
            [],
            ForbiddenError,
            'User "me" cannot list resource "deployments" in …',
            id="403 RBAC",
        ),
        pytest.param(403, "exceeded quota: pods", [], ForbiddenError, "exceeded quota", id="403 quota"),
        pytest.param(404, 'deployments.apps "hello" not found', [], NotFoundError, '"hello"', id="404"),
        pytest.param(
            404, 'namespaces "dev" not found', [], NamespaceMissingError, "namespace dev", id="404 namespace"
        ),
        pytest.param(
            409,
            "Apply failed with 1 conflict",
            [
                {
                    "reason": "FieldManagerConflict",
                    "message": 'conflict with "kubectl-scale" using apps/v1',
                    "field": ".spec.replicas",
                }
            ],
            ApplyConflictError,
            "deployments/hello in namespace dev: kubectl-scale owns spec.replicas",
            id="409 of an apply",
        ),
        pytest.param(409, "object has been modified", [], ClusterError, "modified", id="409 of an update"),
        pytest.param(410, "too old resource version", [], ResourceExpiredError, "too old", id="410"),
        pytest.param(
            422,
            "Deployment is invalid",
            [{"reason": "FieldValueInvalid", "message": "must be positive", "field": "spec.replicas"}],
            ApplyRejectedError,
            "spec.replicas: must be positive",
            id="422",
        ),
        pytest.param(400, "cannot decode", [], ApplyRejectedError, "cannot decode", id="400"),
        pytest.param(418, "teapot", [], ClusterError, "answers 418", id="any other"),
    ],
)
async def test_a_refusal_becomes_the_error_of_its_cause_in_the_server_s_words(
    tmp_path: Path, code: int, message: str, causes: list[Any], error: type[PdwatchError], said: str
) -> None:
    async with (
        scripted_server([KUBE_SYSTEM, *[status(code, message, *causes)] * 2]) as server,
        connect(kubeconfig=kubeconfig(tmp_path / "config", server.url)) as api,
    ):
        with pytest.raises(error) as caught:
            await api.request("PATCH", PATH, body={})
    assert type(caught.value) is error
    assert said in caught.value.message


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
                "echo please log in >&2; exit 3", "exec: process returned 3. please log in", id="fails"
            ),
            pytest.param("echo garbage", "exec: failed to decode process output", id="garbage"),
            pytest.param("echo '{}'", "exec: malformed response", id="no credential"),
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

    async def test_a_plugin_that_hangs_is_given_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(credentials, "PLUGIN_TIMEOUT_S", 0.1)
        user = exec_plugin(tmp_path / "plugin", "exec sleep 60")
        with pytest.raises(UnauthorizedError, match="has not answered within"):
            await connect(kubeconfig=kubeconfig(tmp_path / "config", "https://it", user=user)).__aenter__()

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


class TestStreams:
    HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"

    async def lines(self, tmp_path: Path, *parts: bytes | str) -> list[bytes]:
        async with (
            scripted_server([parts]) as server,
            connect(kubeconfig=kubeconfig(tmp_path / "config", server.url)) as api,
            aclosing(api.stream(PATH, query={"watch": "1"}, inactivity_timeout_s=0.3)) as stream,
        ):
            return [line async for line in stream]

    async def test_lines_come_whole_even_when_they_are_long(self, tmp_path: Path) -> None:
        long = b'{"a":"' + b"x" * 3_000_000 + b'"}\n'
        body = long + b"{}\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert await self.lines(tmp_path, head + body[:1000], body[1000:]) == [long, b"{}\n"]

    async def test_a_stream_that_falls_silent_is_given_up(self, tmp_path: Path) -> None:
        with pytest.raises(ClusterUnavailableError, match=r"has not answered within 0\.3 s"):
            await self.lines(tmp_path, self.HEAD + b"{}\n", HANG)

    async def test_a_stream_that_is_cut_off_is_an_error(self, tmp_path: Path) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        with pytest.raises(ClusterUnavailableError, match="broke the connection off"):
            await self.lines(tmp_path, head + b"3\r\n{}\n\r\n", RESET)

    async def test_a_refused_stream_is_an_error_of_its_cause(self, tmp_path: Path) -> None:
        with pytest.raises(ResourceExpiredError, match="too old"):
            await self.lines(tmp_path, status(410, "too old resource version"))

    async def test_leaving_a_stream_early_closes_its_connection(self, tmp_path: Path) -> None:
        async with (
            scripted_server([(self.HEAD + b"{}\n", HANG)]) as server,
            connect(kubeconfig=kubeconfig(tmp_path / "config", server.url)) as api,
        ):
            async with aclosing(api.stream(PATH, inactivity_timeout_s=60)) as stream:
                assert await anext(stream) == b"{}\n"
            await server.left.wait()


class TestLibrary:
    def test_the_typed_client_is_not_imported(self) -> None:
        program = (
            "import sys; from pdwatch.adapters.kubernetes.library import library; library();"
            "assert not [name for name in sys.modules if 'kubernetes_asyncio' in name];"
            "import kubernetes_asyncio; kubernetes_asyncio.client.CoreV1Api"
        )
        subprocess.run([sys.executable, "-c", program], check=True)

    def test_a_version_that_needs_more_of_itself_gets_it(self) -> None:
        program = (
            "from pdwatch.adapters.kubernetes import library\n"
            "def needs_more(): raise ImportError('cannot import name')\n"
            "library._import_parts_alone = needs_more\n"
            "import kubernetes_asyncio.config.kube_config as real, sys\n"
            "[sys.modules.pop(name) for name in list(sys.modules) if 'kubernetes_asyncio' in name]\n"
            "assert library.library().KubeConfigLoader.__name__ == real.KubeConfigLoader.__name__\n"
            "assert 'kubernetes_asyncio.client.models' in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True)
