"""Going back to what a Deployment ran before, as ``kubectl rollout undo`` does, and holding it there.

docs/adr/0017-rollback.md says why the hold is an annotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdwatch.core.names import (
    DIGEST_ANNOTATION,
    IMAGE_ANNOTATION,
    MANAGED_BY_LABEL,
    NAME_LABEL,
    ROLLED_BACK_ANNOTATION,
    VERSION_LABEL,
)
from pdwatch.errors import NotFoundError, RollbackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pdwatch.core.model import Manifest, ObservedDeployment

_REVISION = "deployment.kubernetes.io/revision"
_TEMPLATE_HASH = "pod-template-hash"
_OWNED_FIELDS = ("replicas", "selector", "strategy", "progressDeadlineSeconds", "revisionHistoryLimit")
"""What pdwatch sets in a Deployment's spec beside the template."""
_FEWEST_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRevision:
    """A ReplicaSet of a workflow: Kubernetes' number for it, and what its pods run."""

    number: int
    source_digest: str
    image: str
    template: Manifest

    def __str__(self) -> str:
        return f"{self.number} ({self.source_digest.removeprefix('sha256:')[:12]})"


def past_revisions(
    deployment: ObservedDeployment, replica_sets: Iterable[Manifest]
) -> tuple[PastRevision, ...]:
    """Return the revisions of a Deployment that its ReplicaSets remember, newest first.

    ReplicaSets of another owner, and those that pdwatch's digest is not on, are none.
    """
    found = (_revision(each) for each in replica_sets if _owned_by(each, deployment.uid))
    return tuple(sorted(filter(None, found), key=lambda each: each.number, reverse=True))


def rollback_target(
    deployment: ObservedDeployment, revisions: Sequence[PastRevision], *, to: str | None
) -> PastRevision:
    """Choose the revision to go back to.

    Args:
        deployment: As it is now.
        revisions: See :func:`past_revisions`.
        to: A revision's number or the beginning of its digest; None is the one before the present one.

    Raises:
        RollbackError: ``to`` is None, and it has been rolled back already: which one is meant can't be told.
        NotFoundError: There is no such revision, or nothing to go back to.
    """
    others = [each for each in revisions if each.source_digest != deployment.source_digest]
    known = ", ".join(map(str, others))
    where = f"{deployment.name} in namespace {deployment.namespace}"
    if to is not None:
        matching = [each for each in others if _is_meant(each, to)]
        if len({each.source_digest for each in matching}) == 1:
            return matching[0]
        what = f"{to!r} fits more than one" if matching else f"there is no other revision {to!r}"
        raise NotFoundError(f"{where}: {what}", remedy=_choose(known))
    if deployment.rolled_back_from is not None:
        release = f"pdwatch rollback {deployment.name} -n {deployment.namespace} --release"
        raise RollbackError(f"{where} is rolled back already", remedy=_choose(known, release=release))
    if not others:
        raise NotFoundError(
            f"{where} has no earlier revision to go back to",
            remedy="the cluster remembers the last few saves that were rolled out since it was created",
        )
    return others[0]


def rolled_back(deployment: ObservedDeployment, target: PastRevision) -> Manifest:
    """Return what to apply: the Deployment with the earlier pod template, and the hold on it.

    There is no hold when the target is what was rolled back from: that is how it was before. The UID makes
    the API server refuse it for another Deployment of that name.
    """
    metadata, spec = deployment.manifest["metadata"], deployment.manifest["spec"]
    held_from = deployment.rolled_back_from or deployment.source_digest
    hold = {} if held_from == target.source_digest else {ROLLED_BACK_ANNOTATION: held_from}
    labels = target.template["metadata"]["labels"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": deployment.uid,
            "labels": {
                key: labels[key] for key in (NAME_LABEL, MANAGED_BY_LABEL, VERSION_LABEL) if key in labels
            },
            "annotations": {
                DIGEST_ANNOTATION: target.source_digest,
                IMAGE_ANNOTATION: target.image,
                **hold,
            },
        },
        "spec": {
            **{field: spec[field] for field in _OWNED_FIELDS if field in spec},
            "template": target.template,
        },
    }


def _revision(replica_set: Manifest) -> PastRevision | None:
    template = replica_set["spec"]["template"]
    number = (replica_set["metadata"].get("annotations") or {}).get(_REVISION, "")
    digest = (template["metadata"].get("annotations") or {}).get(DIGEST_ANNOTATION)
    if digest is None or not number.isdecimal():
        return None
    labels = template["metadata"].get("labels") or {}
    metadata = {
        "labels": {key: value for key, value in labels.items() if key != _TEMPLATE_HASH},
        "annotations": template["metadata"]["annotations"],
    }
    return PastRevision(
        number=int(number),
        source_digest=digest,
        image=template["spec"]["containers"][0]["image"],
        template={"metadata": metadata, "spec": template["spec"]},
    )


def _owned_by(replica_set: Manifest, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in replica_set["metadata"].get("ownerReferences") or ())


def _is_meant(revision: PastRevision, text: str) -> bool:
    digits = text.removeprefix("sha256:")
    if text == str(revision.number):
        return True
    return len(digits) >= _FEWEST_DIGITS and revision.source_digest.removeprefix("sha256:").startswith(digits)


def _choose(known: str, *, release: str | None = None) -> str:
    choice = f"name one with --to: {known}" if known else "no other revision is remembered"
    return f"{choice}; or end the hold: `{release}`" if release else choice
