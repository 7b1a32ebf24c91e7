"""Paths that nobody can look at, and homes that nobody has."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pdwatch.adapters.log_file import default_log_file
from pdwatch.errors import SettingsError
from pdwatch.paths import expanded, home, is_directory, is_socket, may_be_there
from pdwatch.settings import load_settings

NOBODY = "~no-such-user"


@pytest.fixture
def forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that may not be looked into; mode 0 alone does not keep root out."""
    place, stat, open_ = tmp_path / "forbidden", os.stat, Path.open
    place.mkdir()

    def refuse(path: object) -> None:
        if str(path).startswith(f"{place}/"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    def stat_or_refuse(path: Any, **arguments: Any) -> os.stat_result:
        refuse(path)
        return stat(path, **arguments)

    def open_or_refuse(path: Path, *arguments: Any, **others: Any) -> Any:
        refuse(path)
        return open_(path, *arguments, **others)

    monkeypatch.setattr(os, "stat", stat_or_refuse)
    monkeypatch.setattr(Path, "open", open_or_refuse)
    return place


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, under a number that is no user's."""

    def unknown(_: int) -> NoReturn:
        raise KeyError("uid not found")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)


def test_a_path_begins_with_a_home_where_there_is_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert home() == Path("/home/ada")
    assert expanded("~/w") == Path("/home/ada/w")
    assert expanded(f"{NOBODY}/w") == Path(f"{NOBODY}/w")


@pytest.mark.usefixtures("homeless")
def test_whoever_has_no_home_is_at_home_in_the_root_directory():
    assert home() == Path("/")
    assert default_log_file({}) == Path("/.local/state/pdwatch/pdwatch.log")
    load_settings(environ={})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"http: {{socket: '{NOBODY}/s'}}", "http.socket: must be an absolute path"),
        (f"log: {{file: '{NOBODY}/l'}}", "log.file: must be auto, none or an absolute path"),
    ],
    ids=["socket", "log"],
)
def test_a_home_of_nobody_is_a_problem_of_the_settings(tmp_path: Path, text: str, problem: str):
    file = tmp_path / "pdwatch.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=problem):
        load_settings(file=file, environ={})


def test_a_root_in_the_home_of_nobody_is_a_directory_that_is_not_there(tmp_path: Path):
    file = tmp_path / "pdwatch.yaml"
    file.write_text(f"roots: ['{NOBODY}/w', {{path: '{NOBODY}/x'}}]")
    roots = load_settings(file=file, environ={}).settings.roots
    assert [root.path for root in roots] == [tmp_path / NOBODY / "w", tmp_path / NOBODY / "x"]


def test_what_may_not_be_looked_at_may_be_there_and_is_nothing_to_use(forbidden: Path):
    assert may_be_there(forbidden / "any")
    assert not is_directory(forbidden / "any")
    assert not is_socket(forbidden / "any")
    assert is_directory(forbidden)
    assert not may_be_there(forbidden.parent / "missing")
    assert not may_be_there(Path(__file__) / "below a file")


def test_a_settings_file_that_may_not_be_looked_at_is_told_not_passed_over(forbidden: Path):
    for environ in ({"XDG_CONFIG_HOME": str(forbidden)}, {"PDWATCH_CONFIG": f"{forbidden}/pdwatch.yaml"}):
        with pytest.raises(SettingsError, match=r"pdwatch\.yaml: Permission denied"):
            load_settings(environ=environ)
