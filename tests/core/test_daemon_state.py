"""The answer to "is what I saved running?"."""

from __future__ import annotations

import pytest

from pdwatch.core.daemon_state import Answer, Readiness, Standing, answer

SAVED, OLD = "sha256:new", "sha256:old"


@pytest.mark.parametrize(
    ("standing", "running", "desired", "expected"),
    [
        pytest.param(Standing.READY, (SAVED,), 1, Answer.YES, id="it runs"),
        pytest.param(Standing.READY, (OLD, SAVED), 2, Answer.ROLLING_OUT, id="an old pod answers as well"),
        pytest.param(Standing.READY, (), 1, Answer.ROLLING_OUT, id="its pods have not been seen"),
        pytest.param(Standing.READY, (), 0, Answer.NO, id="no pod is wanted"),
        pytest.param(Standing.BUILDING, (OLD,), 1, Answer.BUILDING, id="it is built"),
        pytest.param(Standing.ROLLING_OUT, (OLD,), 1, Answer.ROLLING_OUT, id="it is rolled out"),
        pytest.param(Standing.CHECKING, (SAVED,), 1, Answer.CHECKING, id="it is not known yet"),
        pytest.param(Standing.INVALID, (OLD,), 1, Answer.NO, id="it is invalid"),
        pytest.param(Standing.HELD, (SAVED,), 1, Answer.NO, id="it is held"),
        pytest.param(Standing.FAILING, (OLD,), 1, Answer.NO, id="it fails"),
    ],
)
def test_what_is_saved_runs_only_when_it_is_all_that_runs(
    standing: Standing, running: tuple[str, ...], desired: int, expected: Answer
) -> None:
    assert answer(standing, saved=SAVED, running=running, desired=desired) is expected


@pytest.mark.parametrize(
    ("synced", "stale", "ready"),
    [(True, (), True), (False, (), False), (True, ("pods in dev",), False)],
    ids=["all is well", "before the first sync", "a watch has lost the server"],
)
def test_a_daemon_is_ready_once_it_is_synced_and_sees_everything(
    *, synced: bool, stale: tuple[str, ...], ready: bool
) -> None:
    assert Readiness(synced=synced, stale=stale).ready is ready
