"""When a settings file counts as saved."""

from __future__ import annotations

import asyncio
import errno
from contextlib import aclosing
from typing import TYPE_CHECKING, NoReturn

import pytest

from pdwatch.adapters import settings_file
from pdwatch.adapters.settings_file import saves

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

WAIT_S = 60


def in_place(path: Path) -> None:
    path.write_text("new")


def by_rename(path: Path) -> None:
    (path.parent / "temporary").write_text("new")
    (path.parent / "temporary").rename(path)


def removed_and_back(path: Path) -> None:
    path.unlink()
    path.write_text("new")


@pytest.mark.parametrize("save", [in_place, by_rename, removed_and_back], ids=lambda save: save.__name__)
async def test_it_tells_of_other_bytes_however_they_came(tmp_path: Path, save: Callable[[Path], None]):
    path = tmp_path / "pdwatch.yaml"
    path.write_text("old")
    async with asyncio.timeout(WAIT_S), aclosing(saves(path, known=b"old")) as saved:
        waiting = asyncio.ensure_future(anext(saved))
        save(path)
        await waiting


async def test_bytes_that_differ_from_those_that_were_loaded_are_told_at_once(tmp_path: Path):
    path = tmp_path / "pdwatch.yaml"
    path.write_text("new")
    async with asyncio.timeout(WAIT_S), aclosing(saves(path, known=b"old")) as saved:
        await anext(saved)


async def test_a_link_that_is_turned_around_counts_and_a_touch_does_not(tmp_path: Path):
    """As Kubernetes mounts a ConfigMap."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pdwatch.yaml").write_text(name)
    (tmp_path / "..data").symlink_to("first")
    path = tmp_path / "pdwatch.yaml"
    path.symlink_to("..data/pdwatch.yaml")
    async with asyncio.timeout(WAIT_S), aclosing(saves(path, known=b"first")) as saved:
        waiting = asyncio.ensure_future(anext(saved))
        (tmp_path / "first/pdwatch.yaml").touch()
        (tmp_path / "turned").symlink_to("second")
        (tmp_path / "turned").rename(tmp_path / "..data")
        await waiting
        assert path.read_text() == "second"


async def test_a_save_in_a_directory_that_can_not_be_watched_counts_once_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As in one with mode 0711, or one that went after the link to it was turned around."""
    monkeypatch.setattr(settings_file, "_LOOK_S", 0.01)

    def refused(directories: Collection[str]) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", next(iter(directories)))

    monkeypatch.setattr(settings_file, "Doorbell", refused)
    path = tmp_path / "pdwatch.yaml"
    path.write_text("old")
    async with asyncio.timeout(WAIT_S), aclosing(saves(path, known=b"old")) as saved:
        waiting = asyncio.ensure_future(anext(saved))
        path.write_text("new")
        await waiting
