"""``pdwatch dev``, whole: files on disk, a real engine, and answers on one port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from tests.cli.command import pdwatch
from tests.e2e.daemon import running_daemon
from tests.e2e.dev import gone, running_dev
from tests.e2e.local_server import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.e2e.dev import Dev

WORKFLOW = """\
name: hello
version: "1.0"
triggers: [{type: manual}]
nodes: {greet: {path: ./nodes/greet.ts}}
edges: []
"""


def greeting(text: str) -> str:
    return f"export default (): Promise<string> => Promise.resolve({json.dumps(text)});\n"


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """Return a workflow directory whose only node says ``first``."""
    root = tmp_path / "hello"
    (root / "nodes").mkdir(parents=True)
    (root / "workflow.yaml").write_text(WORKFLOW)
    save(root, greeting("first"))
    return root


@pytest.fixture
async def dev(hello: Path) -> AsyncIterator[Dev]:
    async with running_dev(hello) as dev:
        yield dev


def save(root: Path, node: str) -> None:
    (root / "nodes/greet.ts").write_text(node)


async def test_a_saved_node_answers_on_the_same_port_with_a_line_for_every_step(dev: Dev, hello: Path):
    assert await dev.run() == {"greet": "first"}
    mark = dev.daemon.mark
    save(hello, greeting("second"))
    complete = await dev.daemon.until("rollout.complete", since=mark)
    assert await dev.run() == {"greet": "second"}
    steps = [
        event for event in dev.daemon.events(since=mark) if not event.startswith(("engine.", "rollout.p"))
    ]
    assert [step for step in steps if step != "workflow.unchanged"] == [
        "workflow.changed",
        "build.started",
        "build.succeeded",
        "deploy.applied",
        "rollout.complete",
    ]
    assert {"source_digest", "generation", "since_save_ms", "rollout_ms"} <= complete.keys()


@pytest.mark.parametrize(
    ("node", "place", "message"),
    [
        pytest.param("export default () => {\n  return 1 +;\n};\n", ":2:13: ", "SyntaxError", id="syntax"),
        pytest.param(
            'export default (): Promise<number> => Promise.resolve("text");\n', ":1:39: ", "TS2322", id="type"
        ),
        pytest.param('import "./gone.ts";\nexport default () => 1;\n', ":1:8: ", "Cannot find", id="import"),
    ],
)
async def test_a_save_that_does_not_compile_is_told_by_line_while_the_last_good_one_answers(
    node: str, place: str, message: str, dev: Dev, hello: Path
):
    save(hello, node)
    failed = await dev.daemon.until("build.failed")
    assert failed["message"].startswith(f"{hello}/nodes/greet.ts{place}")
    assert message in failed["message"]
    assert await dev.run() == {"greet": "first"}
    mark = dev.daemon.mark
    save(hello, greeting("mended"))
    await dev.daemon.until("rollout.complete", since=mark)
    assert await dev.run() == {"greet": "mended"}


async def test_a_node_that_crashes_at_its_import_stalls_while_the_last_good_one_answers(
    dev: Dev, hello: Path
):
    save(hello, f'throw new Error("no luck");\n{greeting("never")}')
    stalled = await dev.daemon.until("rollout.stalled")
    assert stalled["reason"] == "CrashLoopBackOff"
    assert "no luck" in stalled["output"]
    assert await dev.run() == {"greet": "first"}


async def test_an_invalid_workflow_is_told_by_line_while_the_last_good_one_answers(dev: Dev, hello: Path):
    (hello / "workflow.yaml").write_text(f"{WORKFLOW}edgs: []\n")
    invalid = await dev.daemon.until("workflow.invalid")
    assert (invalid["line"], invalid["where"]) == (6, "edgs")
    assert await dev.run() == {"greet": "first"}


async def test_under_another_name_it_answers_on_the_same_port_and_the_old_engine_ends(dev: Dev, hello: Path):
    (before,) = dev.engines()
    watched = os.pidfd_open(before)
    (hello / "workflow.yaml").write_text(WORKFLOW.replace("hello", "goodbye"))
    await dev.daemon.until("rollout.complete", workflow="goodbye")
    await gone(watched)
    os.close(watched)
    assert await dev.run() == {"greet": "first"}
    assert dev.engines().isdisjoint({before})


async def test_a_name_that_comes_back_is_what_answers_again(dev: Dev, hello: Path):
    for name in ("goodbye", "hello"):
        mark = dev.daemon.mark
        (hello / "workflow.yaml").write_text(WORKFLOW.replace("hello", name))
        await dev.daemon.until("deploy.applied", since=mark, workflow=name)
        await dev.daemon.until("rollout.complete", since=mark, workflow=name)
        async with aiohttp.ClientSession() as session, session.get(f"{dev.url}/health") as response:
            assert (await response.json())["workflow"] == name


async def test_of_a_burst_of_saves_the_last_is_what_runs_and_it_is_reloaded_once(dev: Dev, hello: Path):
    mark = dev.daemon.mark
    for number in range(10):
        save(hello, greeting(f"save {number}"))
    changed = await dev.daemon.until("workflow.changed", since=mark)
    await dev.daemon.until("rollout.complete", since=mark)
    assert await dev.run() == {"greet": "save 9"}
    assert dev.daemon.events(since=mark).count("deploy.applied") == 1
    assert changed["cause"] == "save"


async def test_what_is_not_shipped_reloads_nothing(dev: Dev, hello: Path):
    mark = dev.daemon.mark
    (hello / "notes.md").write_text("to do")
    (hello / "tests/fixtures").mkdir(parents=True)
    (hello / "tests/fixtures/greet.json").write_text("{}")
    (hello / "nodes/greet.ts").touch()
    await dev.daemon.until("workflow.unchanged", since=mark, cause="save")
    assert "build.started" not in dev.daemon.events(since=mark)


async def test_a_run_in_flight_ends_on_the_code_that_it_began_with(hello: Path):
    async with gate() as (origin, arrived, let_go):
        save(hello, f'export default async () => (await fetch("{origin}/gate")).status;\n')
        async with running_dev(hello) as dev, asyncio.TaskGroup() as group:
            run = group.create_task(dev.run())
            await arrived.wait()
            mark = dev.daemon.mark
            save(hello, greeting("second"))
            await dev.daemon.until("rollout.complete", since=mark)
            assert await dev.run() == {"greet": "second"}
            assert not run.done()
            let_go.set()
            assert await run == {"greet": 200}


async def test_local_secrets_reach_the_nodes_a_changed_one_the_next_run_and_none_the_log(hello: Path):
    node = """\
