"""Lines of pods, runs of containers, and going on after an interruption, as tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.pod_log import Position, container_runs, printable, read_pod_line


def test_a_line_has_its_time_to_the_nanosecond_and_its_text():
    line = read_pod_line("hello-1", b"2025-01-31T13:00:00.123456789+01:00 two words\n")
    assert line is not None
    assert line.moment == (
        datetime(2025, 1, 31, 12, 0, 0, 123456, UTC),
        "2025-01-31T13:00:00.123456789+01:00",
    )
    assert (line.text, line.fields) == ("two words", None)


@pytest.mark.parametrize("line", [b"", b"no time\n", b"unable to retrieve container logs\n"])
def test_what_has_no_time_is_no_line(line: bytes):
    assert read_pod_line("hello-1", line) is None


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        pytest.param(
            '{"level":"info","message":"hi"}', {"level": "info", "message": "hi"}, id="the engine's"
        ),
        pytest.param('{"msg":"hi"}', None, id="another's JSON"),
        pytest.param('{"message":7}', None, id="no text"),
        pytest.param("[1]", None, id="a list"),
    ],
)
def test_the_engines_lines_are_told_from_others(text: str, fields: Any):
    line = read_pod_line("hello-1", f"2025-01-31T12:00:00Z {text}".encode())
    assert line is not None
    assert line.fields == fields


def pod(state: dict[str, Any], last: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    own = {"name": "hello", "state": state, "lastState": last or {}, **status}
    return {
        "metadata": {"name": "hello-1"},
        "spec": {"containers": [{"name": "hello"}, {"name": "sidecar"}]},
        "status": {"containerStatuses": [{"name": "sidecar", "state": {"running": {}}}, own]},
    }


ENDED = {"terminated": {"containerID": "c1"}}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        pytest.param(pod({"waiting": {}}), [], id="not started"),
        pytest.param(pod({"running": {}}, containerID="c2"), [("c2", False, True)], id="running"),
        pytest.param(
            pod({"running": {}}, ENDED, containerID="c2"),
            [("c1", True, False), ("c2", False, True)],
            id="restarted",
        ),
        pytest.param(
            pod({"waiting": {}}, ENDED, containerID="c1"), [("c1", True, False)], id="crashed, waits"
        ),
        pytest.param(pod(ENDED, containerID="c1"), [("c1", False, False)], id="ended"),
        pytest.param(
            {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x"}]}}, [], id="no status"
        ),
    ],
)
def test_the_runs_of_a_pod(manifest: dict[str, Any], expected: list[Any]):
    assert [(run.id, run.previous, run.running) for run in container_runs(manifest)] == expected


@given(st.lists(st.integers(0, 40)), st.lists(st.integers(0, 60), max_size=4))
def test_a_log_that_is_cut_anywhere_and_asked_for_again_loses_and_repeats_nothing(
    tenths: list[int], cuts: list[int]
):
    """The server gives back whole seconds, lines of the same moment included."""
    log = [
        (line, number)
        for number, tenth in enumerate(sorted(tenths))
        if (line := read_pod_line("p", f"2025-01-31T12:00:0{tenth // 10}.{tenth % 10}Z x".encode()))
    ]
    position, seen = Position(), []
    for cut in [*cuts, len(log)]:
        since = position.resume()
        answer = [each for each in log if since is None or each[0].moment[1][:19] >= since[:19]]
        seen += [
            number
            for line, number in answer[: None if cut == len(log) else cut]
            if position.takes(line.moment)
        ]
    assert seen == list(range(len(log)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("\x1b[31mred\x1b[0m", "red", id="colour"),
        pytest.param(
            "a\x1b]0;title\x07b", "a\N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER}b", id="title"
        ),
        pytest.param("a\tb", "a   b", id="tab"),
    ],
)
def test_nothing_that_a_pod_writes_moves_the_cursor(text: str, expected: str):
    assert printable(text) == expected
