"""The stages that engines run from: the local target's images."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pdwatch.adapters.local.deno import engine_command
from pdwatch.adapters.local.staging import linked_trees, stage
from pdwatch.core.build_context import ENGINE_DIRECTORY
from pdwatch.core.model import BuiltImage
from pdwatch.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pdwatch.adapters.local.secrets import SecretVolume
    from pdwatch.adapters.local.type_check import TypeCheck
    from pdwatch.core.model import BuildRequest, ImageRef, SourceSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What an engine is started from."""

    snapshot: SourceSnapshot
    app: Path

    def command(self, *, deno: Path, secrets: SecretVolume) -> list[str]:
        """Return the command that starts the engine."""
        assert self.snapshot.spec is not None, "only a valid snapshot is staged"
        reads = (secrets.directory, *linked_trees(self.snapshot))
        return engine_command(self.snapshot.spec, deno=deno, app=self.app, secrets=secrets.path, reads=reads)

    def in_workflow(self, text: str) -> str:
        """Return what Deno says of the stage as if it had said it of the workflow's own directory."""
        own = text.replace(f"{self.app.as_uri()}/{ENGINE_DIRECTORY}/", f"{ENGINE_DIRECTORY}/")
        below = re.escape(f"{self.app.as_uri()}/")
        return re.sub(rf"{below}(\S*)", lambda found: f"{self.snapshot.root}/{unquote(found[1])}", own)


class Stages:
    """Implements :class:`pdwatch.ports.ImageBuilder` and :class:`pdwatch.ports.ImagePublisher`.

    Args:
        area: The directory for them; see :func:`pdwatch.adapters.local.staging.stage_area`.
        engine: The engine's files.
        check: What a stage must pass; None for nothing.
    """

    def __init__(self, area: Path, *, engine: Mapping[str, bytes], check: TypeCheck | None) -> None:
        self._area = area
        self._engine = engine
        self._check = check
        self._stages: dict[str, Stage] = {}
        self._holders: Counter[str] = Counter()
        """How many engines each reference is held for."""
        self._made = 0

    @property
    def builds_per_turn(self) -> int:
        """One: stages have nothing in common."""
        return 1

    async def find(self, ref: ImageRef, snapshot: SourceSnapshot) -> BuiltImage | None:
        """Return the stage of exactly this snapshot, if an engine may still be started from it."""
        found = self._stages.get(str(ref))
        if found is None or found.snapshot.digest != snapshot.digest:
            return None
        return BuiltImage(id=snapshot.digest, tags=(ref,), cached=True)

    async def build(self, request: BuildRequest) -> BuiltImage:
        """Write the stage, and check it.

        Raises:
            BuildFailedError: It does not pass Deno's check; the message has file, line and column.
            InvalidWorkflowError: A file lies where pdwatch puts its own.
            NotWrittenError: The stage can't be written.
            SourceChangedError: A file is no longer what the snapshot says.
            UnreadablePathError: Deno can't be allowed to read the third-party code.
        """
        snapshot = request.snapshot
        self._made += 1
        made = Stage(snapshot=snapshot, app=self._area / f"{snapshot.name}-{self._made}" / "app")
        try:
            await asyncio.to_thread(stage, snapshot, made.app, engine=self._engine)
            if self._check is not None:
                await self._check.require(made)
        except BaseException:
            await asyncio.to_thread(_remove, made)
            raise
        reference = str(request.tags[0])
        await self._discard_unused(snapshot.root)
        self._stages[reference] = made
        return BuiltImage(id=snapshot.digest, tags=request.tags)

    async def publish(self, image: BuiltImage) -> ImageRef:
        """Return the reference; a stage is where its engine is."""
        return image.tags[0]

    def stage(self, reference: str) -> Stage:
        """Return what was staged under a reference.

        Raises:
            ClusterError: Nothing is (any more).
        """
        try:
            return self._stages[reference]
        except KeyError:
            raise ClusterError(f"{reference} is not staged on this machine any more") from None

    def hold(self, reference: str) -> None:
        """Keep what is staged under a reference for an engine; see :meth:`release`."""
        self._holders[reference] += 1

    async def release(self, reference: str) -> None:
        """Remove what is staged under a reference once no engine is started from it any more."""
        self._holders[reference] -= 1
        if not self._holders[reference]:
            del self._holders[reference]
            await self._discard(reference)

    async def _discard_unused(self, root: Path) -> None:
        """Remove what was staged of a workflow and never run, since a newer save came."""
        for reference, made in tuple(self._stages.items()):
            if made.snapshot.root == root and not self._holders[reference]:
                await self._discard(reference)

    async def _discard(self, reference: str) -> None:
        stage = self._stages.pop(reference, None)
        if stage is not None:
            await asyncio.to_thread(_remove, stage)


def _remove(stage: Stage) -> None:
    shutil.rmtree(stage.app.parent, ignore_errors=True)
