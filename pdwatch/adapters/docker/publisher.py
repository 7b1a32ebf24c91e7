"""Gets images to where the nodes find them: left in a Docker that they share, or pushed to a registry."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from pdwatch.adapters.docker.api import RefusedError
from pdwatch.adapters.docker.base import tag, transfer
from pdwatch.adapters.docker.credentials import registry_auth
from pdwatch.adapters.docker.refusals import push_error
from pdwatch.core.image import registry_host
from pdwatch.errors import DockerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.model import BuiltImage, ImageRef


class LocalPublisher:
    """Leaves the image in Docker; implements :class:`pdwatch.ports.ImagePublisher`."""

    def __init__(self, api: DockerApi) -> None:
        self._api = api

    async def publish(self, image: BuiltImage) -> ImageRef:
        """Return the immutable reference, once all references name the image."""
        await _name(self._api, image)
        return image.tags[0]


class RegistryPublisher:
    """Pushes the image under each of its references; implements :class:`pdwatch.ports.ImagePublisher`.

    Args:
        api: The daemon that has the image and pushes it.
        report: Called with the progress of each layer.
    """

    def __init__(self, api: DockerApi, *, report: Callable[[str], None] = lambda _: None) -> None:
        self._api = api
        self._report = report

    async def publish(self, image: BuiltImage) -> ImageRef:
        """Push; return the last reference, pinned by the manifest's digest.

        Raises:
            PushRefusedError: The registry does not take it, or Docker's credential helper fails.
            DockerError: Docker can't be reached, or ends the push early.
        """
        await _name(self._api, image)
        digests = [await self._push(ref) for ref in image.tags]
        return replace(image.tags[-1], digest=digests[-1])

    async def _push(self, ref: ImageRef) -> str:
        headers = {"X-Registry-Auth": await registry_auth(registry_host(ref))}
        digest: str | None = None
        try:
            async with aclosing(
                self._api.messages(f"images/{ref.repository}/push", query={"tag": ref.tag}, headers=headers)
            ) as messages:
                async for message in messages:
                    aux = message.get("aux")
                    if isinstance(aux, dict) and isinstance(aux.get("Digest"), str):
                        digest = aux["Digest"]
                    else:
                        self._report(f"Pushing {ref}: {transfer(message)}")
        except RefusedError as refused:
            raise push_error(refused, ref) from refused
        if digest is None:
            raise DockerError(
                f"Docker ended the push of {ref} without a digest and without an error",
                remedy="look at Docker's own log; was it restarted?",
            )
        return digest


class NamedPublisher:
    """Pushes what is named for a registry, and leaves the rest in Docker; an image's own name tells.

    Implements :class:`pdwatch.ports.ImagePublisher`, where some workflows have a registry and others none.
    """

    def __init__(self, api: DockerApi) -> None:
        self._local, self._registry = LocalPublisher(api), RegistryPublisher(api)

    async def publish(self, image: BuiltImage) -> ImageRef:
        """Return the immutable reference, or once pushed the one that is pinned by digest.

        Raises:
            PushRefusedError: The registry does not take it, or Docker's credential helper fails.
            DockerError: Docker can't be reached, or ends the push early.
        """
        pushed = "/" in image.tags[0].repository
        return await (self._registry if pushed else self._local).publish(image)


async def _name(api: DockerApi, image: BuiltImage) -> None:
    """Make the moving references name the image; its build has given it the first one.

    Docker notes when an image was last named so, which tells old ones from new; a build does not count there,
    so that an image with a single reference gets that again. A build that is cancelled never moves a name.
    """
    for ref in image.tags[1:] or image.tags:
        await tag(api, image.id, ref)
