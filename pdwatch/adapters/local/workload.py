"""One workflow's engines: the one that serves, and the one that is to take over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pdwatch.adapters.local.supervised import Supervised, generation_of, image_of
from pdwatch.core.local_objects import stored, with_status

if TYPE_CHECKING:
    from pdwatch.adapters.local.front import Front
    from pdwatch.adapters.local.secrets import SecretVolume
    from pdwatch.adapters.local.supervised import Surroundings
    from pdwatch.core.model import Manifest


class Workload:
    """The engines of one workflow, supervised.

    Args:
        front: Where they answer.
        volume: Their secrets.
        surroundings: What all workloads share.
    """

    def __init__(self, front: Front, volume: SecretVolume, surroundings: Surroundings) -> None:
        self._front = front
        self._volume = volume
        self._around = surroundings
        self._deployment: Manifest | None = None
        self._serving: Supervised | None = None
        self._candidate: Supervised | None = None
        self._rolled_out = 0
        """The last generation that was complete once."""

    def apply(self, manifest: Manifest, *, uid: str) -> Manifest:
        """Store a Deployment, and start its engine beside the one that serves if it is another.

        Raises:
            ClusterError: What it names is not staged.
        """
        around, before = self._around, self._deployment
        around.stages.stage(image_of(manifest))
        now = datetime.now(UTC)
        after = stored(manifest, before=before, uid=uid, version=around.version(), now=now)
        self._deployment = after
        if before is None or generation_of(after) != generation_of(before):
            self._replace(after)
        self._tell()
        assert self._deployment is not None
        return self._deployment

    @property
    def deployment(self) -> Manifest | None:
        """The Deployment as stored; None before the first."""
        return self._deployment

    def retire(self) -> None:
        """Let every engine finish its runs and end, with none in its place."""
        self._stop_candidate()
        self._front.switch(None)
        if self._serving is not None:
            self._serving.stop()
            self._serving = None

    def _replace(self, deployment: Manifest) -> None:
        if deployment["spec"].get("replicas", 1) == 0:
            self.retire()
            return
        self._stop_candidate()
        self._candidate = Supervised(deployment, self, volume=self._volume, surroundings=self._around)
        self._candidate.start(self._around.group)

    def _stop_candidate(self) -> None:
        if self._candidate is not None:
            self._candidate.stop()
            self._candidate = None

    def _tell(self) -> None:
        """Publish the Deployment's status as its engines are now."""
        assert self._deployment is not None
        generation = generation_of(self._deployment)
        serving = self._serving
        ready = serving is not None and serving.ready
        is_new = serving is not None and serving.generation == generation
        self._deployment = with_status(
            self._deployment,
            new_ready=ready and is_new,
            old_serves=ready and not is_new,
            rolled_out=self._rolled_out == generation,
            version=self._around.version(),
        )
        self._around.tell_deployment(self._deployment)

    def answers(self, supervised: Supervised, port: int) -> None:
        """Switch over to an engine that answers on a port."""
        if self._candidate is supervised:
            self._candidate = None
            before, self._serving = self._serving, supervised
            if before is not None:
                before.stop()
        if self._serving is not supervised:
            return  # it was restarted while its successor took over
        self._front.switch(port)
        self._rolled_out = max(self._rolled_out, supervised.generation)
        self._tell()

    def ended(self, supervised: Supervised) -> None:
        """Take note that the process of an engine has ended, which will be started again."""
        if self._serving is supervised:
            self._front.switch(None)
        self._tell()
