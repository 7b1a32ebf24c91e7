"""Which targets are open, and what becomes of those that can't be, on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.core.model import Place, ViewChange
from pdwatch.errors import ProgramMissingError, SettingsError, TargetUnavailableError
from pdwatch.heartbeats import Heartbeats
from pdwatch.logs import Event
from pdwatch.settings import RootSettings, Settings
from pdwatch.sites import RETRY_S, Sites, Surroundings
from pdwatch.targets import Target
from pdwatch.tracked import TrackedWorkflows
from tests.recording_log import RecordingLog
from tests.world import Disk, Docker, FakeCluster, NoPodLogs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from pdwatch.core.model import TargetName
    from pdwatch.errors import PdwatchError
    from pdwatch.tracked import TrackedWorkflow

pytestmark = pytest.mark.looptime

LOCAL = Settings(roots=(RootSettings(path=Path("/a"), target="local"),))
CLUSTER = Settings(roots=(RootSettings(path=Path("/b")),))
BOTH = Settings(roots=(*LOCAL.roots, *CLUSTER.roots))
OPENING_S = 1.0
NO_KUBECONFIG = SettingsError("there is no kubeconfig", remedy="set KUBECONFIG")
NO_DENO = ProgramMissingError("there is no deno")


@dataclass(slots=True)
class World:
    """Targets that open unless they are missing, and what becomes of them."""

    missing: dict[TargetName, PdwatchError] = field(default_factory=dict)
    opening_s: dict[TargetName, float] = field(default_factory=dict)
    opened: list[tuple[TargetName, str | None]] = field(default_factory=list)
    """Every attempt, with the settings' context."""
    closed: list[TargetName] = field(default_factory=list)
    running: set[TargetName] = field(default_factory=set)
    notify: dict[TargetName, Callable[[ViewChange], None]] = field(default_factory=dict)
    log: RecordingLog = field(default_factory=RecordingLog)
    tracked: TrackedWorkflows = field(default_factory=TrackedWorkflows)
    requeued: list[tuple[str, str]] = field(default_factory=list)

    @asynccontextmanager
    async def open_target(
        self, name: TargetName, settings: Settings, /, *, notify: Callable[[ViewChange], None], **_: Any
    ) -> AsyncIterator[Target]:
        self.opened.append((name, settings.context))
        self.notify[name] = notify
        await asyncio.sleep(self.opening_s.get(name, OPENING_S))
        if name in self.missing:
            raise self.missing[name]

        async def run() -> None:
            self.running.add(name)
            try:
                await asyncio.Event().wait()
            finally:
                self.running.remove(name)

        cluster, docker = FakeCluster(), Docker()
        yield Target(
            name=name,
            builder=docker,
            publisher=docker,
            cluster=cluster,
            view=cluster,
            pod_logs=NoPodLogs(),
            namespace=name,
            secrets=False,
            run=run,
        )
        self.closed.append(name)

    def requeue(self, workflow: TrackedWorkflow, cause: str) -> None:
        self.requeued.append((workflow.root.name, cause))

    @asynccontextmanager
    async def sites(self, settings: Settings) -> AsyncIterator[Sites]:
        """Start sites and follow them."""
        disk = Disk()
        surroundings = Surroundings(
            tracked=self.tracked,
            reader=disk,
            ground=disk,
            roots=[],
            heartbeats=Heartbeats(),
            log=self.log,
            clock=asyncio.get_running_loop().time,
            requeue=self.requeue,
        )
        async with AsyncExitStack() as stack:
            sites = Sites(settings, surroundings, self.open_target, stack=stack)
            await sites.start()
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self._follow(sites))
                await asyncio.sleep(OPENING_S + 0.1)
                yield sites
                task.cancel()

    @staticmethod
    async def _follow(sites: Sites) -> None:
        async with asyncio.TaskGroup() as group:
            sites.follow(group)
            await asyncio.Event().wait()

    def attempts(self, name: TargetName) -> int:
        return [each for each, _ in self.opened].count(name)


