"""What flags of one-shot commands mean that were not given: what the settings say, as for ``pdwatch run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdwatch.cli.setting_flags import settings_of
from pdwatch.settings import resolved

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KEYS = {"allow_context": "allow_contexts", "default_namespace": "namespace"}
"""The name of a flag → the setting that stands for it, where that is not the same."""


def with_defaults(flags: Mapping[str, Any], *, directory: Path | None = None) -> dict[str, Any]:
    """Return the flags, those that were not given by the settings file and the environment where these say.

    Args:
        flags: By name; None and an empty tuple are not given.
        directory: The workflow's, whose root may have settings of its own.

    Raises:
        SettingsError: Settings are wrong.
    """
    settings = settings_of(None).settings
    local = settings if directory is None else settings.at(resolved(directory))
    filled = dict(flags)
    for name, value in flags.items():
        key = _KEYS.get(name, name)
        if value in (None, ()) and key in type(settings).model_fields:
            filled[name] = getattr(local if key in type(local).model_fields else settings, key)
    return filled
