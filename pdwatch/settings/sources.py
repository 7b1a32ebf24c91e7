"""Where settings come from: a file, the environment and flags; each tells the place of every value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pdwatch.core.suggestion import did_you_mean
from pdwatch.core.yaml_document import EMPTY, read_document
from pdwatch.core.yaml_tree import Position, YamlMapping, YamlSequence, YamlValue, plain
from pdwatch.errors import SettingsError
from pdwatch.paths import expanded, home, may_be_there
from pdwatch.settings.keys import CONFIG_VARIABLE, KEYS, PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

SYSTEM_FILE = Path("/etc/pdwatch/pdwatch.yaml")
_TESTBED = f"{PREFIX}TESTBED"
"""What these variables begin with is the testbed's (docs/testbed.md)."""


class Source(Protocol):
    """One place that gives values, nested as in the file."""

    @property
    def values(self) -> Mapping[str, Any]:
        """What it gives, by key; a key that it does not have is not given."""
        ...

    @property
    def problems(self) -> Sequence[str]:
        """What could not be read, one line each."""
        ...

    def blame(self, location: Sequence[int | str], message: str) -> str:
        """Return the line that reports a problem with the value at ``location``."""
        ...

    def order(self, location: Sequence[int | str]) -> tuple[int, ...]:
        """Return what to sort the problem's line by."""
        ...

    def origin(self, key: str) -> str:
        """Return where the value of a dotted key comes from."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A flag's value, and what the flag is called, or the variable that stands for it."""

    value: Any
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Values that each have a name of their own: an environment variable or a flag, by dotted key."""

    given: Mapping[str, Given]
    values: Mapping[str, Any] = field(init=False)
    problems: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Nest the values as in the file."""
        nested: dict[str, Any] = {}
        for key, given in self.given.items():
            *sections, last = KEYS[key].path
            place = nested
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = given.value
        object.__setattr__(self, "values", nested)

    def blame(self, location: Sequence[int | str], message: str) -> str:
        """Name the variable or flag, which is all that anybody needs to find it."""
        key = next(
            key for key in self.given if tuple(KEYS[key].path) == tuple(location[: len(KEYS[key].path)])
        )
        return f"{self.given[key].name}: {message}"

    def order(self, location: Sequence[int | str]) -> tuple[int, ...]:  # noqa: ARG002  # a protocol's
        """Leave the order of the keys."""
        return ()

    def origin(self, key: str) -> str:
        """Return the variable's or flag's name."""
        return self.given[key].name


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFile:
    """A settings file as read; see :func:`read_file`."""

    path: Path
    content: bytes
    root: YamlValue | None
    values: Mapping[str, Any]
    problems: Sequence[str]

    def blame(self, location: Sequence[int | str], message: str) -> str:
        """Say file, line, column and key."""
        place = ":".join(map(str, (self.path, *self.order(location))))
        return f"{place}: {'.'.join(map(str, location))}: {message}"

    def order(self, location: Sequence[int | str]) -> tuple[int, ...]:
        """Return line and column."""
        position = _position(self.root, location)
        return (position.line, position.column)

    def origin(self, key: str) -> str:
        """Return ``file:line``."""
        return f"{self.path}:{_position(self.root, KEYS[key].path).line}"


def find_file(environ: Mapping[str, str]) -> Path | None:
    """Return the settings file that ``environ`` names, else the first of :func:`places` that exists.

    Raises:
        SettingsError: ``$PDWATCH_CONFIG`` names a file that does not exist.
    """
    named = environ.get(CONFIG_VARIABLE)
    if named:
        path = expanded(named)
        if not may_be_there(path):
            raise SettingsError(
                f"{CONFIG_VARIABLE}={named}: there is no such file",
                remedy="correct the variable, or unset it",
            )
        return path
    return next((path for path in places(environ) if may_be_there(path)), None)


def places(environ: Mapping[str, str]) -> Sequence[Path]:
    """Return where a settings file is looked for that nobody named: the user's place, then the system's."""
    configured = environ.get("XDG_CONFIG_HOME", "")  # a relative one is to be ignored (XDG base directories)
    user = Path(configured) if configured.startswith("/") else home() / ".config"
    return (user / "pdwatch" / "pdwatch.yaml", SYSTEM_FILE)


def read_file(path: Path) -> SettingsFile:
    """Read a settings file. Its relative ``roots`` count from its own directory; null is a key's default.

    Raises:
        SettingsError: It can't be read at all.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    document = read_document(content)
    problems = [f"{path}:{each.line}:{each.column}: {each.message}" for each in document.problems]
    values: dict[str, Any] = {}
    if [each.message for each in document.problems] == [EMPTY]:  # comments alone: every default
        problems = []
    elif isinstance(document.root, YamlMapping):
        values = _given(plain(document.root))
        values |= {key: _from(path.parent, roots) for key, roots in values.items() if key == "roots"}
    elif not problems:
        problems = [f"{path}:1:1: the settings must be a mapping of keys to values"]
    return SettingsFile(path=path, content=content, root=document.root, values=values, problems=problems)


def read_environment(environ: Mapping[str, str]) -> Named:
    """Read the variable of each key; an empty one is not given, and lists are split at their separator."""
    return Named(
        given={
            name: Given(
                value=text.split(key.separator) if key.separator else text,
                name=key.variable,
            )
            for name, key in KEYS.items()
            if (text := environ.get(key.variable))
        }
    )


def unknown_variables(environ: Mapping[str, str], *, flags: Collection[str]) -> Mapping[str, str]:
    """Return every ``PDWATCH_`` variable that means nothing, and what to say about it.

    Args:
        environ: All variables.
        flags: The variables that stand for flags of commands.
    """
    known = {CONFIG_VARIABLE, *(key.variable for key in KEYS.values()), *flags}
    return {
        name: f"{name} is no variable of pdwatch and has no effect{did_you_mean(name, known)}"
        for name in sorted(environ)
        if name.startswith(PREFIX) and not name.startswith(_TESTBED) and name not in known
    }


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is null, in sections too."""
    return {
        key: _given(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


def _from(directory: Path, roots: Any) -> Any:
    """Make relative paths of roots count from ``directory``; what is no path is left for the check."""
    match roots:
        case [*entries]:
            return [_from(directory, entry) for entry in entries]
        case str():
            return directory / expanded(roots)
        case {"path": str(path), **others}:
            return {"path": directory / expanded(path), **others}
        case _:
            return roots


def _position(node: YamlValue | None, location: Sequence[int | str]) -> Position:
    """Return where a key or an item stands; what is missing is blamed on what it is missing from."""
    position = Position(line=1, column=1)
    for part in location:
        if isinstance(node, YamlMapping) and str(part) in node.entries:
            entry = node.entries[str(part)]
            position, node = entry.key_position, entry.value
        elif isinstance(node, YamlSequence) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            position = node.position
        else:
            break
    return position
