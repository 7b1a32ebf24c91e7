"""One look at one workflow directory: list it, parse its ``workflow.yaml``, hash what ships."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from pdwatch.adapters.stamps import Stamp, is_settled, stamp, stamp_at
from pdwatch.adapters.tree import Listing, TreeChangedError, list_tree, open_regular
from pdwatch.core.build_context import PACKAGE_FILE
from pdwatch.core.deno_config import DENO_CONFIGS, config_problem
from pdwatch.core.model import Problem, SourceFile, SourceSnapshot
from pdwatch.core.sources import (
    DEPENDENCIES,
    SECRETS_DIRECTORY,
    SECRETS_FILE,
    WORKFLOW_FILE,
    Matcher,
    source_digest,
)
from pdwatch.core.workflow import ParsedWorkflow, parse_workflow
from pdwatch.core.yaml_text import MAX_BYTES
from pdwatch.errors import NotFoundError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

CHUNK_BYTES = 1 << 18
_UNREADABLE = ParsedWorkflow(name=None, spec=None, problems=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A file as it was read.

    ``settled`` says that an equal ``stamp`` proves that the file has not changed since. It does not when the
    file had been changed right before it was read: another change within the same tick of the file system's
    clock would leave the stamp as it is (what git calls "racily clean").
    """

    file: SourceFile
    stamp: Stamp
    settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedConfig:
    """A configuration file of Deno's, and what is wrong with it."""

    file: SourceFile
    problem: Problem | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What one scan of a directory leaves to the next."""

    readings: Mapping[str, Reading] = field(default_factory=dict)
    listed: frozenset[str] = frozenset()
    parsed: ParsedWorkflow | None = None
    configs: Mapping[str, CheckedConfig] = field(default_factory=dict)
    traces: Mapping[str, Stamp | None] | None = None
    """What stat said of the directories that were listed and of the local secrets, by absolute path.

    None where equal stamps would prove nothing: something was changed right before it was looked at, or is
    wrong in a way that may be put right elsewhere.
    """


def moved(root: Path, memory: Memory) -> bool:
    """Return whether a scan of ``root`` may find anything but what it found before, for one stat a file.

    The local secrets count as well, though no scan reads them.
    """
    if memory.traces is None:
        return True
    read = ((f"{root}/{path}", reading.stamp) for path, reading in memory.readings.items())
    return any(stamp_at(location) != before for location, before in chain(memory.traces.items(), read))


def scan(root: Path, memory: Memory, *, recipe: str) -> tuple[SourceSnapshot, Memory]:
    """Take a snapshot of ``root``, a resolved path, and say what the next scan need not read again.

    Raises:
        NotFoundError: There is no ``workflow.yaml``.
        TreeChangedError: Files changed meanwhile.
        SourceError: The directory or a file can't be read.
    """
    return _Scan(root=root, memory=memory).run(recipe)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    root: Path
    memory: Memory
    readings: dict[str, Reading] = field(default_factory=dict)
    flaws: dict[str, str] = field(default_factory=dict)
    configs: dict[str, CheckedConfig] = field(default_factory=dict)

    def run(self, recipe: str) -> tuple[SourceSnapshot, Memory]:
        started_ns = time.time_ns()
        self._require_workflow()
        listing = Listing()
        self._list("", _holds_sources, listing)
        listed = frozenset(listing.files)
        parsed = self._parse(listing, listed)
        counting = [name for name in DENO_CONFIGS if name in listed][:1]
        for path in (*counting, *listed.intersection({PACKAGE_FILE})):
            self._check(path)
        matcher = Matcher.for_spec(parsed.spec)
        for directory in tuple(listing.pruned):
            if matcher.enters(directory):
                self._list(directory, matcher.enters, listing)
        for path in listing.files:
            if path not in self.readings and matcher.ships(path):
                self._read(path)
        self.flaws.update(_shipped_flaws(listing, matcher))
        kept = [_link(path, target) for path, target in listing.kept.items() if matcher.ships(path)]
        snapshot = self._snapshot(parsed, kept, links=_links(listing, matcher), recipe=recipe)
        return snapshot, Memory(
            readings=self.readings,
            listed=listed,
            parsed=parsed,
            configs=self.configs,
            traces=None if snapshot.problems else self._traces(listing, started_ns),
        )

    def _traces(self, listing: Listing, started_ns: int) -> Mapping[str, Stamp | None] | None:
        traces = listing.directories | _secret_stamps(f"{self.root}/")
        changed = (trace[-1] for trace in traces.values() if trace is not None)
        settled = all(is_settled(changed_ns=each, read_ns=started_ns) for each in changed)
        return traces if settled and all(reading.settled for reading in self.readings.values()) else None

    def _require_workflow(self) -> None:
        """Say that there is no workflow before listing all of what may be ``/``."""
        try:
            os.lstat(self.root / WORKFLOW_FILE)
        except (FileNotFoundError, NotADirectoryError):
            raise _no_workflow(self.root) from None
        except OSError as error:
            raise SourceError(f"{self.root} can't be listed: {error.strerror}") from error

    def _list(self, start: str, enters: Callable[[str], bool], listing: Listing) -> None:
        try:
            list_tree(self.root, start=start, enters=enters, listing=listing)
        except (FileNotFoundError, NotADirectoryError):
            raise _no_workflow(self.root) from None
        except OSError as error:
            raise SourceError(f"{self.root} can't be listed: {error.strerror}") from error

    def _parse(self, listing: Listing, listed: frozenset[str]) -> ParsedWorkflow:
        """Parse the very bytes that are hashed, unless neither they nor the list of files have changed."""
        if WORKFLOW_FILE in listing.flaws:
            return _UNREADABLE
        if WORKFLOW_FILE not in listed:
            raise _no_workflow(self.root)
        before = self.memory.parsed
        if before is not None and listed == self.memory.listed and self._recall(WORKFLOW_FILE):
            return before
        content = self._read(WORKFLOW_FILE, keep=MAX_BYTES + 1)
        return _UNREADABLE if content is None else parse_workflow(content, files=listed)

    def _check(self, path: str) -> None:
        """Take in a configuration file, and see what is wrong with it unless that is known."""
        before = self.memory.configs.get(path)
        if before is not None and self._recall(path) and self.readings[path].file == before.file:
            self.configs[path] = before
            return
        content = self._read(path, keep=MAX_BYTES)
        if content is not None:
            problem = config_problem(path, content)
            self.configs[path] = CheckedConfig(file=self.readings[path].file, problem=problem)

    def _recall(self, path: str) -> bool:
        """Take over the last scan's reading if it still holds."""
        reading = self.memory.readings.get(path)
        if reading is None or not reading.settled or reading.stamp != stamp(self._stat(path)):
            return False
        self.readings[path] = reading
        return True

    def _stat(self, path: str) -> os.stat_result:
        try:
            return os.stat(f"{self.root}/{path}")  # noqa: PTH116  # a Path a file takes longer than its stat
        except OSError as error:
            raise TreeChangedError(path) from error

    def _read(self, path: str, *, keep: int = 0) -> bytes | None:
        """Take in a file, and return its first ``keep`` bytes; None when it can't be read."""
        if not keep and self._recall(path):
            return b""
        try:
            reading, kept = _read(f"{self.root}/{path}", path, keep=keep)
        except PermissionError:
            self.flaws[path] = "can't be read; allow it to be (chmod u+r)"
            return None
        except (FileNotFoundError, NotADirectoryError) as error:
            raise TreeChangedError(path) from error
        except OSError as error:
            raise SourceError(f"{self.root}/{path} can't be read: {error.strerror}") from error
        self.readings[path] = reading
        return kept

    def _snapshot(
        self, parsed: ParsedWorkflow, kept: list[SourceFile], *, links: tuple[str, ...], recipe: str
    ) -> SourceSnapshot:
        flaws = (Problem(path=path, message=message) for path, message in self.flaws.items())
        broken = (config.problem for config in self.configs.values() if config.problem is not None)
        problems = tuple(sorted((*parsed.problems, *flaws, *broken), key=_order))
        read = (reading.file for reading in self.readings.values())
        files = tuple(sorted((*read, *kept), key=lambda file: file.path))
        return SourceSnapshot(
            name=parsed.name or self.root.name,
            root=self.root,
            files=files,
            digest=source_digest(files, recipe=recipe),
            spec=None if problems else parsed.spec,
            problems=problems,
            links=links,
        )


