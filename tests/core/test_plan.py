"""The decision, as a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdwatch.core.drift import FieldChange
from pdwatch.core.image_lack import ImageLack
from pdwatch.core.model import ImageRef, ObservedDeployment, Problem, SourceSnapshot
from pdwatch.core.plan import Cause, Held, Invalid, Plan, Rollout, UpToDate, plan
from tests.world import spec_of

PROBLEM = Problem(path="workflow.yaml", line=1, column=1, message="is empty")
GONE = ImageLack(ref=ImageRef(repository="hello", tag="1-0-abc"))
OUT_OF_REACH = replace(GONE, in_docker=True)
CHANGE = FieldChange(path="spec.replicas", desired=1, observed=3)


def snapshot(*, problems: tuple[Problem, ...] = ()) -> SourceSnapshot:
    spec = None if problems else spec_of("hello")
    return SourceSnapshot(
        name="hello", root=Path("/w/hello"), files=(), digest="sha256:new", spec=spec, problems=problems
    )


def deployed(digest: str | None, *, rolled_back_from: str | None = None) -> ObservedDeployment:
    return ObservedDeployment(
        name="hello",
        namespace="dev",
        uid="1",
        generation=1,
        observed_generation=1,
        source_digest=digest,
        image=None,
        desired=1,
        replicas=1,
        updated=1,
        ready=1,
        available=1,
        managed=True,
        created_at=None,
        rolled_back_from=rolled_back_from,
        manifest={},
    )


@pytest.mark.parametrize(
    ("observed", "circumstances", "expected"),
    [
        pytest.param(
            None, {}, Rollout(cause=Cause.CREATED), id="no Deployment: create it, taking nothing over"
        ),
        pytest.param(
            deployed("sha256:old"),
            {},
            Rollout(cause=Cause.CHANGED, force=True),
            id="other sources: build and apply",
        ),
        pytest.param(
            deployed(None),
            {},
            Rollout(cause=Cause.CHANGED, force=True),
            id="a digest that somebody removed: apply",
        ),
        pytest.param(deployed("sha256:new"), {}, UpToDate(), id="the same sources: nothing"),
        pytest.param(
            deployed("sha256:new"),
            {"relocated": True},
            Rollout(cause=Cause.RELOCATED, force=True),
            id="another registry: build there",
        ),
        pytest.param(
            deployed("sha256:new"),
            {"changes": (CHANGE,)},
            Rollout(cause=Cause.DRIFTED, build=False, force=True, changes=(CHANGE,)),
            id="a field that somebody changed: put it right without a build",
        ),
        pytest.param(
            deployed("sha256:old"),
            {"changes": (CHANGE,), "relocated": True},
            Rollout(cause=Cause.CHANGED, force=True),
            id="other sources outweigh drift and registry",
        ),
        pytest.param(
            deployed("sha256:new"),
            {"lack": GONE},
            Rollout(cause=Cause.IMAGE_MISSING, force=True),
            id="pods wait for an image that is gone: build it again",
        ),
        pytest.param(
            deployed("sha256:new"),
            {"lack": GONE, "changes": (CHANGE,)},
            Rollout(cause=Cause.IMAGE_MISSING, force=True, changes=(CHANGE,)),
            id="a lost image outweighs drift, which is put right on the way",
        ),
        pytest.param(
            deployed("sha256:old"),
            {"lack": GONE},
            Rollout(cause=Cause.CHANGED, force=True),
            id="other sources outweigh a lost image",
        ),
        pytest.param(
            deployed("sha256:new"),
            {"lack": OUT_OF_REACH, "changes": (CHANGE,)},
            Rollout(cause=Cause.DRIFTED, build=False, force=True, changes=(CHANGE,)),
            id="drift outweighs an image out of reach, since it may be why",
        ),
        pytest.param(
            deployed("sha256:new"),
            {"lack": replace(OUT_OF_REACH, awaited=True)},
            UpToDate(),
            id="an image that has just been brought back: wait for the node",
        ),
        pytest.param(
            deployed("sha256:old", rolled_back_from="sha256:older"),
            {},
            Rollout(cause=Cause.CHANGED, force=True),
            id="saved since it was rolled back: build and apply",
        ),
        pytest.param(
            deployed("sha256:new", rolled_back_from="sha256:old"),
            {},
            Rollout(cause=Cause.RELEASED, build=False, force=True),
            id="what it was rolled back to is saved: end the hold without a build",
        ),
        pytest.param(
            deployed("sha256:new", rolled_back_from="sha256:new"),
            {},
            Rollout(cause=Cause.RELEASED, build=False, force=True),
            id="what is held away is deployed all the same: end the hold",
        ),
    ],
)
def test_a_valid_workflow(
    observed: ObservedDeployment | None, circumstances: dict[str, object], expected: Plan
):
    assert plan(snapshot(), observed, **circumstances) == expected  # type: ignore[arg-type]


def test_an_image_that_the_node_cannot_reach_is_held_and_looked_at_again():
    held = plan(snapshot(), deployed("sha256:new"), lack=OUT_OF_REACH)
    assert isinstance(held, Held)
    assert (held.reason, held.retry) == ("image-unreachable", True)
    assert "hello:1-0-abc" in held.message


@pytest.mark.parametrize("observed", [None, deployed("sha256:old")], ids=["new", "deployed"])
def test_an_invalid_workflow_is_never_applied(observed: ObservedDeployment | None):
    assert plan(snapshot(problems=(PROBLEM,)), observed, changes=(CHANGE,)) == Invalid(problems=(PROBLEM,))


def test_a_name_that_another_directory_has_is_held_and_names_the_directory():
    held = plan(snapshot(), deployed("sha256:old"), claimed_by=Path("/w/first"))
    assert isinstance(held, Held)
    assert held.reason == "duplicate-name"
    assert "/w/first" in held.message


@pytest.mark.parametrize(
    "circumstances",
    [{}, {"changes": (CHANGE,)}, {"relocated": True}],
    ids=["nothing else", "drift", "another registry"],
)
def test_what_was_rolled_back_from_is_held_whatever_else_differs(circumstances: dict[str, object]):
    held = plan(snapshot(), deployed("sha256:old", rolled_back_from="sha256:new"), **circumstances)  # type: ignore[arg-type]
    assert isinstance(held, Held)
    assert (held.reason, held.retry) == ("rolled-back", False)
    assert "sha256:old" in held.message
    assert "pdwatch rollback hello -n dev --release" in str(held.remedy)
