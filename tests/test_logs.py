"""The log: its catalogue, its document, and how lines look."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.logs import EVENTS, Event, EventLog, configure

if TYPE_CHECKING:
    from pdwatch.core.log_records import Record

REPOSITORY = Path(__file__).parent.parent
ROW = re.compile(r"^\| `(?P<event>[a-z.]+)` \| (?P<level>[a-z]+) \| (?P<fields>[^|]*)\| [^|]+ \|$")


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    lines = (REPOSITORY / "docs/log-events.md").read_text().splitlines()
    rows = [match for match in map(ROW.match, lines) if match]
    return {
        row["event"]: (row["level"], frozenset(re.findall(r"`([a-z_]+)`", row["fields"]))) for row in rows
    }


def test_the_document_lists_exactly_the_events_of_the_catalogue_with_level_and_fields():
    catalogue = {
        str(event): (logging.getLevelName(spec.level).lower(), spec.fields) for event, spec in EVENTS.items()
    }
    assert documented() == catalogue


@pytest.mark.parametrize("event", Event, ids=str)
def test_every_event_is_emitted_somewhere(event: Event):
    sources = [path for path in (REPOSITORY / "pdwatch").rglob("*.py") if path.name != "logs.py"]
    assert any(f"Event.{event.name}" in path.read_text() for path in sources)


def test_a_field_that_the_catalogue_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"rollout\.complete has no field colour"):
        EventLog().emit(Event.ROLLOUT_COMPLETE, colour="green")


def test_every_listener_is_told_of_a_line_whoever_was_added_later():
    configure("json", stream=io.StringIO())
    first: list[Record] = []
    second: list[Record] = []
    EventLog().telling(first.append).telling(second.append).emit(Event.DAEMON_STOPPED)
    assert [record.fields["event"] for record in (*first, *second)] == ["daemon.stopped"] * 2


def test_json_lines_carry_bound_and_own_fields_and_leave_out_what_is_unknown():
    out = io.StringIO()
    configure("json", stream=out)
    EventLog().bind(workflow="hello", image=None).emit(Event.BUILD_SUCCEEDED, cached=False, build_ms=1.5)
    line = json.loads(out.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "build.succeeded",
        "level": "info",
        "workflow": "hello",
        "cached": False,
        "build_ms": 1.5,
    }


def test_logfmt_lines_begin_with_what_one_greps_for():
    out = io.StringIO()
    configure("logfmt", stream=out)
    EventLog().emit(Event.WORKFLOW_HELD, workflow="hello", reason="gvisor-missing")
    assert re.match(r"timestamp=\S+ level=warning event=workflow.held workflow=hello reason=", out.getvalue())


def test_console_lines_have_the_time_of_day_the_workflow_first_and_short_digests():
    out = io.StringIO()
    configure("console", stream=out)
    log = EventLog().bind(workflow="hello", source_digest=f"sha256:{'ab' * 32}")
    log.emit(Event.BUILD_SUCCEEDED, cached=False)
    time, rest = out.getvalue().split(" ", 1)
    assert re.fullmatch(r"\d\d:\d\d:\d\d", time)
    fields = "workflow=hello source_digest=sha256:abababababab cached=False"
    assert rest.split() == ["[info", "]", "build.succeeded", *fields.split()]


def test_auto_is_json_where_there_is_no_terminal():
    out = io.StringIO()
    configure("auto", stream=out)
    EventLog().emit(Event.DAEMON_STOPPED)
    assert json.loads(out.getvalue())["event"] == "daemon.stopped"


def test_lines_below_the_level_are_not_written():
    out = io.StringIO()
    configure("json", level="warning", stream=out)
    EventLog().emit(Event.DAEMON_STOPPED)
    assert out.getvalue() == ""


def test_an_unexpected_exception_leaves_its_traceback_in_the_line():
    out = io.StringIO()
    configure("json", stream=out)
    try:
        raise LookupError("no such thing")  # noqa: TRY301
    except LookupError as error:
        EventLog().emit(Event.RECONCILE_FAILED, error="LookupError", exc_info=error)
    assert "LookupError: no such thing" in json.loads(out.getvalue())["exception"]


def test_lines_for_the_journal_begin_with_the_level_as_syslog_counts():
    out = io.StringIO()
    configure("json", stream=out, priorities=True)
    log = EventLog()
    for event in (Event.DAEMON_STOPPED, Event.LOG_LOST, Event.DAEMON_HUNG):
        log.emit(event)
    lines = [re.fullmatch(r"<(\d)>(\{.*\})", line) for line in out.getvalue().splitlines()]
    assert [(line[1], json.loads(line[2])["level"]) for line in lines if line] == [
        ("6", "info"),
        ("4", "warning"),
        ("2", "critical"),
    ]
