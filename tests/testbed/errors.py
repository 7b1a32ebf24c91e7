"""What can go wrong with the testbed, said so that the reader knows what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TAIL_LINES = 25


class TestbedError(Exception):
    """A step of the testbed failed.

    Args:
        message: What failed.
        remedy: What the reader can do about it.
        log: A log whose last lines belong to the message; they are read at once, since the log may go.
    """

    __test__ = False  # the name makes pytest take it for a test class

    def __init__(self, message: str, *, remedy: str | None = None, log: Path | None = None) -> None:
        parts = [message]
        if log is not None:
            parts += [f"The last lines of {log}:", *(f"  | {line}" for line in tail(log))]
        if remedy is not None:
            parts.append(f"What to do: {remedy}")
        super().__init__("\n".join(parts))


class PrerequisiteMissingError(TestbedError):
    """This machine can't hold a testbed: tests that need one are skipped, except in CI."""


def tail(log: Path, lines: int = _TAIL_LINES) -> list[str]:
    """Return the last lines of a log; none when there is no log."""
    try:
        return log.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []
