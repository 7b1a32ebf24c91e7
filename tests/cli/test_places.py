"""Where a daemon is asked: a path or a URL."""

from __future__ import annotations

import click
import pytest

from pdwatch.cli.main import cli


@pytest.mark.parametrize("command", ["status", "health"])
@pytest.mark.parametrize(
    "place", ["http://[::1", "http://127.0.0.1:99999", "http://x:0", "http://", "ftp://x"]
)
def test_what_is_no_url_is_a_wrong_flag(command: str, place: str) -> None:
    with pytest.raises(click.BadParameter, match="is no URL such as"):
        cli([command, "--socket", place], standalone_mode=False)
