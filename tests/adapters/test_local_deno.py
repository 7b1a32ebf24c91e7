"""The commands that the local target gives Deno, and what it makes of what engines and checks print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pdwatch.adapters.local.deno import engine_command, find_deno
from pdwatch.adapters.local.engine import OutputLine, parse_line, shown
from pdwatch.adapters.local.stages import Stage
from pdwatch.core.model import Node, SourceSnapshot, Trigger, WorkflowSpec
from pdwatch.errors import ProgramMissingError

APP = Path("/stages/hello-1/app")
SECRETS = Path("/stages/secrets/current")


def spec(*, net: tuple[str, ...] | None = None, cron: bool = False) -> WorkflowSpec:
    trigger = Trigger(type="cron", schedule="* * * * *") if cron else Trigger(type="manual")
    node = Node(id="greet", path="./nodes/greet.ts", net=net)
    return WorkflowSpec(name="hello", version="1.0", triggers=(trigger,), nodes=(node,))


def command(**options: object) -> list[str]:
    return engine_command(
        spec(**options),  # type: ignore[arg-type]
        deno=Path("/bin/deno"),
        app=APP,
        secrets=SECRETS,
        reads=[SECRETS.parent],
    )


def test_an_engine_has_the_rights_of_its_image_in_its_own_directory():
    assert command() == [
        *("/bin/deno", "run", "--no-prompt", "--no-lock", "--allow-net"),
        *(f"--allow-read={APP},{SECRETS.parent}", "--allow-write=/tmp"),
        *("--config", f"{APP}/deno.json", f"{APP}/engine/main.ts", "--workflow", f"{APP}/workflow.yaml"),
        *("--port", "0", "--host", "127.0.0.1", "--secrets", str(SECRETS)),
    ]


def test_declared_hosts_narrow_the_network_to_them_and_its_own_port():
    assert "--allow-net=127.0.0.1:0,api.github.com" in command(net=("api.github.com",))


def test_a_schedule_needs_deno_s_unstable_flag():
    assert "--unstable-cron" in command(cron=True)


def test_without_deno_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissingError, match="no deno") as caught:
        find_deno()
    assert caught.value.remedy == "pip install 'pdwatch[local]', or put deno on the PATH"


@pytest.mark.parametrize(
    ("text", "line", "port"),
    [
        pytest.param(
            {"level": "info", "message": "listening", "args": [{"port": 4711, "sourceDigest": None}]},
            OutputLine(level="info", message="listening", detail='{"port": 4711, "sourceDigest": null}'),
            4711,
            id="the engine listens",
        ),
        pytest.param(
            {"level": "warn", "message": "listening", "node": "greet", "runId": "r", "args": [{"port": 1}]},
            OutputLine(level="warn", message="listening", node="greet", run_id="r", detail='{"port": 1}'),
            None,
            id="a node says so",
        ),
        pytest.param(
            {"level": "info", "message": "listening", "args": [{"port": 1}]},
            OutputLine(level="info", message="listening", detail='{"port": 1}'),
            None,
            id="a node's module says so when it is imported",
        ),
        pytest.param("plain", OutputLine(level="info", message="plain"), None, id="plain text"),
        pytest.param(
            '{"a": 1}', OutputLine(level="info", message='{"a": 1}'), None, id="JSON of a node's own"
        ),
        pytest.param("7", OutputLine(level="info", message="7"), None, id="a number"),
        pytest.param(
            '{"level": "loud", "message": "hi"}',
            OutputLine(level="info", message='{"level": "loud", "message": "hi"}'),
            None,
            id="a level that there is not",
        ),
        pytest.param(
            {"level": "info", "message": "listening", "args": [{"port": "here", "sourceDigest": ""}]},
            OutputLine(level="info", message="listening", detail='{"port": "here", "sourceDigest": ""}'),
            None,
            id="a port that is none",
        ),
        pytest.param("[" * 100_000, OutputLine(level="info", message="[" * 100_000), None, id="a deep one"),
    ],
)
def test_a_line_of_an_engine_is_read(text: object, line: OutputLine, port: int | None):
    raw = text if isinstance(text, str) else json.dumps(text)
    assert parse_line(raw, level="info") == (line, port)


def test_a_line_is_shown_with_its_node_and_what_was_logged_with_it():
    line = OutputLine(level="info", message="took", node="greet", detail="3 ms")
    assert shown(line) == "[greet] took 3 ms"


def test_what_a_check_says_is_told_with_the_place_in_the_workflow_s_own_directory():
    snapshot = SourceSnapshot(
        name="hello", root=Path("/flows/hello"), files=(), digest="sha256:1", spec=spec()
    )
    said = f"TS2304 [ERROR]: Cannot find name 'x'.\n    at file://{APP}/nodes/say%20hi%23.ts:1:2\n"
    told = Stage(snapshot=snapshot, app=APP).in_workflow(said)
    assert told == "TS2304 [ERROR]: Cannot find name 'x'.\n    at /flows/hello/nodes/say hi#.ts:1:2\n"
