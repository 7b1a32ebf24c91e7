"""Promises 1 to 6 of the design, held against random histories on virtual time."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import looptime
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pdwatch.building import BUILDS
from pdwatch.errors import ClusterUnavailableError
from tests.rollback import held_from, roll_back
from tests.world import FakeWorld, LoopUnderTest, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

ROOTS = [Path("/workflows") / name for name in ("alpha", "beta", "gamma")]
AT_REST_S = 300
"""Long enough for every backoff, build and apply of three workflows to have ended."""

roots = st.sampled_from(ROOTS)
texts = st.sampled_from(["one", "two", "three", "!broken", "!broken otherwise"])
pauses = st.sampled_from([0.0, 0.005, 0.05, 0.5, 0.9, 1.05, 1.15, 2.0, 40.0])


class Histories(RuleBasedStateMachine):
    """Saves, faults, meddling and restarts in any order."""

    @initialize(undeploys_removed=st.booleans(), together=st.sampled_from([1, 3]))
    def begin(self, *, undeploys_removed: bool, together: int) -> None:
        self.loop = looptime.new_event_loop(_enabled=True)
        self.world = FakeWorld(undeploys_removed=undeploys_removed)
        self.world.docker.builds_per_turn = together
        self.deleted: set[str] = set()
        self.daemon: LoopUnderTest = self.on_loop(lambda: LoopUnderTest(self.world))

    def on_loop(self, call: Callable[[], Any], *, then_s: float = 0.0) -> Any:
        async def go() -> Any:
            result = call()
            await asyncio.sleep(then_s)
            return result

        return self.loop.run_until_complete(go())

    @rule(root=roots, text=texts, pause=pauses)
    def save(self, root: Path, text: str, pause: float) -> None:
        def act() -> None:
            self.world.disk.save(root, text)
            self.daemon.saved(root)

        self.on_loop(act, then_s=pause)

    @rule(root=roots, burst=st.lists(texts, min_size=2, max_size=50), pause=pauses)
    def save_again_and_again(self, root: Path, burst: list[str], pause: float) -> None:
        for text in burst:
            self.save(root, text, 0.02)
        self.on_loop(lambda: None, then_s=pause)

    @rule(root=roots, pause=pauses)
    def touch(self, root: Path, pause: float) -> None:
        if root in self.world.disk.texts:
            self.on_loop(lambda: self.daemon.saved(root), then_s=pause)

    @rule(down=st.booleans(), pause=pauses)
    def docker_fails_or_heals(self, *, down: bool, pause: float) -> None:
        self.world.docker.down = down
        self.on_loop(lambda: None, then_s=pause)

    @rule(down=st.booleans(), pause=pauses)
    def api_server_fails_or_heals(self, *, down: bool, pause: float) -> None:
        self.world.cluster.down = down
        self.on_loop(lambda: None, then_s=pause)

    @rule(apply_s=st.sampled_from([0.05, 0.2, 3.0]))
    def api_server_takes_its_time(self, apply_s: float) -> None:
        self.world.cluster.apply_s = apply_s

    @rule()
    def api_server_refuses_the_next_service(self) -> None:
        self.world.cluster.refuses["Service"] = [ClusterUnavailableError("not now")]

    @rule(pause=pauses)
    def everything_is_looked_at_as_a_matter_of_routine(self, pause: float) -> None:
        def act() -> None:
            for root in self.world.disk.texts:
                self.daemon.queue.refresh(root, cause="resync")

        self.on_loop(act, then_s=pause)

    @rule(there=st.booleans(), pause=pauses)
    def gvisor_comes_or_goes(self, *, there: bool, pause: float) -> None:
        self.world.cluster.gvisor = there
        self.on_loop(lambda: None, then_s=pause)

    @rule(root=roots, pause=pauses)
    def somebody_deletes_the_deployment(self, root: Path, pause: float) -> None:
        self.deleted.add(root.name)
        self.on_loop(lambda: self.world.cluster.delete(root.name), then_s=pause)

    @rule(root=roots, replicas=st.integers(0, 3), pause=pauses)
    def somebody_scales_the_deployment(self, root: Path, replicas: int, pause: float) -> None:
        self.on_loop(lambda: self.world.cluster.scale(root.name, replicas), then_s=pause)

    @rule(root=roots, pause=pauses)
    def somebody_rolls_back(self, root: Path, pause: float) -> None:
        self.on_loop(lambda: roll_back(self.world.cluster, root.name), then_s=pause)

    @rule(root=roots, pause=pauses)
    def the_directory_goes(self, root: Path, pause: float) -> None:
        def act() -> None:
            if self.world.disk.texts.pop(root, None) is not None:
                self.daemon.queue.add(root, cause="removed")

        self.on_loop(act, then_s=pause)

    @rule(pause=pauses)
    def the_daemon_is_killed_and_started_again(self, pause: float) -> None:
        self.loop.run_until_complete(self.daemon.kill())
        self.daemon = self.on_loop(lambda: LoopUnderTest(self.world), then_s=pause)

    @invariant()
    def one_pipeline_a_workflow_at_a_time(self) -> None:
        if hasattr(self, "world"):
            assert all(most <= 1 for most in self.world.docker.most_at_once.values())

    @invariant()
    def no_more_builds_than_there_are_slots(self) -> None:
        if hasattr(self, "world"):
            assert self.world.docker.most_in_all <= BUILDS * self.world.docker.builds_per_turn

    @invariant()
    def an_older_save_is_never_applied_after_a_newer_one(self) -> None:
        """The applied digests of a workflow are a walk forward through its saves."""
        if not hasattr(self, "world"):
            return
        for root in ROOTS:
            saves = iter([digest for name, digest in self.world.disk.history if name == root.name])
            current = None
            for name, digest in self.world.cluster.applied:
                if name == root.name and digest != current:
                    current = digest
                    assert digest in saves, f"{root.name} was applied out of order"

    @rule()
    def at_rest_the_last_valid_save_runs_and_nothing_more_is_done(self) -> None:
        self.world.docker.down = self.world.cluster.down = False
        self.world.cluster.gvisor = True
        self.on_loop(lambda: None, then_s=AT_REST_S)
        if not self.world.undeploys_removed:
            applied = {name for name, _ in self.world.cluster.applied}
            assert applied - self.deleted <= self.world.cluster.deployments.keys()
        for root, text in self.world.disk.texts.items():
            deployed = self.world.cluster.deployments.get(root.name)
            if not text.startswith("!") and held_from(self.world.cluster, root.name) != digest_of(text):
                assert self.world.cluster.digest(root.name) == digest_of(text)
                assert root.name in self.world.cluster.services
                assert deployed is not None
                assert deployed["spec"]["replicas"] == 1

        before = (self.world.docker.builds, len(self.world.cluster.applied))
        for root in self.world.disk.texts:
            self.on_loop(partial(self.daemon.saved, root))
        self.on_loop(lambda: None, then_s=AT_REST_S)
        assert (self.world.docker.builds, len(self.world.cluster.applied)) == before

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.at_rest_the_last_valid_save_runs_and_nothing_more_is_done()
            done = (self.world.docker.builds, len(self.world.cluster.applied))
            told = len(self.world.log.lines)
            self.the_daemon_is_killed_and_started_again(AT_REST_S)
            assert (self.world.docker.builds, len(self.world.cluster.applied)) == done
            lines = self.world.log.lines[told:]
            complete = {line["workflow"] for line in lines if line["event"] == "rollout.complete"}
            valid = {root.name for root, text in self.world.disk.texts.items() if not text.startswith("!")}
            assert valid <= complete
            assert not [line for line in self.world.log.lines if line.get("exc_info")]
        finally:
            self.loop.run_until_complete(self.daemon.kill())
            self.loop.close()


Histories.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestHistories = Histories.TestCase
