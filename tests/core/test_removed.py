"""What becomes of a workflow whose directory is gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdwatch.core.manifests import deployment
from pdwatch.core.model import ImageRef, ObservedDeployment, Place
from pdwatch.core.observed import observed_deployment
from pdwatch.core.removed import Fate, RemovedWorkflow, WatchedDirectory, fate
from tests.world import spec_of

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
BESIDE = Path("/w/beside")
HELLO = Place(target="kubernetes", namespace="dev", name="hello")
REMOVED = RemovedWorkflow(root=Path("/w/hello"), place=HELLO, delivered=NEW, beside=frozenset({BESIDE}))
OTHER = WatchedDirectory(root=BESIDE, place=replace(HELLO, name="other"), valid=True)


def running(digest: str) -> ObservedDeployment:
    image = ImageRef(repository="hello", tag="1-0")
    manifest = deployment(spec_of("hello"), digest=digest, image=image, namespace="dev")
    manifest["metadata"]["uid"] = "1"
    return observed_deployment(manifest)


@pytest.mark.parametrize(
    ("directories", "expected"),
    [
        pytest.param([], Fate.UNDEPLOY, id="nothing is there"),
        pytest.param([OTHER], Fate.UNDEPLOY, id="other workflows are there"),
        pytest.param([replace(OTHER, valid=False)], Fate.UNDEPLOY, id="one was invalid before already"),
        pytest.param(
            [replace(OTHER, root=Path("/w/moved"), place=HELLO)],
            Fate.LEAVE,
            id="it was moved: the name is there",
        ),
        pytest.param(
            [replace(OTHER, root=Path("/w/moved"), place=HELLO, valid=False)],
            Fate.LEAVE,
            id="it was moved, and is invalid now",
        ),
        pytest.param(
            [replace(OTHER, place=replace(HELLO, namespace="prod"))],
            Fate.UNDEPLOY,
            id="the name is there in another namespace",
        ),
        pytest.param(
            [replace(OTHER, place=replace(HELLO, target="local"))],
            Fate.UNDEPLOY,
            id="the name is there on this machine",
        ),
        pytest.param([replace(OTHER, root=REMOVED.root)], Fate.LEAVE, id="it has come back, renamed"),
        pytest.param([WatchedDirectory(root=REMOVED.root)], Fate.LEAVE, id="it has just come back"),
        pytest.param(
            [WatchedDirectory(root=Path("/w/new"))],
            Fate.LOOK_AGAIN,
            id="a directory that nobody has read yet",
        ),
        pytest.param(
            [replace(OTHER, root=Path("/w/new"), valid=False)],
            Fate.LOOK_AGAIN,
            id="a new directory that can't be read: it may be the moved one",
        ),
    ],
)
def test_by_the_directories_that_are_there(directories: list[WatchedDirectory], expected: Fate):
    assert fate(REMOVED, directories, running(NEW), intact=True) is expected


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        pytest.param(None, Fate.LEAVE, id="gone already"),
        pytest.param(running(OLD), Fate.LEAVE, id="somebody else has deployed something else since"),
        pytest.param(
            replace(running(OLD), rolled_back_from=NEW), Fate.UNDEPLOY, id="rolled back from what was here"
        ),
    ],
)
def test_by_what_runs(observed: ObservedDeployment | None, expected: Fate):
    assert fate(REMOVED, [], observed, intact=True) is expected


def test_what_it_lay_in_went_as_a_whole():
    assert fate(REMOVED, [], running(NEW), intact=False) is Fate.LEAVE
