"""Puts the sources on top of each other, and reports everything that is wrong with any of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pdwatch.core.listen import parse_listen
from pdwatch.core.suggestion import did_you_mean
from pdwatch.errors import SettingsError
from pdwatch.settings.keys import KEYS, known_at
from pdwatch.settings.model import Settings
from pdwatch.settings.sources import Named, find_file, read_environment, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from pdwatch.settings.model import HttpSettings
    from pdwatch.settings.sources import Given, SettingsFile, Source

DEFAULT = "default"

_PLAINER = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "missing": "is missing",
    "model_type": "must be a mapping of keys to values",
    "path_type": "must be a path",
    "string_type": "must be text; quote it",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list",
}
"""What pydantic says in words that only Python has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """The settings that hold, the file among their sources, and where each key's value comes from."""

    settings: Settings
    file: SettingsFile | None
    origins: Mapping[str, str]
    """By dotted key: ``file:line``, a variable's or flag's name, or ``default``."""


def load_settings(
    *, file: Path | None = None, environ: Mapping[str, str], flags: Mapping[str, Given] | None = None
) -> Effective:
    """Read the settings file, the environment and flags, each on top of the one before.

    Args:
        file: The settings file; None looks where ``environ`` leads.
        environ: The process's environment.
        flags: The flags that were given, by dotted key.

    Raises:
        SettingsError: Values are wrong, or the file can't be read; the message has a line for each problem of
            each source, whether or not a later source hides it.
    """
    path = file or find_file(environ)
    read = read_file(path) if path is not None else None
    sources: list[Source] = [*([read] if read else []), read_environment(environ), Named(given=flags or {})]
    problems = [line for source in sources for line in [*source.problems, *_mistakes(source)]]
    if problems:
        raise SettingsError("\n".join(problems), remedy="docs/settings.md explains every key")
    merged: dict[str, Any] = {}
    for source in sources:
        merged = _on_top(merged, source.values)
    origins = dict.fromkeys(KEYS, DEFAULT)
    for source in sources:
        origins |= {name: source.origin(name) for name, key in KEYS.items() if _has(source.values, key.path)}
    settings = Settings.model_validate(merged)
    _require_loopback(settings.http, origins["http.listen"])
    return Effective(settings=settings, file=read, origins=origins)


def _require_loopback(http: HttpSettings, origin: str) -> None:
    """Refuse an address that others can reach, unless the settings say that they may."""
    listen = parse_listen(http.listen) if http.listen else None
    if listen is not None and not listen.loopback and not http.allow_remote:
        raise SettingsError(
            f"{origin}: http.listen: others can reach {http.listen}, and read every log line there",
            remedy="listen on 127.0.0.1, or set http.allow_remote to true (docs/http.md)",
        )


def _mistakes(source: Source) -> Iterator[str]:
    try:
        Settings.model_validate(source.values)
    except ValidationError as error:
        for each in sorted(error.errors(), key=lambda each: source.order(each["loc"])):
            yield source.blame(each["loc"], _message(each))


def _message(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        *place, key = error["loc"]
        return f"is not a setting{did_you_mean(str(key), known_at(place))}"
    return _PLAINER.get(error["type"], error["msg"].replace("Input should be", "must be"))


def _on_top(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _on_top(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _has(values: Any, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True
