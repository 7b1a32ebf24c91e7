from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.phases import FIELDS, follow
from pdwatch.logs import EVENTS, Event

SAVED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DIGEST = "sha256:new"


def line(event: str, after_ms: float, *, digest: str = DIGEST, **fields: object):
    timestamp = (SAVED_AT + timedelta(milliseconds=after_ms)).isoformat()
    return {"event": event, "timestamp": timestamp, "source_digest": digest, **fields}


CHANGED = line("workflow.changed", 22, since_save_ms=17.0, settle_ms=10.0, wait_ms=1.0, scan_ms=6.0)
STARTED = line("build.started", 25, plan_ms=3.0, wait_ms=0.0)
SUCCEEDED = line("build.succeeded", 105, build_ms=80.0)
APPLIED = line("deploy.applied", 120, apply_ms=12.0)
COMPLETE = line("rollout.complete", 2130, kubelet_ms=2000.0, observed_ms=1.0)


def saved(*lines):
    return follow(lines, digest=DIGEST, saved_at=SAVED_AT.timestamp())


def test_a_save_is_split_by_phase_and_what_no_phase_has_is_the_rest():
    save = saved(CHANGED, STARTED, SUCCEEDED, APPLIED, COMPLETE)
    assert save.phases == pytest.approx(
        {
            "event": 5,
            "settle": 10,
            "queue": 1,
            "scan": 6,
            "plan": 3,
            "slot": 0,
            "build": 80,
            "apply": 12,
            "kubelet": 2000,
            "observed": 1,
            "rest": 3,
        },
        abs=0.01,
    )


def test_the_times_count_from_the_save_to_the_line():
    save = saved(CHANGED, STARTED, SUCCEEDED, APPLIED, COMPLETE)
    assert (save.image_ms, save.patched_ms, save.complete_ms) == pytest.approx((105, 120, 2130), abs=0.01)


def test_lines_of_other_saves_do_not_count():
    earlier = line("deploy.applied", 1, digest="sha256:old", apply_ms=1.0)
    assert saved(earlier, CHANGED, SUCCEEDED, APPLIED).patched_ms == pytest.approx(120, abs=0.01)


def test_of_two_lines_the_first_counts():
    again = line("deploy.applied", 500, apply_ms=99.0)
    assert saved(CHANGED, SUCCEEDED, APPLIED, again).phases["apply"] == 12.0


def test_a_phase_that_was_not_logged_is_part_of_the_rest():
    assert saved(CHANGED, SUCCEEDED, APPLIED).phases["rest"] == pytest.approx(6, abs=0.01)


def test_when_it_was_not_noticed_as_a_save_its_event_is_part_of_the_rest():
    retried = {key: value for key, value in CHANGED.items() if key != "since_save_ms"}
    phases = saved(retried, STARTED, SUCCEEDED, APPLIED).phases
    assert "event" not in phases
    assert phases["rest"] == pytest.approx(8, abs=0.01)


def test_without_a_rollout_there_is_no_completion():
    assert saved(CHANGED, SUCCEEDED, APPLIED).complete_ms is None


@pytest.mark.parametrize(("phase", "event", "field"), FIELDS, ids=[phase for phase, *_ in FIELDS])
def test_every_phase_is_a_field_of_the_log(phase, event, field):
    assert field in EVENTS[Event(event)].fields
