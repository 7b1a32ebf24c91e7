"""What the settings say of each workflow, by its directory; a reload replaces it as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdwatch.errors import NotWatchedError
from pdwatch.settings import resolved
from pdwatch.tracked import Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from pdwatch.core.model import TargetName
    from pdwatch.settings import Settings
    from pdwatch.targets import Target


class Policies:
    """Finds the policy of a workflow's directory: that of the innermost root around it.

    ``target`` opens a target when a workflow first goes there, or raises a PdwatchError.
    """

    def __init__(self, settings: Settings, target: Callable[[TargetName], Awaitable[Target]]) -> None:
        self._target = target
        self.take(settings)

    def take(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        roots = (resolved(root.path) for root in settings.roots)
        self._roots = {root: settings.at(root) for root in roots}

    async def find(self, directory: Path) -> Policy:
        """Return the policy of a workflow's directory.

        Raises:
            NotWatchedError: No root is around it (any more).
            TargetUnavailableError: Its target can't be opened now.
        """
        around = (self._roots[each] for each in (directory, *directory.parents) if each in self._roots)
        root = next(around, None)
        if root is None:
            raise NotWatchedError(f"no root in the settings holds {directory} any more")
        target = await self._target(root.target)
        return Policy(
            target=target.name,
            namespace=root.namespace or target.namespace,
            registry=root.registry if target.image_store else None,  # what makes no images pushes none
            secrets=root.secrets or target.secrets,
        )
