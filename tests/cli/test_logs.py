"""``pdwatch logs`` as people run it: over files that a daemon has left, and over a journal."""

from __future__ import annotations

import errno
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from pdwatch.cli.main import cli
from pdwatch.errors import ExitCode, LogUnreadableError
from tests.cli.command import Ended, pdwatch

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime.now(UTC)
DIGEST = "sha256:" + "ab" * 32


def line(ago: timedelta, event: str, level: str = "info", **fields: object) -> str:
    return json.dumps({"timestamp": (NOW - ago).isoformat(), "level": level, "event": event, **fields})


LINES = [
    line(timedelta(days=2), "daemon.started", pid=7),
    line(timedelta(hours=2), "workflow.found", workflow="hello"),
    line(timedelta(minutes=20), "build.failed", "error", workflow="other", message="no such file"),
    line(timedelta(minutes=5), "build.started", "debug", workflow="hello"),
    line(timedelta(minutes=4), "rollout.complete", workflow="hello", source_digest=DIGEST),
]
EVENTS = [json.loads(each)["event"] for each in LINES]


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    """A state directory with a log, half of which was put aside."""
    state = tmp_path / "state/pdwatch"
    state.mkdir(parents=True)
    (state / "pdwatch.log.1").write_text("".join(f"{each}\n" for each in LINES[:3]))
    (state / "pdwatch.log").write_text("".join(f"{each}\n" for each in LINES[3:]))
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path), "TZ": "UTC"}


def events(ended: Ended) -> list[str]:
    assert ended.status == 0, ended.err
    return [json.loads(each)["event"] for each in ended.out.splitlines()]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param([], EVENTS, id="everything, oldest first"),
        pytest.param(["hello"], [EVENTS[1], *EVENTS[3:]], id="of a workflow"),
        pytest.param(["hello", "other"], EVENTS[1:], id="of two"),
        pytest.param(["--level=error"], ["build.failed"], id="from a level on"),
        pytest.param(["--since=1h"], EVENTS[2:], id="of the last hour"),
        pytest.param(
            [f"--since={NOW - timedelta(minutes=10):%Y-%m-%dT%H:%M:%S}"], EVENTS[3:], id="local time"
        ),
        pytest.param(["-n2"], EVENTS[3:], id="the last two"),
        pytest.param(["-nall", "--since=3h"], EVENTS[1:], id="all"),
    ],
)
async def test_flags_choose_what_is_shown(flags: list[str], expected: list[str], environ: Mapping[str, str]):
    assert events(await pdwatch("logs", "--file", "-o", "json", *flags, environ=environ)) == expected


async def test_json_is_the_lines_as_they_were_written(environ: Mapping[str, str]):
    ended = await pdwatch("logs", "--file", "-o", "json", environ=environ)
    assert [json.loads(each) for each in ended.out.splitlines()] == [json.loads(each) for each in LINES]


async def test_the_console_shows_what_the_daemon_does_with_the_date_of_other_days(environ: Mapping[str, str]):
    first, *_, last = (await pdwatch("logs", "--file", environ=environ)).out.splitlines()
    started = NOW - timedelta(days=2)
    assert first.split() == [
        f"{started:%Y-%m-%d}",
        f"{started:%H:%M:%S}",
        "[info",
        "]",
        "daemon.started",
        "pid=7",
    ]
    assert "rollout.complete" in last
    assert "source_digest=sha256:abababababab" in last.split()


async def test_logfmt(environ: Mapping[str, str]):
    ended = await pdwatch("logs", "--file", "-o", "logfmt", "other", environ=environ)
    assert ended.out.rstrip().endswith('level=error event=build.failed workflow=other message="no such file"')


async def test_a_workflow_that_the_log_does_not_know_is_told_with_the_nearest(environ: Mapping[str, str]):
    ended = await pdwatch("logs", "--file", "helo", "--since=1m", environ=environ)
    assert ended.status == 4
    assert ended.err.splitlines() == [
        "error: the log has nothing of a workflow helo; did you mean hello?",
        "  → it tells of hello, other",
    ]


async def test_a_log_that_is_not_there_is_told_with_its_place(tmp_path: Path):
    ended = await pdwatch("logs", "--file", environ={"XDG_STATE_HOME": str(tmp_path)})
    assert ended.status == 4
    assert f"there is no log at {tmp_path}/pdwatch/pdwatch.log" in ended.err
    assert "pdwatch run DIR" in ended.err


@pytest.mark.parametrize("refusing", ["iterdir", "open"], ids=["directory", "file"])
def test_a_log_of_another_user_is_told(
    environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, refusing: str
):
    """Played, since nothing is refused to root."""

    def refuse(path: Path, *_: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Path, refusing, refuse)
    with pytest.raises(
        LogUnreadableError, match=r"state/pdwatch.* can't be read: Permission denied"
    ) as caught:
        cli(["logs", "--file"], standalone_mode=False)
    assert caught.value.exit_code is ExitCode.FAILED
    assert "as that user" in (caught.value.remedy or "")


async def test_a_file_that_the_settings_turn_off_is_told(environ: Mapping[str, str]):
    ended = await pdwatch("logs", "--file", environ={**environ, "PDWATCH_LOG_FILE": "none"})
    assert ended.status == 2
    assert "log.file is none" in ended.err


@pytest.mark.parametrize(
    "flag", ["--since=yesterday", "--since=5", "--since=999999w", "-nmany", "--level=loud"]
)
async def test_a_flag_that_means_nothing_is_told(flag: str):
    ended = await pdwatch("logs", flag)
    assert ended.status == 2
    assert flag.lstrip("-").removeprefix("since=").removeprefix("n").removeprefix("level=") in ended.err


JOURNALCTL = """\
#!/bin/sh
case "$*" in
*--follow*--after-cursor=c2*) cat {tail} ;;
*--reverse*) cat {head} ;;
*) exit 1 ;;
esac
"""


def entry(cursor: str, message: str) -> str:
    taken = round(NOW.timestamp() * 1e6)
    return json.dumps({"__REALTIME_TIMESTAMP": str(taken), "__CURSOR": cursor, "MESSAGE": message}) + "\n"


async def test_the_journal_is_read_and_followed_from_where_it_was_read_to(tmp_path: Path):
    head, tail = tmp_path / "head", tmp_path / "tail"
    head.write_text(entry("c2", LINES[1]) + entry("c1", "Started pdwatch."))
    tail.write_text(entry("c3", LINES[4]))
    program = tmp_path / "bin/journalctl"
    program.parent.mkdir()
    program.write_text(JOURNALCTL.format(head=head, tail=tail))
    program.chmod(0o755)
    ended = await pdwatch(
        "logs", "--journal", "-f", "-o", "json", environ={"PATH": f"{program.parent}:/usr/bin:/bin"}
    )
    assert events(ended) == ["Started pdwatch.", "workflow.found", "rollout.complete"]


async def test_a_journal_that_has_nothing_for_this_user_is_told(tmp_path: Path):
    """journalctl says nothing of entries that the user may not read, and exits with 0."""
    program = tmp_path / "bin/journalctl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    ended = await pdwatch("logs", "--journal", environ={"PATH": f"{program.parent}:/usr/bin:/bin"})
    assert ended.status == 4
    assert "nothing of pdwatch that you may read" in ended.err
    assert "systemd-journal" in ended.err


async def test_without_journalctl_it_is_told(tmp_path: Path):
    ended = await pdwatch("logs", "--journal", environ={"PATH": str(tmp_path)})
    assert ended.status == 3
    assert "there is no journalctl" in ended.err
