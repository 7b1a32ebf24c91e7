"""Every setting: its key, type, default and meaning; docs/settings.md is for people."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from pdwatch.core.builders import BuilderName
from pdwatch.core.image import image_repository
from pdwatch.core.listen import parse_listen
from pdwatch.core.model import TargetName
from pdwatch.core.retention import KEPT_IMAGES
from pdwatch.errors import SettingsError
from pdwatch.logs import LogFormat, LogLevel
from pdwatch.paths import expanded


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


def _log_file(value: str) -> str:
    if value not in (AUTO, NONE) and not expanded(value).is_absolute():
        raise PydanticCustomError("log_file", "must be auto, none or an absolute path")
    return value


def _listen(value: str) -> str:
    if parse_listen(value) is None:
        raise PydanticCustomError("listen", "must be an address and a port, such as 127.0.0.1:9464")
    return value


def _absolute(value: Path) -> Path:
    path = expanded(value)
    if not path.is_absolute():
        raise PydanticCustomError("absolute", "must be an absolute path")
    return path


AUTO, NONE = "auto", "none"
Namespace = Annotated[str, AfterValidator(_dns_label)]
Registry = Annotated[str, AfterValidator(_registry)]


class Section(BaseModel):
    """A mapping of keys to values; a key that it does not have is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class RootSettings(Section):
    """A directory to watch. A key that is set here wins over the same key above it, `null` too."""

    path: Path
    """The directory. A relative one counts from the settings file."""
    namespace: Namespace | None = None
    """As `namespace`, for the workflows of this root."""
    registry: Registry | None = None
    """As `registry`, for the workflows of this root."""
    target: TargetName = "kubernetes"
    """As `target`, for the workflows of this root."""
    secrets: bool = False
    """As `secrets`, for the workflows of this root."""


def _path_alone(value: Any) -> Any:
    return {"path": value} if isinstance(value, str | Path) else value


Root = Annotated[
    RootSettings, BeforeValidator(_path_alone, json_schema_input_type=Annotated[str, "path"] | RootSettings)
]


def _distinct(roots: tuple[RootSettings, ...]) -> tuple[RootSettings, ...]:
    """Refuse a directory that is named again with other settings: one of them would mean nothing."""
    if not roots:
        raise PydanticCustomError(
            "too_short", "must not be empty"
        )  # min_length counts only those without fault
    seen: dict[Path, dict[str, Any]] = {}
    for root in roots:
        path, own = resolved(root.path), root.model_dump(exclude={"path"}, exclude_unset=True)
        if seen.setdefault(path, own) != own:
            raise PydanticCustomError(
                "twice", "{path} is named twice, with different settings", {"path": str(path)}
            )
    return roots


class LogSettings(Section):
    """How log lines look, and which are written."""

    format: LogFormat = "auto"
    """`auto` is `console` on a terminal and `json` otherwise."""
    level: LogLevel = "info"
    """The lowest level that is written."""
    file: Annotated[str, AfterValidator(_log_file)] = AUTO
    """Where lines go besides stdout: a path, `none`, or `auto`: the state directory, or the journal."""
    file_level: LogLevel = "info"
    """The lowest level that is written there."""
    max_bytes: Annotated[int, Field(ge=10_000)] = 10_000_000
    """How long the file may grow before it is put aside and another one begun."""
    backups: Annotated[int, Field(ge=0, le=100)] = 5
    """How many files that were put aside are kept."""


class HttpSettings(Section):
    """Where the daemon answers questions about itself."""

    listen: Annotated[str, AfterValidator(_listen)] | None = None
    """A TCP address, such as `127.0.0.1:9464`; null is none."""
    allow_remote: bool = False
    """Whether `listen` may be an address that others can reach: whoever does can read all logs."""
    socket: Annotated[Path, AfterValidator(_absolute)] | None = None
    """The path of the Unix socket; null is one by the process's id in the runtime directory."""


class Settings(Section):
    """Everything that can be set for `pdwatch run`."""

    roots: Annotated[
        tuple[Root, ...],
        Field(json_schema_extra={"default": ["."], "minItems": 1}),
        AfterValidator(_distinct),
    ] = (RootSettings(path=Path()),)
    """Directories to watch: paths, or mappings with settings of their own."""
    namespace: Namespace | None = None
    """Where workflows go that name no namespace of their own; null is the context's namespace."""
    context: str | None = None
    """The kubeconfig's context; null is its current one."""
    allow_contexts: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Contexts that pdwatch may write to though they don't look local: shell patterns such as `staging-*`."""
    registry: Registry | None = None
    """A registry to push images to; null leaves them in the local Docker daemon."""
    target: TargetName = "kubernetes"
    """Where workflows run: in a cluster, or as processes of this machine."""
    secrets: bool = False
    """Whether `.secrets.yaml` and `.secrets/` are applied as the Secret `<workflow>-secrets`."""
    type_check: bool = True
    """Whether a save must pass Deno's type check before it takes over, on this machine."""
    builder: BuilderName = "auto"
    """How images are made; `auto` takes the quickest way that Docker can do."""
    build_network: str | None = None
    """Docker's network for fetching third-party imports; null is Docker's default."""
    builds: Annotated[int, Field(ge=1, le=32)] = 2
    """How many images are built at once."""
    keep_images: Annotated[int, Field(ge=1)] = KEPT_IMAGES
    """How many images of a workflow stay in Docker, besides those that are in use."""
    undeploy_removed: bool = False
    """Whether a workflow whose directory is removed is removed from the cluster too."""
    resync_s: Annotated[float, Field(ge=1, le=3600)] = 30
    """Seconds between full looks at every file and Deployment, in case an event was lost."""
    log: LogSettings = LogSettings()
    """How log lines look, and which are written."""
    http: HttpSettings = HttpSettings()
    """Where the daemon answers questions about itself."""

    @property
    def targets(self) -> frozenset[TargetName]:
        """The targets that roots name, or that hold for them."""
        return frozenset(self.at(resolved(root.path)).target for root in self.roots)

    def at(self, directory: Path) -> RootSettings:
        """Return what holds for a directory: the keys of the innermost root around it, else those above.

        Args:
            directory: Absolute, with links resolved.
        """
        around = [root for root in self.roots if directory.is_relative_to(resolved(root.path))]
        own = max(around, key=lambda root: len(resolved(root.path).parts), default=None)
        overridden = own.model_fields_set if own else frozenset()
        return RootSettings(
            path=directory,
            **{
                key: getattr(own if key in overridden else self, key)
                for key in RootSettings.model_fields
                if key != "path"
            },
        )


def resolved(path: Path) -> Path:
    """Return a root's path, absolute and with ``~`` and links resolved."""
    return Path(os.path.realpath(expanded(path)))
