"""Deno's type check of what is staged: in full, or at once by a language server that knows the rest."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from pdwatch.adapters.local.full_check import full_check
from pdwatch.adapters.local.language_server import (
    MODULE_SUFFIXES,
    LanguageServerEndedError,
    LanguageServerError,
    language_server,
)
from pdwatch.core.sources import DEPENDENCIES
from pdwatch.logs import Event

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pdwatch.adapters.local.language_server import LanguageServer
    from pdwatch.adapters.local.stages import Stage
    from pdwatch.core.model import SourceFile
    from pdwatch.logs import EventLog

_ANSWER_S, _START_S = 10.0, 120.0
"""A server that takes longer to answer, for the first time or again, is given up."""
_IDLE_S = 600.0
"""A server that has not been asked for so long ends, since it takes 300 MB."""

_Setting: TypeAlias = "tuple[Path, tuple[SourceFile, ...]]"
"""A workflow directory, and all its files that are no modules of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Warm:
    """A server that has answered once."""

    setting: _Setting
    server: LanguageServer
    tolerated: frozenset[str]
    """Modules with errors in a workflow that passes all the same, since nothing leads to them."""


class TypeCheck:
    """Checks stages as ``deno check`` does, and much sooner where a language server finds nothing wrong.

    Its errors are never believed, and nor is its approval once anything but the text of modules has changed:
    then, as for the first time, ``deno check`` decides and says what is wrong. There is one server at a time,
    for the workflow that ``deno check`` has passed last.

    Args:
        area: A private directory.
        deno: The program.
        log: Where it is told that a server is lost.
    """

    def __init__(self, area: Path, *, deno: Path, log: EventLog) -> None:
        self._app = area / "checked"
        """A link to the stage that is looked at: the server must find every one at the same place."""
        self._deno = deno
        self._setting: _Setting | None = None
        """What the server is for that starts, or is warm."""
        self._warm: _Warm | None = None
        self.is_warm = asyncio.Event()
        """Set while an edit is checked by the server."""
        self._passed: Stage | None = None
        self._renew = asyncio.Event()
        self._asked = False
        self._log = log
        self._lost = False
        """Whether it was told that a server is lost, and none has been warm since."""

    async def require(self, stage: Stage) -> None:
        """Return when the stage passes.

        Raises:
            BuildFailedError: It does not; the message has file, line and column.
        """
        if await self._clears(stage):
            return
        await full_check(stage, deno=self._deno)
        self._passed = stage
        if self.is_warm.is_set() or self._setting != _setting(stage):
            self._forget()
            self._renew.set()

    async def run(self) -> None:
        """Keep a server for the workflow that has passed last, until cancelled."""
        while True:
            await self._renew.wait()
            self._renew.clear()
            assert self._passed is not None, "there is something to look at"
            try:
                await self._serve(self._passed)
            except (LanguageServerError, TimeoutError) as error:
                self._tell_lost(error)
            except OSError:
                continue  # the stage was removed: the next one is checked in full, and has another started
            finally:
                self._forget()

    async def _serve(self, stage: Stage) -> None:
        setting = self._setting = _setting(stage)
        self._show(stage)
        async with language_server(self._deno, self._app) as server:
            async with asyncio.timeout(_START_S):
                erroneous = await self._look(server, stage)
                while self._passed is not stage and not self._renew.is_set():  # saved meanwhile, and passed
                    assert self._passed is not None, "a stage that passed is never forgotten"
                    stage = self._passed
                    erroneous = await self._look(server, stage)
            if not _agrees(stage, erroneous):
                return
            self._warm = _Warm(setting=setting, server=server, tolerated=erroneous)
            self.is_warm.set()
            self._lost = False
            await self._until_renewed(server)

    async def _until_renewed(self, server: LanguageServer) -> None:
        """Return when the server is to be replaced, or has not been asked for long.

        Raises:
            LanguageServerError: It has ended by itself.
        """
        ending = asyncio.create_task(server.end(), name="language server")
        waiting = asyncio.create_task(self._renewed_or_idle(), name="renew language server")
        try:
            await asyncio.wait({ending, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
            waiting.cancel()
        if ending.done() and not ending.cancelled():
            raise ending.result()

    async def _renewed_or_idle(self) -> None:
        self._asked = True
        while self._asked and not self._renew.is_set():
            self._asked = False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._renew.wait(), _IDLE_S)

    async def _clears(self, stage: Stage) -> bool:
        """Tell whether the server, if there is one for the stage, finds nothing wrong with it."""
        warm = self._warm
        if warm is None or warm.setting != _setting(stage):
            return False
        self._asked = True
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._look(warm.server, stage) <= warm.tolerated
        except LanguageServerEndedError:
            return False  # what has ended by itself is told where it is kept
        except (LanguageServerError, TimeoutError) as error:
            self._tell_lost(error)
            return False
        except OSError:
            return False  # the stage was removed meanwhile

    def _tell_lost(self, error: Exception) -> None:
        """Say once that the next save takes longer: it is checked in full, and has another server started."""
        if not self._lost:
            self._lost = True
            reason = (
                error if isinstance(error, LanguageServerError) else "Deno's language server does not answer"
            )
            message = f"{reason}; saves are checked in full until another is ready"
            self._log.emit(Event.CHECKER_LOST, message=message)

    async def _look(self, server: LanguageServer, stage: Stage) -> frozenset[str]:
        texts = await asyncio.to_thread(_texts, stage)
        self._show(stage)
        return await server.erroneous(texts)

    def _forget(self) -> None:
        self._warm = self._setting = None
        self.is_warm.clear()

    def _show(self, stage: Stage) -> None:
        following = self._app.with_suffix(".next")
        following.symlink_to(stage.app)
        following.replace(self._app)


def _agrees(stage: Stage, erroneous: frozenset[str]) -> bool:
    """Tell whether a server finds no errors where ``deno check`` has found none.

    It can't if the stage was removed meanwhile, so that it has read nothing there.
    """
    assert stage.snapshot.spec is not None, "only a valid snapshot is staged"
    nodes = {PurePosixPath(node.path).as_posix() for node in stage.snapshot.spec.nodes}
    return not nodes & erroneous and stage.app.exists()


def _is_module(file: SourceFile) -> bool:
    path = PurePosixPath(file.path)
    return path.suffix in MODULE_SUFFIXES and path.parts[0] not in DEPENDENCIES and file.target is None


def _setting(stage: Stage) -> _Setting:
    snapshot = stage.snapshot
    return snapshot.root, tuple(file for file in snapshot.files if not _is_module(file))


def _texts(stage: Stage) -> Mapping[str, str]:
    modules = (file.path for file in stage.snapshot.files if _is_module(file))
    return {path: (stage.app / path).read_text(encoding="utf-8", errors="replace") for path in modules}
