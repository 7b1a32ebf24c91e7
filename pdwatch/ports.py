"""What the reconciler needs of the world, as small protocols; the adapters implement them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from pdwatch.core.daemon_state import Health, Readiness, WorkflowState
    from pdwatch.core.model import (
        BuildRequest,
        BuiltImage,
        ImageRef,
        Manifest,
        ObservedDeployment,
        SourceSnapshot,
    )
    from pdwatch.core.retention import Ingredient, ListedImage, Pruned, Removal, StoredImage
    from pdwatch.core.undeploy import ClusterObject, Undeployment


class SourceReader(Protocol):
    """Reads workflow directories."""

    async def scan(self, root: Path) -> SourceSnapshot:
        """Take a snapshot of the directory as it is now.

        Raises:
            SourceError: A file can't be read.
            NotFoundError: There is no ``workflow.yaml`` in ``root`` any more.
        """
        ...

    async def moved(self, roots: Collection[Path]) -> frozenset[Path]:
        """Return those of ``roots`` where another scan, or reading the secrets, may find something else."""
        ...

    async def discover(
        self, roots: Sequence[Path], *, passed_over: Callable[[Path, Path], None] = ...
    ) -> frozenset[Path]:
        """Find every directory at or under ``roots`` that holds a ``workflow.yaml``.

        ``passed_over`` is called with each symbolic link to one that lies elsewhere, and where that is.
        """
        ...

    async def secrets(self, root: Path) -> Mapping[str, bytes]:
        """Read ``.secrets/``, then ``.secrets.yaml`` on top, by Secret key; empty when there are neither.

        Raises:
            SourceError: They can't be read or are no mapping; the message never shows their content.
        """
        ...


class SourceWatcher(Protocol):
    """Tells which paths changed; carries no more than that, since the files say the rest."""

    noticed_at: float | None
    """When, in loop time (seconds), the first of the latest batch of changes was noticed."""

    def changes(self, roots: Sequence[Path]) -> AsyncGenerator[frozenset[Path]]:
        """Yield batches of changed absolute paths under ``roots``.

        An empty batch is a beat: look at everything, since inotify may have lost events. Use it under
        ``contextlib.aclosing``.
        """
        ...


class ImageBuilder(Protocol):
    """Turns a snapshot into an image in the local Docker daemon."""

    @property
    def builds_per_turn(self) -> int:
        """How many builds may share a turn, as things are now: what it makes in one go."""
        ...

    async def find(self, ref: ImageRef, snapshot: SourceSnapshot) -> BuiltImage | None:
        """Return the image under ``ref`` when it was built from exactly this snapshot."""
        ...

    async def build(self, request: BuildRequest) -> BuiltImage:
        """Build and tag; the same request gives the same image ID.

        Raises:
            DockerError: Or one of its subclasses, by cause.
            SourceChangedError: A file is no longer what the snapshot says.
        """
        ...


class ImagePublisher(Protocol):
    """Gets an image to where the nodes find it."""

    async def publish(self, image: BuiltImage) -> ImageRef:
        """Return the reference that a Deployment should name, pinned by digest when the image was pushed.

        Raises:
            PushRefusedError: The registry does not take it.
        """
        ...


class Cluster(Protocol):
    """Writes to the API server."""

    async def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        """Server-side apply with field manager ``pdwatch``; returns the object as stored.

        Raises:
            ApplyConflictError: Another manager owns a field, and ``force`` is off.
            ClusterError: Or one of its subclasses, by cause.
        """
        ...

    async def require_gvisor(self) -> None:
        """Return when workflows can be applied: pdwatch may write there, and RuntimeClass ``gvisor`` exists.

        Raises:
            ContextNotAllowedError: The context does not look local, and nobody has allowed it.
            ClusterChangedError: It is not the cluster of the first contact.
            GvisorMissingError: There is no such RuntimeClass.
            ClusterError: Or one of its subclasses, by cause.
        """
        ...


class ClusterView(Protocol):
    """The Deployments that pdwatch watches, as last seen."""

    async def synced(self, namespace: str) -> None:
        """Return once the namespace has been listed; starts watching it when nobody has asked before."""
        ...

    def deployment(self, namespace: str, name: str) -> ObservedDeployment | None:
        """Return the Deployment as last seen; None when there is none."""
        ...

    def announce(self, namespace: str, name: str) -> None:
        """Tell whoever follows changes again what is known of a Deployment, if anything is."""
        ...

    def observe(self, manifest: Manifest) -> None:
        """Take in what an apply has just returned, so that the next decision does not lag behind it."""
        ...


class PodLogs(Protocol):
    """What a pod's container has printed."""

    async def last_lines(self, namespace: str, pod: str) -> Sequence[str]:
        """Return the last lines of the container's log, of the run that crashed if one did.

        Raises:
            ClusterError: Or one of its subclasses, by cause.
            NotFoundError: There is no such pod any more.
        """
        ...


