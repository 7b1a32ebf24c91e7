"""Requests to an API server that answers, refuses, or fails in the middle."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

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
    UnauthorizedError,
)
from tests.adapters.kubeconfigs import kubeconfig
from tests.adapters.scripted_server import HANG, KUBE_SYSTEM, OK, PATH, RESET, answer, scripted_server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("nothing_around_us")


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
