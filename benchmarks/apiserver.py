"""Raw requests to kube-apiserver over one pool of connections: what the floor is measured with."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.config import load_kube_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

Object = dict[str, Any]

FIELD_MANAGER = "benchmarks"
_COLLECTIONS = {"Deployment": "apis/apps/v1", "Service": "api/v1"}
_WAIT_S = 120.0
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """One API server; paths begin with a slash."""

    session: aiohttp.ClientSession
    host: str
    headers: Mapping[str, str]

    async def get(self, path: str) -> Any:
        """Return the JSON of an answer; raise aiohttp's error for a status of 400 or above."""
        async with self.session.get(f"{self.host}{path}", headers=self.headers) as response:
            response.raise_for_status()
            return await response.json()

    async def apply(self, manifest: Object) -> Object:
        """Send one server-side apply, which is one PATCH."""
        metadata, kind = manifest["metadata"], manifest["kind"]
        collection = f"{_COLLECTIONS[kind]}/namespaces/{metadata['namespace']}/{kind.lower()}s"
        async with self.session.patch(
            f"{self.host}/{collection}/{metadata['name']}?fieldManager={FIELD_MANAGER}&force=true",
            data=json.dumps(manifest),
            headers={**self.headers, "Content-Type": "application/apply-patch+yaml"},
        ) as response:
            response.raise_for_status()
            applied: Object = await response.json()
            return applied


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[ApiServer]:
    """Open a pool of connections to the server of a kubeconfig's current context."""
    configuration = Configuration()
    await load_kube_config(str(kubeconfig), client_configuration=configuration)
    async with ApiClient(configuration) as client:
        headers: dict[str, str] = {}
        await client.update_params_for_auth(headers, [], ["BearerToken"])
        session = client.rest_client.pool_manager
        yield ApiServer(session=session, host=str(configuration.host), headers=headers)


@dataclass(slots=True)
class Watched:
    """The objects of a collection by name, as its watch tells them."""

    objects: dict[str, Object] = field(default_factory=dict)
    _seen_at: float = 0.0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, condition: Callable[[Mapping[str, Object]], bool]) -> float:
        """Wait until the condition holds; return when the event came that made it so (now if none had to)."""
        if condition(self.objects):
            return time.time()
        async with asyncio.timeout(_WAIT_S), self._changed:
            await self._changed.wait_for(lambda: condition(self.objects))
            return self._seen_at

    async def follow(self, response: aiohttp.ClientResponse) -> None:
        """Take in events for as long as they come."""
        async for raw in response.content:
            seen_at, event = time.time(), json.loads(raw)
            if event["type"] not in {"ADDED", "MODIFIED", "DELETED"}:
                continue
            async with self._changed:
                self._seen_at, name = seen_at, event["object"]["metadata"]["name"]
                if event["type"] == "DELETED":
                    self.objects.pop(name, None)
                else:
                    self.objects[name] = event["object"]
                self._changed.notify_all()


@asynccontextmanager
async def watching(api: ApiServer, collection: str) -> AsyncIterator[Watched]:
    """Watch a collection, such as ``/apis/apps/v1/namespaces/NAME/deployments``, from what is there now."""
    watched = Watched()
    async with (
        api.session.get(
            f"{api.host}{collection}?watch=1", headers=api.headers, timeout=_NO_TIMEOUT, read_bufsize=2**20
        ) as response,
        asyncio.TaskGroup() as group,
    ):
        response.raise_for_status()
        following = group.create_task(watched.follow(response), name=f"watch {collection}")
        yield watched
        following.cancel()


def rolled_out(name: str, *, generation: int) -> Callable[[Mapping[str, Object]], bool]:
    """Return the condition that a Deployment's newest pods, and no others, are there and available."""

    def holds(objects: Mapping[str, Object]) -> bool:
        found = objects.get(name)
        if found is None or found.get("status", {}).get("observedGeneration", 0) < generation:
            return False
        status, wanted = found["status"], found["spec"]["replicas"]
        counts = (status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas"))
        return all(count == wanted for count in counts)

    return holds


def settled(pods: Mapping[str, Object]) -> bool:
    """Tell whether no container runs of a pod that is on its way to its end.

    kubelet removes the pod itself up to half a minute later, which costs nothing.
    """
    return not any(
        "running" in container["state"]
        for pod in pods.values()
        if "deletionTimestamp" in pod["metadata"]
        for container in pod["status"].get("containerStatuses", ())
    )
