"""Every command that takes a DIR says in the same way that there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.command import pdwatch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("command", ["build", "deploy", "dev", "run", "test", "validate"])
@pytest.mark.parametrize("name", ["nowhere", "file.txt"])
async def test_a_directory_that_is_not_there_is_not_found_by_any_command(
    command: str, name: str, tmp_path: Path
):
    (tmp_path / "file.txt").touch()
    environ = {"KUBECONFIG": "/nowhere/config", "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    ended = await pdwatch(command, tmp_path / name, environ=environ)
    assert (ended.status, ended.out) == (4, "")
    assert str(tmp_path / name) in ended.err
