"""The systemd units, as systemd itself reads them."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pdwatch.errors import ExitCode

UNITS = Path(__file__).parents[1] / "systemd"
SYSTEM, USER = UNITS / "pdwatch.service", UNITS / "pdwatch-user.service"
BOTH = pytest.mark.parametrize("unit", [SYSTEM, USER], ids=lambda unit: unit.name)
INSTALLED = {SYSTEM: "/opt/pdwatch/bin/pdwatch", USER: "%h/.local/bin/pdwatch"}


def service(unit: Path) -> dict[str, str]:
    """The section [Service]; of a key that is given twice, the last value."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(unit)
    return dict(parser["Service"])


def values(unit: Path, key: str) -> list[str]:
    """Every value that a unit gives a key, in order."""
    given = (line.partition("=") for line in unit.read_text().splitlines())
    return [value for name, _, value in given if name == key]


def scope(unit: Path) -> str:
    """The systemd that a unit is for, as ``systemd-analyze`` wants it."""
    return "--user" if unit is USER else "--system"


def runnable(unit: Path, directory: Path) -> Path:
    """Copy a unit, with this environment's pdwatch in the place of the one that it is written for."""
    text, program = unit.read_text(), str(Path(sys.executable).with_name("pdwatch"))
    assert INSTALLED[unit] in text
    copy = directory / "pdwatch.service"
    copy.write_text(text.replace(INSTALLED[unit], program))
    return copy


def analyze(*arguments: str | Path, runtime: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},  # the user scope wants one
    )


@BOTH
def test_systemd_finds_nothing_to_say_about_the_unit(unit: Path, tmp_path: Path):
    verified = analyze("verify", scope(unit), "--man=no", runnable(unit, tmp_path), runtime=tmp_path)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_systemd_does_say_something_about_a_unit_with_a_mistake(tmp_path: Path):
    unit = runnable(SYSTEM, tmp_path)
    unit.write_text(unit.read_text().replace("WatchdogSec=60", "WatchdogSec=often"))
    assert "often" in analyze("verify", "--man=no", unit, runtime=tmp_path).stderr


@BOTH
def test_the_unit_is_exposed_by_less_than_two(unit: Path, tmp_path: Path):
    rated = analyze(
        "security",
        scope(unit),
        "--offline=true",
        "--threshold=20",
        "--no-pager",
        runnable(unit, tmp_path),
        runtime=tmp_path,
    )
    assert rated.returncode == 0, rated.stdout


@BOTH
def test_a_call_that_the_sandbox_denies_is_an_error_and_v8_has_its_protection_keys(unit: Path):
    """Without either, Deno is killed by SIGSYS on processors with memory protection keys."""
    allowed, denied = values(unit, "SystemCallFilter")
    assert "@pkey" in allowed.split()
    assert denied == "~@privileged @resources"
    assert values(unit, "SystemCallErrorNumber") == ["EPERM"]


@BOTH
def test_what_does_not_mend_itself_is_not_tried_again_and_everything_else_is(unit: Path):
    prevented = {ExitCode.USAGE, ExitCode.NOT_FOUND, ExitCode.HELD}
    assert service(unit)["Restart"] == "on-failure"
    assert set(map(int, service(unit)["RestartPreventExitStatus"].split())) == set(prevented)


@BOTH
def test_the_unit_speaks_the_protocol_that_pdwatch_speaks(unit: Path):
    found = service(unit)
    assert found["Type"] == "notify"
    assert found["ExecReload"] == "kill -HUP $MAINPID"
    assert int(found["WatchdogSec"]) > 0


def test_the_system_user_has_its_home_where_the_state_is_and_the_unit_its_groups(tmp_path: Path):
    (tmp_path / "etc").mkdir()
    subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", UNITS / "pdwatch.sysusers.conf"],
        check=True,
        capture_output=True,
    )
    (line,) = (tmp_path / "etc/passwd").read_text().splitlines()
    name, *_, home, shell = line.split(":")
    assert name == service(SYSTEM)["User"]
    assert home == f"/var/lib/{service(SYSTEM)['StateDirectory']}"
    assert shell.endswith("nologin")
    groups = {line.split(":")[0] for line in (tmp_path / "etc/group").read_text().splitlines()}
    assert set(service(SYSTEM)["SupplementaryGroups"].split()) <= groups