import type { Context } from "pipedreamer";
export default function run(ctx: Context): Promise<number> {
  const token = ctx.secrets.tracker?.token ?? "";
  ctx.log.info("the token is", token);
  return Promise.resolve(token.length);
}
"""
    save(hello, node)
    (hello / ".secrets.yaml").write_text("tracker: {token: canary-one}\n")
    async with running_dev(hello) as dev:
        assert await dev.run() == {"greet": len("canary-one")}
        mark = dev.daemon.mark
        (hello / ".secrets.yaml").write_text("tracker: {token: canary-two-longer}\n")
        await dev.daemon.until("secrets.applied", since=mark)
        assert await dev.run() == {"greet": len("canary-two-longer")}
        assert "deploy.applied" not in dev.daemon.events(since=mark)
        (hello / ".secrets.yaml").unlink()
        await dev.daemon.until("secrets.cleared", since=mark)
        assert await dev.run() == {"greet": 0}
        log = "".join(dev.daemon.raw)
    assert "the token is" in log
    assert "canary" not in log


async def test_a_node_that_logs_half_a_sign_ends_nothing(hello: Path):
    types = 'import type { Context } from "pipedreamer";\n'
    node = r'export default (ctx: Context) => (ctx.log.info("\ud83d"), Promise.resolve("done"));'
    save(hello, types + node)
    async with running_dev(hello) as dev:
        assert await dev.run() == {"greet": "done"}
        assert (await dev.daemon.until("engine.output", node="greet"))["message"] == "\ud83d"
        assert await dev.run() == {"greet": "done"}


async def test_a_killed_engine_is_started_again_and_told(dev: Dev):
    (engine,) = dev.engines()
    mark = dev.daemon.mark
    os.kill(engine, signal.SIGKILL)
    degraded = await dev.daemon.until("rollout.degraded", since=mark)
    assert "137" in degraded["message"]
    await dev.daemon.until("rollout.complete", since=mark)
    assert dev.daemon.events(since=mark).count("rollout.degraded") == 1
    assert await dev.run() == {"greet": "first"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
async def test_a_signal_ends_it_with_every_engine_and_leaves_no_file(
    number: signal.Signals, hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    place = tmp_path / "stages"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    before = sorted(hello.rglob("*"))
    async with running_dev(hello) as dev:
        engines = dev.engines()
        assert engines
        assert await dev.daemon.stop(number) == 0
    assert not any(Path(f"/proc/{engine}").exists() for engine in engines)
    assert not any(place.iterdir())
    assert sorted(hello.rglob("*")) == before


async def test_when_it_is_killed_its_engines_end_by_themselves(hello: Path):
    async with running_dev(hello) as dev:
        (engine,) = dev.engines()
        watched = os.pidfd_open(engine)
        dev.daemon.process.kill()
        await dev.daemon.process.wait()
        await gone(watched)
        os.close(watched)


async def test_when_it_is_killed_an_engine_that_never_looks_up_ends_too(hello: Path):
    save(hello, 'export default () => {\n  console.info("busy");\n  while (true);\n};\n')
    async with running_dev(hello) as dev:
        (engine,) = dev.engines()
        watched = os.pidfd_open(engine)
        run = asyncio.create_task(dev.run())
        await dev.daemon.until("engine.output", message="busy")
        dev.daemon.process.kill()
        await gone(watched)
        with pytest.raises(aiohttp.ClientError):
            await run
        os.close(watched)
        await dev.daemon.process.wait()


async def test_a_directory_without_a_workflow_is_refused_by_name(tmp_path: Path):
    ended = await pdwatch("dev", tmp_path)
    assert ended.status == 4
    assert f"there is no workflow.yaml in {tmp_path}" in ended.err


async def test_a_port_that_was_asked_for_and_is_taken_is_told_before_anything_begins(hello: Path):
    async with serving(web.Application()) as taken:
        ended = await pdwatch("dev", hello, f"--port={taken}")
    assert ended.status == 5
    assert f"port {taken} on 127.0.0.1 is taken" in ended.err


async def test_the_local_target_runs_every_workflow_under_the_directories(tmp_path: Path):
    for name in ("one", "two"):
        root = tmp_path / name
        (root / "nodes").mkdir(parents=True)
        (root / "workflow.yaml").write_text(WORKFLOW.replace("hello", name))
        save(root, greeting(name))
    async with running_daemon(tmp_path, "--target=local", environment={}) as daemon:
        for name in ("one", "two"):
            opened = await daemon.until("endpoint.opened", workflow=name)
            await daemon.until("rollout.complete", workflow=name)
            async with aiohttp.ClientSession() as session, session.get(f"{opened['url']}/run") as response:
                assert (await response.json())["outputs"] == {"greet": name}
        assert await daemon.stop() == 0


async def test_the_local_target_runs_what_has_errors_of_types_where_the_settings_let_it(hello: Path):
    save(hello, "export default (): number => 'wrong, but it runs';\n")
    async with running_daemon(hello, "--target=local", "--no-check", environment={}) as daemon:
        opened = await daemon.until("endpoint.opened")
        await daemon.until("rollout.complete")
        async with aiohttp.ClientSession() as session, session.get(f"{opened['url']}/run") as response:
            assert (await response.json())["outputs"] == {"greet": "wrong, but it runs"}


@asynccontextmanager
async def gate() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """Serve a path that answers only once it is let go."""
    arrived, let_go = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        arrived.set()
        await let_go.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/gate", wait)
    async with serving(app) as port:
        yield f"http://127.0.0.1:{port}", arrived, let_go
