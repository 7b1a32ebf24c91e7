"""The record of a testbed."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.testbed import instance
from tests.testbed.errors import PrerequisiteMissingError, TestbedError
from tests.testbed.instance import Instance, Remains
from tests.testbed.layout import Layout
from tests.testbed.processes import ProcessId


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(cache=tmp_path / "cache", state=tmp_path)


def test_a_record_is_read_as_it_was_written(layout: Layout):
    process = ProcessId(pid=7, start_time=9)
    written = replace(Instance.new(layout), first=process, components={"etcd": process})

    instance.save(written, layout)

    assert instance.load(layout) == written
    assert stat.S_IMODE(layout.record.stat().st_mode) == 0o600


def test_another_version_s_record_says_enough_to_take_it_down(layout: Layout):
    instance.save(replace(Instance.new(layout), first=ProcessId(pid=7, start_time=9)), layout)
    record = json.loads(layout.record.read_text())
    record["ports"]["telegraph"] = record["ports"].pop("registry")
    layout.record.write_text(json.dumps(record))

    found = instance.load(layout)

    assert type(found) is Remains
    assert found.first == ProcessId(pid=7, start_time=9)
    assert str(found.network) == record["pod_network"]


def test_a_record_from_before_the_machine_started_has_no_processes(layout: Layout):
    here = ProcessId.of(1)
    fresh = replace(Instance.new(layout), first=here)

    assert fresh.running
    assert not replace(fresh, boot_id="another").running


def test_another_user_s_record_is_not_trusted(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    instance.save(Instance.new(layout), layout)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    with pytest.raises(TestbedError, match="another user's"):
        instance.load(layout)


def test_there_may_be_no_record(layout: Layout):
    assert instance.load(layout) is None


def test_a_state_directory_too_deep_for_sockets_is_refused():
    with pytest.raises(PrerequisiteMissingError, match="at most 60"):
        Layout.from_environment({"PDWATCH_TESTBED_STATE": "/var/tmp/" + 60 * "x"})


def test_two_state_directories_are_two_testbeds():
    first = Layout.from_environment({"PDWATCH_TESTBED_STATE": "/var/tmp/a", "HOME": "/home/ada"})
    second = Layout.from_environment({"PDWATCH_TESTBED_STATE": "/var/tmp/b", "HOME": "/home/ada"})

    assert first.cache == second.cache == Path("/home/ada/.cache/pdwatch-testbed")
    assert len({first.name, second.name}) == len({first.lock, second.lock}) == 2
