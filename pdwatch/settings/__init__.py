"""The settings: one file, the environment and flags, in rising order (docs/settings.md)."""

from pdwatch.settings.load import Effective, load_settings
from pdwatch.settings.model import HttpSettings, LogSettings, RootSettings, Settings, resolved
from pdwatch.settings.sources import Given, SettingsFile

__all__ = [
    "Effective",
    "Given",
    "HttpSettings",
    "LogSettings",
    "RootSettings",
    "Settings",
    "SettingsFile",
    "load_settings",
    "resolved",
]