@pytest.mark.parametrize(
    ("settings", "targets"),
    [
        pytest.param(LOCAL, {"local"}, id="this machine alone"),
        pytest.param(CLUSTER, {"kubernetes"}, id="the cluster alone"),
        pytest.param(BOTH, {"local", "kubernetes"}, id="both"),
    ],
)
async def test_what_some_root_goes_to_is_opened_followed_and_closed_at_the_end(
    settings: Settings, targets: set[str]
):
    world = World()
    async with world.sites(settings) as sites:
        assert sites.opened == world.running == targets
        assert world.closed == []
    assert set(world.closed) == targets


@pytest.mark.parametrize(
    ("settings", "missing", "error"),
    [
        pytest.param(CLUSTER, {"kubernetes": NO_KUBECONFIG}, NO_KUBECONFIG, id="the only one"),
        pytest.param(LOCAL, {"local": NO_DENO}, NO_DENO, id="the other only one"),
        pytest.param(BOTH, {"local": NO_DENO, "kubernetes": NO_KUBECONFIG}, NO_KUBECONFIG, id="both"),
    ],
)
async def test_if_none_can_be_opened_it_ends_with_the_reason_as_it_is(
    settings: Settings, missing: Mapping[TargetName, PdwatchError], error: PdwatchError
):
    world = World(missing=dict(missing))
    with pytest.raises(type(error)) as raised:
        async with world.sites(settings):
            pass
    assert raised.value is error
    assert world.log.lines == []


async def test_one_that_cannot_be_opened_is_told_once_an_attempt_and_heals_by_itself():
    world = World(missing={"kubernetes": NO_KUBECONFIG})
    async with world.sites(BOTH) as sites:
        assert sites.opened == {"local"}
        (told,) = world.log.named(Event.TARGET_UNAVAILABLE)
        assert told["target"] == "kubernetes"
        assert told["message"] == "target kubernetes can't be used: there is no kubeconfig"
        assert told["remedy"] == "set KUBECONFIG"
        for _ in range(3):
            with pytest.raises(TargetUnavailableError, match="there is no kubeconfig"):
                await sites.target("kubernetes")
        assert world.attempts("kubernetes") == 1, "however many workflows would go there"
        await asyncio.sleep(RETRY_S)
        both = await asyncio.gather(*(sites.target("kubernetes") for _ in "ab"), return_exceptions=True)
        assert [type(each) for each in both] == [TargetUnavailableError] * 2
        assert world.attempts("kubernetes") == 2
        assert len(world.log.named(Event.TARGET_UNAVAILABLE)) == 2
        await asyncio.sleep(RETRY_S)
        del world.missing["kubernetes"]
        assert (await sites.target("kubernetes")).name == "kubernetes"
        await asyncio.sleep(0.1)
        assert world.running == {"local", "kubernetes"}
    assert [line["target"] for line in world.log.named(Event.TARGET_RECOVERED)] == ["kubernetes"]


async def test_one_that_takes_long_to_be_opened_holds_up_nobody_who_goes_to_the_other():
    world = World(missing={"kubernetes": NO_KUBECONFIG})
    async with world.sites(BOTH) as sites:
        await asyncio.sleep(RETRY_S)
        attempt = asyncio.create_task(sites.target("kubernetes"))
        await asyncio.sleep(0.5)
        await sites.target("local")
        assert not attempt.done()
        with pytest.raises(TargetUnavailableError):
            await attempt


async def test_at_the_start_too_one_that_takes_long_holds_up_only_its_own():
    world = World(opening_s={"kubernetes": 60})
    async with world.sites(BOTH) as sites:
        assert sites.opened == world.running == {"local"}
        await sites.target("kubernetes")
        assert sites.opened == {"local", "kubernetes"}
    assert world.attempts("kubernetes") == 1


async def test_what_no_root_goes_to_any_more_is_missed_no_more():
    world = World(missing={"kubernetes": NO_KUBECONFIG})
    async with world.sites(BOTH) as sites:
        await asyncio.sleep(RETRY_S)
        late = asyncio.create_task(sites.target("kubernetes"))
        await asyncio.sleep(0.5)
        sites.take(LOCAL)
        with pytest.raises(TargetUnavailableError):
            await late
    assert [line["event"] for line in world.log.lines] == ["target.unavailable", "target.recovered"]


async def reload(sites: Sites, settings: Settings) -> None:
    await sites.require(settings)
    sites.take(settings)
    await asyncio.sleep(OPENING_S)


