"""What the settings say of each workflow, by its directory; a reload replaces it as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdwatch.settings import resolved
from pdwatch.tracked import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from pdwatch.settings import RootSettings, Settings
    from pdwatch.targets import Target


class Policies:
    """Finds the policy of a workflow's directory: that of the innermost root around it."""

    def __init__(self, settings: Settings, target: Target) -> None:
        self._target = target
        self.take(settings)

    def take(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self.roots = tuple(resolved(root.path) for root in settings.roots)
        """The watched directories, absolute and with links resolved."""
        self._policies = {root: self._policy(settings.at(root)) for root in self.roots}

    def find(self, directory: Path) -> Policy | None:
        """Return the policy of a workflow's directory; None when it is not watched (any more)."""
        around = (each for each in (directory, *directory.parents) if each in self._policies)
        innermost = next(around, None)
        return None if innermost is None else self._policies[innermost]

    def _policy(self, local: RootSettings) -> Policy:
        return Policy(
            namespace=local.namespace or self._target.namespace,
            registry=local.registry,
            secrets=local.secrets or self._target.secrets,
        )
