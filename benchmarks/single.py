"""Single saves of a workflow without pods, and the floor between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.floor import FloorImage, bring
from benchmarks.phases import Save, follow
from pdwatch.adapters.engine import engine_recipe
from pdwatch.adapters.files import FileSource

if TYPE_CHECKING:
    from benchmarks.floor import Ready
    from benchmarks.ground import Ground
    from benchmarks.phases import Line
    from benchmarks.workflows import Workflow
    from tests.e2e.daemon import Daemon

SAVED, FLOOR = "save → patched", "floor: load + apply"
IMAGE, FLOOR_IMAGE = "save → image", "floor: load"
PHASE = "phase: "


async def applied(daemon: Daemon, workflow: Workflow, *, since: int) -> Line:
    """Wait until what is on disk is applied; return the line that says so.

    The digest is computed only once something was applied, so as not to take the daemon's processor time.
    """
    line = await daemon.until("deploy.applied", since=since, workflow=workflow.name)
    digest = await workflow.digest()
    if line["source_digest"] == digest:
        return line
    return await daemon.until("deploy.applied", since=since, source_digest=digest)


async def save_once(daemon: Daemon, workflow: Workflow) -> Save:
    """Save, and return what the daemon's log tells of it."""
    mark = daemon.mark
    _, saved_at = workflow.save()
    line = await applied(daemon, workflow, since=mark)
    return follow(daemon.lines[mark:], digest=line["source_digest"], saved_at=saved_at)


@dataclass(slots=True, kw_only=True)
class Floor:
    """Takes samples of the floor with images like one workflow's."""

    ground: Ground
    image: FloorImage
    workflow: Workflow
    namespace: str
    taken: int = 0

    @classmethod
    async def of(cls, ground: Ground, daemon: Daemon, workflow: Workflow, *, namespace: str) -> Floor:
        """Save once, and take the image that this makes as the pattern; the sample does not count."""
        mark = daemon.mark
        workflow.save()
        line = await applied(daemon, workflow, since=mark)
        image = await FloorImage.of(ground, line["image"])
        floor = cls(ground=ground, image=image, workflow=workflow, namespace=namespace)
        await floor.sample()
        return floor

    async def sample(self) -> tuple[float, float]:
        """Return the milliseconds of the load alone, and of load and apply."""
        brought = await bring(self.ground, await self.ready())
        return (brought.loaded - brought.began) * 1000, (brought.patched - brought.began) * 1000

    async def ready(self) -> Ready:
        """Return one more image and its Deployment."""
        snapshot = await FileSource(recipe=engine_recipe()).scan(self.workflow.root)
        assert snapshot.spec is not None
        self.taken += 1
        name = f"{self.workflow.name}-floor"
        return self.image.ready(self.taken, name=name, spec=snapshot.spec, namespace=self.namespace)
