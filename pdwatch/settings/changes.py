"""What a reload means: which settings changed, which of them take effect, and which have to wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pdwatch.settings.keys import KEYS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pdwatch.core.model import TargetName
    from pdwatch.settings.model import Settings

FIXED = frozenset({"http.allow_remote", "http.listen", "http.socket"})
"""What was made by them when pdwatch started stays: another value needs another start."""
FIXED_ONCE_OPEN: Mapping[str, TargetName] = {
    "build_network": "kubernetes",
    "builder": "kubernetes",
    "context": "kubernetes",
    "keep_images": "kubernetes",
    "type_check": "local",
    "undeploy_removed": "kubernetes",
}
"""By key the target that was opened by them: as long as it is not open, they take effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """``settings`` are those that hold from now on; ``changed`` and ``waiting`` are dotted keys."""

    settings: Settings
    changed: Sequence[str]
    """Take effect now."""
    waiting: Sequence[str]
    """Take effect when pdwatch is started again; ``settings`` still has their old values."""


def reload(old: Settings, new: Settings, *, opened: Collection[TargetName]) -> Reload:
    """Decide what a daemon that runs with ``old`` settings does about ``new`` ones.

    Args:
        old: Those that hold.
        new: Those that were loaded.
        opened: The targets that are open.
    """
    differing = [name for name, key in KEYS.items() if _value(old, key.path) != _value(new, key.path)]
    waiting = [name for name in differing if name in FIXED or FIXED_ONCE_OPEN.get(name) in opened]
    kept = {top: getattr(old, top) for top in (KEYS[name].path[0] for name in waiting)}
    return Reload(
        settings=new.model_copy(update=kept),
        changed=[name for name in differing if name not in waiting],
        waiting=waiting,
    )


def _value(settings: Any, path: Sequence[str]) -> Any:
    for key in path:
        settings = getattr(settings, key)
    return settings
