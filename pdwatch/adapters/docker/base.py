"""The images that Docker has: looked up, named, and the base image brought in when it is missing."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.docker.api import NOT_FOUND, RefusedError
from pdwatch.adapters.docker.credentials import registry_auth
from pdwatch.adapters.docker.refusals import base_error
from pdwatch.core.image import registry_host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.adapters.docker.known import KnownDocker
    from pdwatch.core.model import ImageRef


async def inspect(api: DockerApi, name: str | ImageRef) -> dict[str, Any] | None:
    """Return what Docker says of an image; None when it has none of that name or ID."""
    try:
        image = await api.request("GET", f"images/{name}/json")
    except RefusedError as refused:
        if refused.status == NOT_FOUND:
            return None
        raise
    assert isinstance(image, dict)
    return image


async def tag(api: DockerApi, image_id: str, ref: ImageRef) -> None:
    """Make ``ref`` name the image, whatever it named before."""
    await api.request("POST", f"images/{image_id}/tag", query={"repo": ref.repository, "tag": ref.tag})


async def require_base(
    api: DockerApi, ref: ImageRef, *, known: KnownDocker, report: Callable[[str], None]
) -> Mapping[str, Any]:
    """Return what Docker says of the base image, pulled first when it is not there.

    Both builders would pull it by themselves, but BuildKit asks its client for credentials to do so, over a
    session of a protocol of its own; with the image in place it needs no session.

    Raises:
        BaseImageError: It is not there and can't be pulled.
        DiskFullError: It does not fit.
    """
    found = await known.inspect(ref)
    if found is None:
        await _pull(api, ref, report)
        found = await known.inspect(ref)
    if found is None:
        raise base_error(RefusedError("Docker has pulled it and does not have it"), ref)
    return found


async def _pull(api: DockerApi, ref: ImageRef, report: Callable[[str], None]) -> None:
    headers = {"X-Registry-Auth": await registry_auth(registry_host(ref))}
    try:
        async with aclosing(
            api.messages("images/create", query={"fromImage": str(ref)}, headers=headers)
        ) as messages:
            async for message in messages:
                report(f"Pulling {ref}: {transfer(message)}")
    except RefusedError as refused:
        raise base_error(refused, ref) from refused


def transfer(message: Mapping[str, Any]) -> str:
    """Return a line about a pull's or push's message: which layer, what happens, how far it is."""
    return " ".join(str(message[key]) for key in ("id", "status", "progress") if message.get(key))
