"""What a Docker daemon has said of images and of itself, remembered until it may no longer be true."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.docker.base import inspect
from pdwatch.core.backoff import backoff
from pdwatch.errors import DockerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.model import ImageRef

_RETRY_BASE_S = 0.8
_RETRY_CAP_S = 30.0
_OWN_IMAGES = 200
_CONTAINERD_STORE = ["driver-type", "io.containerd.snapshotter.v1"]
_FILTERS = json.dumps({"type": ["image"]})
_OVERLAP_S = 10
"""How far Docker's clock may be behind, in seconds."""


class KnownDocker:
    """One daemon, as far as it is known.

    While :meth:`follow` listens to Docker's events, an image that builds go back to again and again is asked
    for once, and again when an event may concern it. While nobody listens, it is asked for each time.

    Args:
        api: The daemon.
    """

    def __init__(self, api: DockerApi) -> None:
        self._api = api
        self._listening = False
        self._events = 0
        self._images: dict[str, Mapping[str, Any]] = {}
        self._own: deque[str] = deque(maxlen=_OWN_IMAGES)
        self._containerd: bool | None = None
        self.refused: set[str] = set()
        """The builders that it does not have."""
        self.loads_layers = False
        """Whether it has loaded an archive that lacked layers."""

    async def inspect(self, name: str | ImageRef) -> Mapping[str, Any] | None:
        """Return what Docker says of an image; None when it has none of that name.

        Raises:
            DockerError: Docker can't be reached, or answers with another error.
        """
        if known := self._images.get(str(name)):
            return known
        events = self._events
        found = await inspect(self._api, name)
        if found is not None and self._listening and events == self._events:
            self._images[str(name)] = found
        return found

    async def stores_in_containerd(self) -> bool:
        """Tell whether it keeps images in containerd's store, which takes no archive that lacks layers.

        Raises:
            DockerError: Docker can't be reached, or answers with an error.
        """
        if self._containerd is None:
            info = await self._api.request("GET", "info")
            self._containerd = _CONTAINERD_STORE in (info.get("DriverStatus") or [])
        return self._containerd

    def own(self, image_id: str) -> None:
        """Note an image that is about to be made, so that the events of its making are not taken for news."""
        self._own.append(image_id)

    def forget_images(self) -> None:
        """Ask for every image again."""
        self._events += 1
        self._images.clear()

    async def follow(self) -> None:
        """Listen to Docker's events until cancelled; connect again when Docker goes away.

        A Docker that comes back may be another one: all that was known is forgotten. After a long silence
        only its images are, since nobody listens in between.
        """
        failures = 0
        while True:
            silent = False
            try:
                async with self._api.listen("events", query=_since(time.time())) as messages:
                    self._listening, failures = True, 0
                    async for message in messages:
                        self._take(message)
            except DockerError as error:
                failures += 1  # whoever builds meanwhile meets the same error, and reports it
                silent = isinstance(error.__cause__, TimeoutError)
            finally:
                if self._listening:
                    self._listening = False
                    self.forget_images()
                    if not silent:
                        self._forget_docker()
            jitter = random.random()  # noqa: S311  # it spreads load and guards nothing
            await asyncio.sleep(backoff(failures, base_s=_RETRY_BASE_S, cap_s=_RETRY_CAP_S, jitter=jitter))

    def _take(self, event: Mapping[str, Any]) -> None:
        actor = event.get("Actor") or {}
        name = (actor.get("Attributes") or {}).get("name")
        ids = {image["Id"] for image in self._images.values()}
        if actor.get("ID") not in self._own or actor.get("ID") in ids or name in self._images:
            self.forget_images()

    def _forget_docker(self) -> None:
        self._api.forget_version()
        self._containerd = None
        self.refused.clear()
        self.loads_layers = False


def _since(now: float) -> Mapping[str, str]:
    """Return which events to send: Docker begins to answer before it takes note of who listens.

    Args:
        now: Seconds since the epoch.
    """
    return {"filters": _FILTERS, "since": str(int(now) - _OVERLAP_S)}
