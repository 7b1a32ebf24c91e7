"""Which revision a rollback goes to, and what it applies."""

from __future__ import annotations

from typing import Any

import pytest

from pdwatch.core.manifests import deployment
from pdwatch.core.model import ImageRef, ObservedDeployment
from pdwatch.core.names import DIGEST_ANNOTATION, IMAGE_ANNOTATION, ROLLED_BACK_ANNOTATION
from pdwatch.core.observed import observed_deployment
from pdwatch.core.plan import is_rolled_back
from pdwatch.core.rollback import PastRevision, past_revisions, rollback_target, rolled_back
from pdwatch.errors import NotFoundError, RollbackError
from tests.world import spec_of

FIRST, SECOND, THIRD = ("sha256:" + digits * 32 for digits in ("1a", "1b", "3c"))


def image(digest: str) -> ImageRef:
    return ImageRef(repository="hello", tag=f"1-0-{digest[7:19]}")


def running(digest: str, *, rolled_back_from: str | None = None) -> ObservedDeployment:
    manifest = deployment(spec_of("hello"), digest=digest, image=image(digest), namespace="dev")
    manifest["metadata"] |= {"uid": "uid-1", "generation": 7}
    if rolled_back_from:
        manifest["metadata"]["annotations"][ROLLED_BACK_ANNOTATION] = rolled_back_from
    return observed_deployment(manifest)


def replica_set(number: int, digest: str | None, *, owner: str = "uid-1") -> dict[str, Any]:
    template = deployment(
        spec_of("hello"), digest=digest or "", image=image(digest or FIRST), namespace="dev"
    )["spec"]["template"]
    template["metadata"] |= {"creationTimestamp": None}
    template["metadata"]["labels"] |= {"pod-template-hash": f"hash-{number}"}
    if digest is None:
        del template["metadata"]["annotations"]
    return {
        "metadata": {
            "annotations": {"deployment.kubernetes.io/revision": str(number)},
            "ownerReferences": [{"kind": "Deployment", "uid": owner}],
        },
        "spec": {"template": template},
    }


REVISIONS = past_revisions(
    running(THIRD), [replica_set(2, FIRST), replica_set(10, THIRD), replica_set(3, SECOND)]
)


def test_revisions_are_the_deployments_own_newest_first_by_number_and_not_by_spelling():
    strangers = [replica_set(11, FIRST, owner="uid-0"), replica_set(12, None)]
    found = past_revisions(running(THIRD), [replica_set(9, FIRST), replica_set(10, THIRD), *strangers])
    assert [(each.number, each.source_digest) for each in found] == [(10, THIRD), (9, FIRST)]


@pytest.mark.parametrize(
    ("to", "number"),
    [
        pytest.param(None, 3, id="by itself: the one before"),
        pytest.param("2", 2, id="a number"),
        pytest.param(FIRST, 2, id="a digest"),
        pytest.param("1b1b", 3, id="the beginning of a digest"),
        pytest.param("sha256:1a1a1a", 2, id="the beginning of a digest, with its algorithm"),
    ],
)
def test_the_revision_that_is_meant(to: str | None, number: int):
    assert rollback_target(running(THIRD), REVISIONS, to=to).number == number


@pytest.mark.parametrize(
    "to",
    [
        pytest.param("10", id="the present one"),
        pytest.param("4", id="a number that is not remembered"),
        pytest.param("ffff", id="a digest that is not remembered"),
        pytest.param("1b1", id="too few digits to mean one"),
    ],
)
def test_a_revision_that_is_not_there_is_refused_with_those_that_are(to: str):
    with pytest.raises(NotFoundError) as refused:
        rollback_target(running(THIRD), REVISIONS, to=to)
    assert refused.value.remedy == "name one with --to: 3 (1b1b1b1b1b1b), 2 (1a1a1a1a1a1a)"


def test_digits_that_begin_two_digests_are_refused():
    twins = past_revisions(
        running(THIRD), [replica_set(1, "sha256:abcd" + "0" * 60), replica_set(2, "sha256:abcd" + "1" * 60)]
    )
    with pytest.raises(NotFoundError, match="more than one"):
        rollback_target(running(THIRD), twins, to="abcd")


def test_the_first_revision_has_nothing_before_it():
    with pytest.raises(NotFoundError, match="no earlier revision"):
        rollback_target(running(FIRST), past_revisions(running(FIRST), [replica_set(1, FIRST)]), to=None)


def test_what_is_held_already_goes_further_back_only_when_told_where_to():
    held = running(SECOND, rolled_back_from=THIRD)
    with pytest.raises(RollbackError) as refused:
        rollback_target(held, REVISIONS, to=None)
    assert "--to: 10 (3c3c3c3c3c3c), 2 (1a1a1a1a1a1a)" in str(refused.value.remedy)
    assert "--release" in str(refused.value.remedy)
    assert rollback_target(held, REVISIONS, to="2").number == 2


def target(digest: str) -> PastRevision:
    return next(each for each in REVISIONS if each.source_digest == digest)


def test_what_is_applied_is_the_earlier_pods_and_a_hold_away_from_what_is_saved():
    applied = rolled_back(running(THIRD), target(FIRST))
    assert applied["metadata"]["annotations"] == {
        DIGEST_ANNOTATION: FIRST,
        IMAGE_ANNOTATION: str(image(FIRST)),
        ROLLED_BACK_ANNOTATION: THIRD,
    }
    assert applied["metadata"]["uid"] == "uid-1"
    as_it_was = deployment(spec_of("hello"), digest=FIRST, image=image(FIRST), namespace="dev")
    assert applied["spec"] == as_it_was["spec"]
    observed = observed_deployment(applied)
    assert is_rolled_back(observed, THIRD)
    assert not is_rolled_back(observed, SECOND)


def test_further_back_the_hold_stays_away_from_what_is_saved_and_not_from_the_step_between():
    applied = rolled_back(running(SECOND, rolled_back_from=THIRD), target(FIRST))
    assert applied["metadata"]["annotations"][ROLLED_BACK_ANNOTATION] == THIRD


def test_forward_again_to_what_is_saved_there_is_no_hold():
    applied = rolled_back(running(FIRST, rolled_back_from=THIRD), target(THIRD))
    assert applied["metadata"]["annotations"] == {
        DIGEST_ANNOTATION: THIRD,
        IMAGE_ANNOTATION: str(image(THIRD)),
    }
