"""The daemon's settings: a YAML file, with flags on top."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from pdwatch.core.image import image_repository
from pdwatch.core.suggestion import did_you_mean
from pdwatch.core.yaml_document import EMPTY, YamlDocument, read_document
from pdwatch.core.yaml_tree import YamlMapping, plain
from pdwatch.errors import SettingsError
from pdwatch.logs import LogFormat, LogLevel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails


def _dns_label(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", value):
        raise PydanticCustomError("dns_label", "a namespace has up to 63 of a-z, 0-9 and '-'")
    return value


def _registry(value: str) -> str:
    try:
        image_repository("any", value)
    except SettingsError as error:
        raise PydanticCustomError(
            "registry", "{why}; {remedy}", {"why": error.message, "remedy": error.remedy}
        ) from error
    return value


Namespace = Annotated[str, AfterValidator(_dns_label)]
Registry = Annotated[str, AfterValidator(_registry)]


_PLAINER = {
    "model_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
    "path_type": "must be a path",
    "too_short": "must not be empty",
}
"""What pydantic says in words that only Python has."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LogSettings(_Section):
    """How log lines look, and which are written."""

    format: LogFormat = "auto"
    level: LogLevel = "info"


class Settings(_Section):
    """Everything that can be set for ``pdwatch run``; config/pdwatch.yaml explains each key."""

    roots: Annotated[tuple[Path, ...], Field(min_length=1)] = (Path(),)
    namespace: Namespace | None = None
    context: str | None = None
    registry: Registry | None = None
    secrets: bool = False
    build_network: str | None = None
    builds: Annotated[int, Field(ge=1, le=32)] = 2
    resync_s: Annotated[float, Field(ge=1, le=3600)] = 30
    log: LogSettings = LogSettings()


def load_settings(path: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Read the file, put the flags on top, and check both.

    Args:
        path: The settings file; None for none. Its relative ``roots`` count from its own directory.
        flags: Values by key, with ``log.format`` and ``log.level`` dotted; None means not given.

    Raises:
        SettingsError: The file can't be read, or values are wrong; the message has a line for each problem.
    """
    document = _read(path) if path is not None else None
    given = plain(document.root) if document is not None and document.root is not None else {}
    values = {key: value for key, value in given.items() if value is not None}
    if path is not None and isinstance(values.get("roots"), list):
        values["roots"] = [
            path.parent / Path(root).expanduser() if isinstance(root, str) else root
            for root in values["roots"]
        ]
    for key, value in flags.items():
        if value is not None:
            section, _, last = key.rpartition(".")
            place = values.setdefault(section, {}) if section else values
            if isinstance(place, dict):  # else the file has something there that is refused below
                place[last] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = [_problem(path, document, each) for each in error.errors()]
        raise SettingsError("\n".join(problems), remedy="config/pdwatch.yaml explains every key") from error


def _read(path: Path) -> YamlDocument:
    try:
        document = read_document(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    if [each.message for each in document.problems] == [EMPTY]:  # comments alone: every default
        return YamlDocument(root=None, problems=())
    if document.problems:
        lines = [f"{path}:{each.line}:{each.column}: {each.message}" for each in document.problems]
        raise SettingsError("\n".join(lines))
    if not isinstance(document.root, YamlMapping):
        raise SettingsError(f"{path}:1:1: the settings must be a mapping of keys to values")
    return document


def _problem(path: Path | None, document: YamlDocument | None, error: ErrorDetails) -> str:
    where = ".".join(str(part) for part in error["loc"])
    message = error["msg"]
    if error["type"] == "extra_forbidden":
        known = LogSettings.model_fields if error["loc"][0] == "log" else Settings.model_fields
        message = f"is not a setting{did_you_mean(str(error['loc'][-1]), known)}"
    message = _PLAINER.get(error["type"], message)
    position = _position(document, error["loc"])
    return f"{path}:{position}: {where}: {message}" if position else f"{where}: {message}"


def _position(document: YamlDocument | None, location: Sequence[int | str]) -> str | None:
    """Return ``line:column`` of the key, None when the value came from a flag."""
    node = document.root if document is not None else None
    position = None
    for part in location:
        if not isinstance(node, YamlMapping) or str(part) not in node.entries:
            break
        entry = node.entries[str(part)]
        position = f"{entry.key_position.line}:{entry.key_position.column}"
        node = entry.value
    return position
