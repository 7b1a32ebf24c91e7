"""The reconciler, one situation at a time, on virtual time and a world in memory."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.errors import (
    ApplyRejectedError,
    BuildFailedError,
    ClusterUnavailableError,
    NamespaceMissingError,
    SourceChangedError,
)
from pdwatch.logs import Event
from tests.world import BUILD_S, SCAN_S, WATCH_LAG_S, FakeWorld, LoopUnderTest, digest_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.looptime

ALPHA, BETA = Path("/workflows/alpha"), Path("/workflows/beta")
LONG_S = 300


@asynccontextmanager
async def running(world: FakeWorld) -> AsyncIterator[LoopUnderTest]:
    daemon = LoopUnderTest(world)
    try:
        yield daemon
    finally:
        await daemon.kill()


@asynccontextmanager
async def at_rest(world: FakeWorld, text: str = "one") -> AsyncIterator[LoopUnderTest]:
    """Run a daemon that has rolled out ``text`` as the workflow alpha."""
    world.disk.save(ALPHA, text)
    async with running(world) as daemon:
        await asyncio.sleep(LONG_S)
        world.log.lines.clear()
        yield daemon


def events(world: FakeWorld) -> list[str]:
    return [line["event"] for line in world.log.lines if line["event"] != "workflow.unchanged"]


async def test_a_touch_in_the_middle_of_a_build_lets_the_build_go_on():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.disk.save(ALPHA, "two")
        daemon.saved(ALPHA)
        await asyncio.sleep(BUILD_S / 2)
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
    assert world.docker.builds == 2
    assert "workflow.superseded" not in events(world)


async def test_a_save_that_another_look_finds_before_its_event_counts_from_that_event():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.disk.save(ALPHA, "two")
        daemon.queue.add(ALPHA, cause="retry")
        await asyncio.sleep(BUILD_S / 2)
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
        daemon.saved(ALPHA)  # a touch is no save of what runs
        await asyncio.sleep(LONG_S)
    (applied,) = world.log.named(Event.DEPLOY_APPLIED)
    (complete,) = world.log.named(Event.ROLLOUT_COMPLETE)
    assert 0 < applied["since_save_ms"] <= complete["since_save_ms"]


async def test_a_save_in_the_middle_of_a_build_ends_that_build():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.disk.save(ALPHA, "two")
        daemon.saved(ALPHA)
        await asyncio.sleep(BUILD_S / 2)
        world.disk.save(ALPHA, "three")
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
    assert world.docker.builds == 2, "the build of two was never finished"
    assert [digest for _, digest in world.cluster.applied] == [digest_of("one"), digest_of("three")]
    (superseded,) = world.log.named(Event.WORKFLOW_SUPERSEDED)
    assert superseded["source_digest"] == digest_of("two")
    assert superseded["superseded_by"] == digest_of("three")
    assert superseded["stage"] == "build"


async def test_a_save_in_the_middle_of_an_apply_waits_until_it_has_landed():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.disk.save(ALPHA, "two")
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
        world.cluster.apply_s = 5
        world.disk.save(ALPHA, "three")
        daemon.saved(ALPHA)
        await asyncio.sleep(BUILD_S + 1)
        world.cluster.apply_s = 0.1
        world.disk.save(ALPHA, "two")  # its image is there: it could be applied at once
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
    assert [digest for _, digest in world.cluster.applied[1:]] == [
        digest_of("two"),
        digest_of("three"),
        digest_of("two"),
    ]


async def test_a_look_right_after_an_apply_does_not_apply_again_though_the_watch_lags():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.disk.save(ALPHA, "two")
        daemon.saved(ALPHA)
        await asyncio.sleep(SCAN_S + BUILD_S + 2 * world.cluster.apply_s + WATCH_LAG_S / 4)
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
    assert len(world.cluster.applied) == 2


async def test_a_deployment_deleted_before_its_apply_is_answered_comes_back():
    world = FakeWorld()
    world.cluster.apply_s = 4
    world.disk.save(ALPHA, "one")
    async with running(world):
        await asyncio.sleep(SCAN_S + BUILD_S + 4 + 3)
        assert world.cluster.digest("alpha") == digest_of("one")
        assert not world.log.named(Event.DEPLOY_APPLIED), "the answer is under way"
        world.cluster.delete("alpha")
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("one")


async def test_a_service_that_could_not_be_applied_is_applied_in_the_end():
    world = FakeWorld()
    world.cluster.refuses["Service"] = [ClusterUnavailableError("not now")]
    world.disk.save(ALPHA, "one")
    async with running(world):
        await asyncio.sleep(LONG_S)
    assert world.cluster.services == {"alpha"}
    assert world.cluster.digest("alpha") == digest_of("one")


async def test_a_daemon_killed_between_two_applies_leaves_nothing_out_when_it_starts_again():
    world = FakeWorld()
    world.cluster.apply_s = 4
    world.disk.save(ALPHA, "one")
    async with running(world):
        await asyncio.sleep(SCAN_S + BUILD_S + 3)
    async with running(world):
        await asyncio.sleep(LONG_S)
    assert world.cluster.services == {"alpha"}
    assert world.cluster.digest("alpha") == digest_of("one")


async def test_what_is_told_of_a_superseded_apply_is_told_under_its_own_digest():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.cluster.apply_s = 2
        world.disk.save(ALPHA, "two")
        daemon.saved(ALPHA)
        await asyncio.sleep(BUILD_S + 1)
        world.disk.save(ALPHA, "three")
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
    told = [(line["source_digest"], line["generation"]) for line in world.log.named(Event.DEPLOY_APPLIED)]
    assert told == [(digest_of("two"), 2), (digest_of("three"), 3)]
    complete = world.log.named(Event.ROLLOUT_COMPLETE)
    assert [line["source_digest"] for line in complete] == [digest_of("two"), digest_of("three")]
    assert complete[0].get("since_save_ms") is None, "the newer save did not make the older rollout"


async def test_a_rollout_is_timed_once_and_not_again_when_lost_pods_come_back():
    world = FakeWorld()
    world.disk.save(ALPHA, "one")
    async with running(world):
        await asyncio.sleep(LONG_S)
        world.cluster.lose_pods("alpha")
        await asyncio.sleep(1)
    assert world.log.named(Event.ROLLOUT_DEGRADED)
    rolled_out, recovered = world.log.named(Event.ROLLOUT_COMPLETE)
    assert rolled_out["rollout_ms"] < 1000
    assert "rollout_ms" not in recovered


async def test_each_problem_of_an_invalid_save_is_told_once_and_what_runs_is_left_alone():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.disk.save(ALPHA, "!broken")
        for _ in range(3):
            daemon.saved(ALPHA)
            await asyncio.sleep(LONG_S)
    assert events(world) == ["workflow.changed", "workflow.invalid"]
    assert world.cluster.digest("alpha") == digest_of("one")


async def test_a_hold_is_told_once_and_ends_by_itself_when_its_reason_does():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.cluster.gvisor = False
        world.disk.save(ALPHA, "two")
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
        assert events(world) == ["workflow.changed", "workflow.held"]
        assert world.cluster.digest("alpha") == digest_of("one")
        world.cluster.gvisor = True
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("two")


async def test_two_directories_with_one_name_the_second_is_held_until_the_first_goes():
    world = FakeWorld()
    twin = Path("/elsewhere/alpha")
    async with at_rest(world) as daemon:
        world.disk.save(twin, "two")
        daemon.saved(twin)
        await asyncio.sleep(LONG_S)
        (held,) = world.log.named(Event.WORKFLOW_HELD)
        assert held["reason"] == "duplicate-name"
        assert str(ALPHA) in held["message"]
        del world.disk.texts[ALPHA]
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("two")


async def test_of_two_directories_with_one_name_the_first_has_it_after_a_restart_too():
    world = FakeWorld()
    async with at_rest(world):
        pass
    twin = Path("/workflows/z-copy/alpha")
    world.disk.save(twin, "copy")
    world.disk.large = {ALPHA}
    async with running(world):
        await asyncio.sleep(LONG_S)
    assert [line["event"] for line in world.log.lines if line["event"].startswith(("deploy", "build"))] == []
    (held,) = world.log.named(Event.WORKFLOW_HELD)
    assert str(ALPHA) in held["message"]


async def test_a_first_directory_that_cannot_be_read_does_not_keep_the_second_waiting():
    world = FakeWorld()
    world.disk.save(BETA, "!broken")
    world.disk.save(ALPHA, "one")
    async with running(world):
        await asyncio.sleep(BUILD_S + 1)
    assert world.cluster.digest("alpha") == digest_of("one")


async def test_a_failure_that_can_heal_is_tried_again_at_growing_intervals_up_to_thirty_seconds():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.docker.down = True
        world.disk.save(ALPHA, "two")
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
        delays = [line["retry_in_s"] for line in world.log.named(Event.BUILD_FAILED)]
        assert delays[0] < 1
        assert max(delays) <= 30
        assert len(delays) >= 8
        world.docker.down = False
        await asyncio.sleep(31)
    assert world.cluster.digest("alpha") == digest_of("two")


async def test_one_workflow_whose_build_fails_does_not_delay_another():
    world = FakeWorld()
    world.disk.save(BETA, "one")
    world.docker.faults["alpha"] = [BuildFailedError("step 3 failed", step="COPY", output=["no such file"])]
    world.disk.save(ALPHA, "one")
    async with running(world):
        await asyncio.sleep(LONG_S)
    (failed,) = world.log.named(Event.BUILD_FAILED)
    assert (failed["step"], failed["output"]) == ("COPY", "no such file")
    assert "retry_in_s" not in failed, "only another save can help"
    assert world.cluster.digest("beta") == digest_of("one")


async def test_what_only_another_save_can_help_is_not_tried_again_at_a_routine_look():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.docker.faults["alpha"] = [BuildFailedError("step 3 failed"), BuildFailedError("step 3 failed")]
        world.disk.save(ALPHA, "two")
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
        for _ in range(3):
            daemon.queue.refresh(ALPHA, cause="resync")
            await asyncio.sleep(30)
        assert len(world.log.named(Event.BUILD_FAILED)) == 1
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
        assert len(world.log.named(Event.BUILD_FAILED)) == 2, "a touch asks for another attempt"
        world.disk.save(ALPHA, "three")
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("three")


async def test_a_deployment_deleted_while_its_apply_is_rejected_is_made_anew():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.cluster.refuses["Deployment"] = [ApplyRejectedError("spec.selector: field is immutable")]
        world.cluster.apply_s = 4
        world.disk.save(ALPHA, "two")
        daemon.saved(ALPHA)
        await asyncio.sleep(SCAN_S + BUILD_S + 1)
        world.cluster.delete("alpha")
        await asyncio.sleep(LONG_S)
    assert len(world.log.named(Event.DEPLOY_FAILED)) == 1
    assert world.cluster.digest("alpha") == digest_of("two")


async def test_whoever_undoes_what_was_applied_again_and_again_is_answered_less_and_less_often():
    world = FakeWorld()
    async with at_rest(world):
        applied_before = len(world.cluster.applied)
        for _ in range(1200):
            if world.cluster.deployments["alpha"]["spec"]["replicas"] == 1:
                world.cluster.scale("alpha", 2)
            await asyncio.sleep(0.1)
        answers = len(world.cluster.applied) - applied_before
        assert 5 <= answers <= 12
        await asyncio.sleep(LONG_S)
        assert world.cluster.deployments["alpha"]["spec"]["replicas"] == 1
        world.cluster.scale("alpha", 2)
        await asyncio.sleep(2)
        assert world.cluster.deployments["alpha"]["spec"]["replicas"] == 1, "a quarrel is forgotten"


async def test_a_file_that_changes_while_it_is_shipped_makes_another_scan_and_no_error():
    world = FakeWorld()
    world.docker.faults["alpha"] = [SourceChangedError("nodes/a.ts changed while it was read")]
    world.disk.save(ALPHA, "one")
    async with running(world):
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("one")
    assert not world.log.named(Event.BUILD_FAILED)


async def test_files_that_change_during_a_scan_are_scanned_again_and_count_as_the_save_that_they_are():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.disk.unsettled = True
        world.disk.save(ALPHA, "two")
        daemon.saved(ALPHA)
        await asyncio.sleep(5)
        world.disk.unsettled = False
        await asyncio.sleep(LONG_S)
    assert not world.log.named(Event.RECONCILE_FAILED)
    (complete,) = world.log.named(Event.ROLLOUT_COMPLETE)
    assert complete["source_digest"] == digest_of("two")
    assert complete["since_save_ms"] >= 5000


async def test_files_that_never_stop_changing_are_reported_now_and_then():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.disk.unsettled = True
        for _ in range(1000):
            await asyncio.sleep(0.1)
            daemon.saved(ALPHA)
    failed = world.log.named(Event.RECONCILE_FAILED)
    assert {line["error"] for line in failed} == {"SourceChangedError"}
    assert 2 <= len(failed) <= 4


async def test_a_defect_is_logged_with_its_traceback_and_the_other_workflows_go_on():
    world = FakeWorld()
    world.docker.faults["alpha"] = [LookupError("a defect")]
    world.disk.save(ALPHA, "one")
    world.disk.save(BETA, "one")
    async with running(world):
        await asyncio.sleep(LONG_S)
    failed = world.log.named(Event.RECONCILE_FAILED)[0]
    assert isinstance(failed["exc_info"], LookupError)
    assert world.cluster.digest("beta") == digest_of("one")


async def test_a_renamed_workflow_leaves_the_old_name_reported_and_running():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        del world.disk.texts[ALPHA]
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
    (removed,) = world.log.named(Event.WORKFLOW_REMOVED)
    assert removed["directory"] == str(ALPHA)
    assert world.cluster.digest("alpha") == digest_of("one")


async def test_a_late_event_about_a_workflow_that_is_gone_tells_of_it_no_second_time():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        del world.disk.texts[ALPHA]
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
        daemon.queue.add(ALPHA, cause="removed")
        await asyncio.sleep(LONG_S)
    assert len(world.log.named(Event.WORKFLOW_REMOVED)) == 1


async def test_an_image_is_told_of_once_though_its_deployment_is_tried_again_and_again():
    world = FakeWorld()
    world.cluster.refuses["Deployment"] = [NamespaceMissingError("there is no such namespace")] * 3
    world.disk.save(ALPHA, "one")
    async with running(world):
        await asyncio.sleep(LONG_S)
    assert len(world.log.named(Event.DEPLOY_FAILED)) == 3
    assert len(world.log.named(Event.BUILD_SUCCEEDED)) == 1
    assert world.cluster.digest("alpha") == digest_of("one")


async def test_a_namespace_that_cannot_be_listed_holds_its_workflow_which_says_so_once():
    world = FakeWorld()
    world.disk.save(ALPHA, "one")
    async with running(world):
        world.cluster.listed.clear()
        await asyncio.sleep(LONG_S)
        (held,) = world.log.named(Event.WORKFLOW_HELD)
        assert held["reason"] == "not-listed"
        assert not world.log.named(Event.BUILD_STARTED)
        world.cluster.listed.set()
        await asyncio.sleep(BUILD_S + 1)
    assert world.cluster.digest("alpha") == digest_of("one")
