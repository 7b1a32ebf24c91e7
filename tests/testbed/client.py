"""A testbed as its users see it: the same value for one of ours and for a cluster that was there before."""

from __future__ import annotations

import asyncio
import os
import shlex
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from tests.testbed.errors import PrerequisiteMissingError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.testbed.instance import Instance
    from tests.testbed.layout import Layout

_SERVICE_PORT = 8080
_NO_ENDPOINTS = b"no endpoints available for service"
_ENDPOINTS_S = 30
_ENDPOINTS_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PodResponse:
    """What a pod answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Testbed:
    """How to reach Docker, the registry and Kubernetes."""

    __test__ = False

    kubeconfig: Path
    docker_host: str
    registry: str | None
    """``HOST:PORT`` of a registry that Docker may push to and pull from; None when there is none."""
    path: str
    """PATH with kubectl and docker on it."""

    @property
    def variables(self) -> Mapping[str, str]:
        """What leads every tool to this testbed, besides PATH."""
        registry = {"PDWATCH_TESTBED_REGISTRY": self.registry} if self.registry else {}
        return {"KUBECONFIG": str(self.kubeconfig), "DOCKER_HOST": self.docker_host, **registry}

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of this process, led to this testbed."""
        return {**os.environ, **self.variables, "PATH": self.path}

    async def kubectl(self, *arguments: str, document: str | None = None) -> str:
        """Run kubectl, with ``document`` on its standard input, and return what it prints.

        Raises:
            TestbedError: It failed; the message has its standard error.
        """
        return await self.run("kubectl", *arguments, document=document)

    async def run(self, *command: str, document: str | None = None) -> str:
        """Run a program that is led to this testbed; see :meth:`kubectl`."""
        process = await asyncio.create_subprocess_exec(
            *command,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await process.communicate(document.encode() if document else None)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise TestbedError(f"{shlex.join(command)}: {errors.decode().strip()}")
        return output.decode()

    async def pod_http(
        self,
        namespace: str,
        workflow_name: str,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Return the text of a pod's successful answer; see :meth:`pod_request`.

        Raises:
            TestbedError: The status is 400 or above; the message has it and the text.
        """
        response = await self.pod_request(namespace, workflow_name, path, method, body, headers)
        text = response.body.decode()
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise TestbedError(f"{method} {path} of {namespace}/{workflow_name}: {response.status} {text}")
        return text

    async def pod_request(
        self,
        namespace: str,
        workflow_name: str,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> PodResponse:
        """Speak to a ready pod behind the workflow's Service, through kube-apiserver's proxy.

        That reaches pods wherever the test runs. A Service learns of a ready pod a moment after everybody
        else: while kube-apiserver itself answers that there are no endpoints, the request is made again.
        """
        async with asyncio.timeout(_ENDPOINTS_S):
            while True:
                response = await self._request_once(namespace, workflow_name, path, method, body, headers)
                if response.status != HTTPStatus.SERVICE_UNAVAILABLE or _NO_ENDPOINTS not in response.body:
                    return response
                await asyncio.sleep(_ENDPOINTS_POLL_S)

    async def _request_once(
        self,
        namespace: str,
        workflow_name: str,
        path: str,
        method: str,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> PodResponse:
        from kubernetes_asyncio.client import (
            ApiClient,
            Configuration,
        )  # half a second that `env` does without
        from kubernetes_asyncio.config import load_kube_config

        configuration = Configuration()
        await load_kube_config(str(self.kubeconfig), client_configuration=configuration)
        service = f"/api/v1/namespaces/{namespace}/services/{workflow_name}:{_SERVICE_PORT}/proxy"
        async with ApiClient(configuration) as api:
            sent = dict(headers or {})
            await api.update_params_for_auth(sent, [], ["BearerToken"])
            session = api.rest_client.pool_manager
            url = f"{configuration.host}{service}/{path.lstrip('/')}"
            async with session.request(method, url, data=body, headers=sent) as response:
                return PodResponse(
                    status=response.status, headers=dict(response.headers), body=await response.read()
                )


def of_instance(layout: Layout, instance: Instance) -> Testbed:
    """Return the testbed that this program has brought up."""
    return Testbed(
        kubeconfig=layout.kubeconfig,
        docker_host=f"unix://{layout.docker_socket}",
        registry=instance.registry,
        path=f"{layout.programs}:{os.environ.get('PATH', os.defpath)}",
    )


def external(environ: Mapping[str, str]) -> Testbed:
    """Return the testbed that the environment names (``PDWATCH_TESTBED=external``); nothing is started.

    Raises:
        PrerequisiteMissingError: ``KUBECONFIG`` is missing, or under CI a registry.
    """
    if not environ.get("KUBECONFIG"):
        raise PrerequisiteMissingError(
            "PDWATCH_TESTBED=external asks for a cluster that is there already; KUBECONFIG names none.",
            remedy="Set KUBECONFIG to its kubeconfig, and DOCKER_HOST unless Docker is at its usual place.",
        )
    if environ.get("CI") and not environ.get("PDWATCH_TESTBED_REGISTRY"):
        raise PrerequisiteMissingError(
            "Under CI no test may be skipped, and the external testbed has no registry.",
            remedy="Set PDWATCH_TESTBED_REGISTRY to a registry that its Docker may push to.",
        )
    return Testbed(
        kubeconfig=Path(environ["KUBECONFIG"]),
        docker_host=environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
        registry=environ.get("PDWATCH_TESTBED_REGISTRY"),
        path=environ.get("PATH", os.defpath),
    )