class ImageStore(Protocol):
    """The images that Docker keeps."""

    async def listed(self) -> tuple[ListedImage, ...]:
        """Return what pdwatch built, for all workflows: a single request, which takes Docker a while.

        Raises:
            DockerError: Or one of its subclasses, by cause.
        """
        ...

    async def images(self, listed: Iterable[ListedImage]) -> tuple[StoredImage, ...]:
        """Look at each of these images; those that are gone are left out.

        Raises:
            DockerError: Or one of its subclasses, by cause.
        """
        ...

    async def running(self) -> frozenset[str]:
        """Return the IDs of the images of all containers.

        Raises:
            DockerError: Or one of its subclasses, by cause.
        """
        ...

    async def unused(self, *, in_use: Collection[str] = ()) -> tuple[Ingredient, ...]:
        """Return which parent images and images of third-party code no workflow's image is made of.

        Args:
            in_use: IDs of images that stay.

        Raises:
            DockerError: Or one of its subclasses, by cause.
        """
        ...

    async def remove(self, removals: Iterable[Removal]) -> Pruned:
        """Remove images of workflows, except those that have come into use meanwhile.

        Raises:
            DockerError: Or one of its subclasses, by cause.
        """
        ...

    async def remove_ingredients(self, unused: Iterable[Ingredient]) -> Pruned:
        """Remove what images of workflows were made of, unless it has come into use meanwhile.

        Raises:
            DockerError: Or one of its subclasses, by cause.
        """
        ...


class RevisionHistory(Protocol):
    """What the cluster remembers of a workflow."""

    async def images(self, namespace: str, workflow: str) -> frozenset[str]:
        """Return the references of the images that may be started again.

        Raises:
            ClusterError: Or one of its subclasses, by cause.
        """
        ...


class Undeployer(Protocol):
    """Removes what pdwatch made of a workflow."""

    async def find(self, namespace: str, workflow: str) -> Undeployment:
        """Look which of its objects there are, and whose they are.

        Raises:
            ClusterError: Or one of its subclasses, by cause.
        """
        ...

    async def remove(self, objects: Sequence[ClusterObject]) -> None:
        """Remove objects in their order.

        Raises:
            ClusterError: Or one of its subclasses, by cause.
        """
        ...


class Ground(Protocol):
    """What workflow directories lie in."""

    def note(self, directory: Path) -> None:
        """Remember what a directory that is there lies in."""
        ...

    def intact(self, directory: Path) -> bool:
        """Return whether what a directory lay in is what it was, or was removed along with it."""
        ...


class DaemonState(Protocol):
    """What a daemon tells of itself, as it is now."""

    def health(self) -> Health:
        """Return whether every part of it lives."""
        ...

    def readiness(self) -> Readiness:
        """Return whether what it tells of the workflows can be relied on."""
        ...

    def queue(self) -> Mapping[str, int]:
        """Return how many directories are ``working`` or ``delayed`` until a retry."""
        ...

    def workflows(self) -> tuple[WorkflowState, ...]:
        """Return every workflow, in the order in which they were found."""
        ...