async def test_a_reload_opens_what_it_newly_needs_by_its_own_settings():
    world = World()
    async with world.sites(LOCAL) as sites:
        await reload(sites, BOTH.model_copy(update={"context": "kind-dev"}))
        assert world.opened == [("local", None), ("kubernetes", "kind-dev")]
        assert sites.opened == world.running == {"local", "kubernetes"}
        assert world.closed == []


async def test_what_no_root_goes_to_any_more_is_closed_and_opened_again_for_the_next_one():
    world = World()
    async with world.sites(BOTH) as sites:
        await reload(sites, CLUSTER)
        assert sites.opened == world.running == {"kubernetes"}
        assert world.closed == ["local"]
        await reload(sites, BOTH)
        assert sites.opened == world.running == {"local", "kubernetes"}
    assert world.log.lines == [{"event": "target.closed", "target": "local"}]
    assert sorted(world.closed) == ["kubernetes", "local", "local"]


async def test_it_is_closed_only_when_what_is_under_way_there_has_ended():
    world = World()
    async with world.sites(BOTH) as sites:
        with sites.using("local") as is_open:
            assert is_open
            with sites.using("local"):
                await reload(sites, CLUSTER)
            await asyncio.sleep(60)
            assert sites.opened == {"local", "kubernetes"}
        await asyncio.sleep(1)
        assert world.closed == ["local"]
        with sites.using("local") as is_open:
            assert not is_open


async def test_one_that_a_root_names_again_by_then_stays_open():
    world = World()
    async with world.sites(BOTH) as sites:
        with sites.using("local"):
            await reload(sites, CLUSTER)
            await reload(sites, BOTH)
            await reload(sites, CLUSTER)
            await reload(sites, BOTH)
        await asyncio.sleep(60)
        assert sites.opened == {"local", "kubernetes"}
    assert world.attempts("local") == 1


async def test_what_was_known_of_what_ran_there_is_known_no_more_when_it_is_opened_again():
    world = World()
    async with world.sites(BOTH) as sites:
        workflow = world.tracked.track(Path("/a/hello"))
        place = Place(target="local", namespace="local", name="hello")
        world.tracked.claim(workflow, place)
        workflow.secrets, workflow.delivered = {"key": b"value"}, "sha256:1"
        await reload(sites, CLUSTER)
        known: tuple[object, ...] = (workflow.claim, workflow.secrets, workflow.delivered)
        assert known == (None, {}, None)
        sites.removed(workflow)


async def test_one_that_is_opened_for_a_look_from_before_a_reload_is_closed_again():
    world = World(missing={"local": NO_DENO})
    async with world.sites(BOTH) as sites:
        del world.missing["local"]
        await asyncio.sleep(RETRY_S)
        late = asyncio.create_task(sites.target("local"))
        await asyncio.sleep(0.5)
        sites.take(CLUSTER)
        await late
        await asyncio.sleep(1)
        assert world.closed == ["local"]


async def test_a_reload_that_needs_what_cannot_be_opened_is_refused():
    world = World(missing={"kubernetes": NO_KUBECONFIG})
    async with world.sites(LOCAL) as sites:
        with pytest.raises(SettingsError, match="there is no kubeconfig"):
            await sites.require(BOTH)
        assert sites.opened == {"local"}
    assert world.log.lines == [], "settings.invalid tells it"


async def test_a_reload_that_needs_no_more_than_before_tries_again_and_is_not_refused():
    world = World(missing={"kubernetes": NO_KUBECONFIG})
    async with world.sites(BOTH) as sites:
        await sites.require(BOTH)
        assert sites.opened == {"local"}
        del world.missing["kubernetes"]
        await sites.require(BOTH)
        assert sites.opened == {"local", "kubernetes"}


async def test_a_change_is_of_the_workflow_that_runs_on_the_target_that_told_of_it():
    world = World()
    async with world.sites(BOTH):
        for target, directory in (("local", "here"), ("kubernetes", "there")):
            workflow = world.tracked.track(Path("/w") / directory)
            place = Place(target=target, namespace="dev", name="hello")  # type: ignore[arg-type]
            assert world.tracked.claim(workflow, place) is None
        world.notify["kubernetes"](ViewChange(namespace="dev", name="hello", deployment=None, status=None))
        await asyncio.sleep(0.1)
    assert world.requeued == [("there", "deleted")]