def _holds_sources(directory: str) -> bool:
    return directory.rpartition("/")[2] not in DEPENDENCIES | {".git"}


def _shipped_flaws(listing: Listing, matcher: Matcher) -> dict[str, str]:
    return {path: flaw for path, flaw in listing.flaws.items() if matcher.ships(path) or matcher.enters(path)}


def _links(listing: Listing, matcher: Matcher) -> tuple[str, ...]:
    targets = {
        target for path, target in listing.links.items() if matcher.ships(path) or matcher.enters(path)
    }
    return tuple(
        sorted(target for target in targets if not (matcher.ships(target) or matcher.enters(target)))
    )


def _secret_stamps(root: str) -> dict[str, Stamp | None]:
    places = [root + SECRETS_FILE, root + SECRETS_DIRECTORY]
    try:
        with os.scandir(places[-1]) as entries:
            places += [entry.path for entry in entries]
    except OSError:
        pass  # there are none, or none that could be read
    return {place: stamp_at(place) for place in places}


def _link(path: str, target: str) -> SourceFile:
    return SourceFile(path=path, size=0, digest=hashlib.sha256(target.encode()).hexdigest(), target=target)


def _read(location: str, path: str, *, keep: int) -> tuple[Reading, bytes]:
    started_ns = time.time_ns()
    content = hashlib.sha256()
    kept = bytearray()
    size = 0
    with open_regular(location) as file:
        before = os.fstat(file.fileno())
        while chunk := file.read(CHUNK_BYTES):
            content.update(chunk)
            size += len(chunk)
            kept += chunk[: max(0, keep - len(kept))]
        after = os.fstat(file.fileno())
    if stamp(before) != stamp(after) or size != after.st_size:
        raise TreeChangedError(path)
    reading = Reading(
        file=SourceFile(path=path, size=size, digest=content.hexdigest()),
        stamp=stamp(after),
        settled=is_settled(changed_ns=after.st_ctime_ns, read_ns=started_ns),
    )
    return reading, bytes(kept)


def _order(problem: Problem) -> tuple[str, int, int, str, str]:
    return problem.path, problem.line or 0, problem.column or 0, problem.where, problem.message


def _no_workflow(root: Path) -> NotFoundError:
    return NotFoundError(
        f"there is no {WORKFLOW_FILE} in {root}", remedy="name a directory that holds one, or create it"
    )
