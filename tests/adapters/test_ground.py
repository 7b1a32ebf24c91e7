from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.ground import DirectoryGround

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def remove_it(root: Path) -> None:
    shutil.rmtree(root / "team/hello")


def remove_it_with_its_team(root: Path) -> None:
    shutil.rmtree(root / "team")


def put_another_team_in_its_place(root: Path) -> None:
    (root / "team").rename(root.parent / "elsewhere")  # as an unmounted file system leaves its mount point
    (root / "team").mkdir()


def remove_the_root(root: Path) -> None:
    shutil.rmtree(root)


def put_another_root_in_its_place(root: Path) -> None:
    root.rename(root.parent / "elsewhere")
    root.mkdir()


@pytest.mark.parametrize(
    ("happens", "intact"),
    [
        (remove_it, True),
        (remove_it_with_its_team, True),
        (put_another_team_in_its_place, False),
        (remove_the_root, False),
        (put_another_root_in_its_place, False),
    ],
)
def test_a_directory_that_was_removed_is_told_from_one_whose_file_system_went(
    tmp_path: Path,
    happens: Callable[[Path], None],
    intact: bool,  # noqa: FBT001  # a table's column
):
    root = tmp_path / "root"
    hello = root / "team/hello"
    hello.mkdir(parents=True)
    ground = DirectoryGround([root])
    ground.note(hello)
    happens(root)
    assert ground.intact(hello) is intact


def test_a_root_that_is_a_workflow_itself_went_as_a_whole(tmp_path: Path):
    hello = tmp_path / "hello"
    hello.mkdir()
    ground = DirectoryGround([hello])
    ground.note(hello)
    hello.rmdir()
    assert not ground.intact(hello)


def test_of_a_directory_that_was_never_there_nothing_is_known(tmp_path: Path):
    assert not DirectoryGround([tmp_path]).intact(tmp_path / "hello")


def test_of_a_directory_below_another_root_nothing_is_known(tmp_path: Path):
    root, other = tmp_path / "root", tmp_path / "added-later"
    (other / "hello").mkdir(parents=True)
    ground = DirectoryGround([root])
    ground.note(other / "hello")
    shutil.rmtree(other)
    assert not ground.intact(other / "hello")
