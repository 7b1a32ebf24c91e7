"""What ``pdwatch logs`` chooses, as tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.log_records import Query, Record, merged, read_journal_entry, read_line, select_last

NOON = datetime(2025, 1, 31, 12, tzinfo=UTC)


def record(
    minute: int, workflow: str | None = None, level: str = "info", cursor: str | None = None
) -> Record:
    at = NOON + timedelta(minutes=minute)
    fields: dict[str, Any] = {"timestamp": at.isoformat(), "level": level, "event": f"event.{minute}"}
    return Record(at=at, fields=fields | ({"workflow": workflow} if workflow else {}), cursor=cursor)


def minutes(records: Any) -> list[int]:
    return [int((each.at - NOON).total_seconds() // 60) for each in records]


LINE = {
    "timestamp": "2025-01-31T12:00:00.000001Z",
    "level": "warning",
    "event": "workflow.held",
    "workflow": "hello",
}


def test_a_line_is_a_record_with_its_time_and_all_of_its_fields():
    found = read_line(json.dumps(LINE).encode())
    assert found == Record(at=NOON + timedelta(microseconds=1), fields=LINE)
    assert found is not None
    assert found.workflow == "hello"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Traceback (most recent call last):", id="text"),
        pytest.param(b'{"timestamp": "2025-01-31T12:00:', id="torn"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b"7", id="a number"),
        pytest.param(json.dumps(LINE | {"timestamp": "noon"}).encode(), id="no time"),
        pytest.param(json.dumps(LINE | {"timestamp": "2025-01-31T12:00:00"}).encode(), id="no zone"),
        pytest.param(json.dumps(LINE | {"level": "loud"}).encode(), id="no level"),
        pytest.param(json.dumps(LINE | {"event": None}).encode(), id="no event"),
        pytest.param(b"\xff\xfe", id="no text"),
    ],
)
def test_what_is_no_record_is_passed_over(line: bytes):
    assert read_line(line) is None


def entry(**fields: Any) -> bytes:
    taken = str(round(NOON.timestamp() * 1e6))
    return json.dumps({"__REALTIME_TIMESTAMP": taken, "__CURSOR": "c1", **fields}).encode()


def test_a_record_in_the_journal_has_its_own_time_and_the_journals_cursor():
    found = read_journal_entry(entry(MESSAGE=json.dumps(LINE), PRIORITY="6"))
    assert found == Record(at=NOON + timedelta(microseconds=1), fields=LINE, cursor="c1")


@pytest.mark.parametrize(
    ("fields", "level", "event"),
    [
        pytest.param({"MESSAGE": "Started.", "PRIORITY": "6"}, "info", "Started.", id="systemd's own"),
        pytest.param({"MESSAGE": "failed", "PRIORITY": "3"}, "error", "failed", id="an error"),
        pytest.param({"MESSAGE": [0xE2, 0x98, 0x83, 0x01]}, "info", "\N{SNOWMAN}\x01", id="bytes"),
    ],
)
def test_what_else_the_journal_has_of_the_unit_becomes_a_record(fields: Any, level: str, event: str):
    found = read_journal_entry(entry(**fields))
    assert found is not None
    assert (found.at, found.fields["level"], found.fields["event"]) == (NOON, level, event)


@pytest.mark.parametrize("line", [b"{", entry(MESSAGE=None), b'{"MESSAGE": "no time"}', b"[]"])
def test_an_entry_without_text_is_passed_over(line: bytes):
    assert read_journal_entry(line) is None


LOG = [
    record(4, "hello", "error"),
    record(3, "other", "info"),
    record(2, "hello", "debug"),
    record(1, None, "warning"),
    record(0, "hello", "info"),
]


@pytest.mark.parametrize(
    ("query", "lines", "expected"),
    [
        pytest.param(Query(), None, [0, 1, 2, 3, 4], id="all"),
        pytest.param(Query(), 2, [3, 4], id="the last"),
        pytest.param(Query(), 0, [], id="none"),
        pytest.param(Query(level="warning"), None, [1, 4], id="from a level on"),
        pytest.param(Query(since=NOON + timedelta(minutes=2)), None, [2, 3, 4], id="since a time, included"),
        pytest.param(Query(workflows=frozenset({"hello"})), None, [0, 2, 4], id="of a workflow"),
        pytest.param(Query(workflows=frozenset({"hello", "other"})), 2, [3, 4], id="the last of two"),
        pytest.param(Query(level="info", workflows=frozenset({"hello"})), 2, [0, 4], id="everything at once"),
    ],
)
def test_the_last_that_are_wanted_are_chosen_oldest_first(
    query: Query, lines: int | None, expected: list[int]
):
    assert minutes(select_last(LOG, query, lines=lines).records) == expected


@pytest.mark.parametrize(
    ("query", "lines", "read"),
    [
        pytest.param(Query(), 2, 3, id="as many as wanted, and one to know"),
        pytest.param(Query(since=NOON + timedelta(minutes=3)), None, 3, id="down to the time"),
        pytest.param(
            Query(workflows=frozenset({"other"}), since=NOON + timedelta(minutes=4)), 1, 2, id="name found"
        ),
        pytest.param(Query(workflows=frozenset({"nobody"})), 1, 5, id="a name that nobody has"),
    ],
)
def test_no_more_is_read_than_is_needed(query: Query, lines: int | None, read: int):
    log = iter(LOG)
    select_last(log, query, lines=lines)
    assert len(list(log)) == len(LOG) - read


def test_the_workflows_that_were_seen_are_told_wanted_or_not():
    selection = select_last(LOG, Query(workflows=frozenset({"nobody"})), lines=1)
    assert selection.workflows == {"hello", "other"}
    assert selection.records == []


def test_the_cursor_is_that_of_the_newest_wanted_or_not():
    log = [record(1, cursor="new"), record(0, "hello", cursor="old")]
    assert select_last(log, Query(workflows=frozenset({"hello"})), lines=None).cursor == "new"


@given(st.lists(st.lists(st.integers(0, 50)), max_size=4))
def test_several_logs_are_put_into_one_order(logs: list[list[int]]):
    found = merged([[record(each) for each in sorted(log, reverse=True)] for log in logs])
    assert minutes(found) == sorted((each for log in logs for each in log), reverse=True)
