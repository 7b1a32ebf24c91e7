"""systemd's journal: whether this process writes to it, and what pdwatch's unit has written there."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pdwatch.core.log_records import read_journal_entry
from pdwatch.errors import ProgramMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdwatch.core.log_records import Record

UNIT = "pdwatch.service"


def is_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Tell whether an open file is the journal's stream, as systemd.exec(5) tells by ``$JOURNAL_STREAM``."""
    found = os.fstat(descriptor)
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def unit_is_active() -> bool:
    """Tell whether systemd runs pdwatch, for the system or for this user."""
    systemctl = shutil.which("systemctl")
    return systemctl is not None and any(
        subprocess.run(  # noqa: S603  # constants, but for the program's place
            [systemctl, *manager, "is-active", "--quiet", UNIT], check=False, stderr=subprocess.DEVNULL
        ).returncode
        == 0
        for manager in ((), ("--user",))
    )


def newest_first() -> Sequence[str]:
    """Return the command that prints what the unit wrote, the newest entry first."""
    return [*_COMMAND, "--reverse"]


def following(cursor: str | None) -> Sequence[str]:
    """Return the command that prints what comes after the entry of that cursor, and goes on."""
    return [
        *_COMMAND,
        "--follow",
        *(["--lines=0"] if cursor is None else ["--no-tail", f"--after-cursor={cursor}"]),
    ]


_COMMAND = ("journalctl", "--quiet", "--output=json", "--all", f"--unit={UNIT}", f"--user-unit={UNIT}")
"""Both units, system and user: an entry of either matches."""


@contextmanager
def entries(command: Sequence[str]) -> Iterator[Iterator[Record]]:
    """Run ``journalctl``, and yield its entries as records; it is ended with the block.

    Raises:
        ProgramMissingError: There is no journalctl.
    """
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # noqa: S603
    except FileNotFoundError as error:
        raise ProgramMissingError(
            "there is no journalctl on this machine", remedy="leave --journal out to read pdwatch's own file"
        ) from error
    with child:
        assert child.stdout is not None
        try:
            yield (record for line in child.stdout if (record := read_journal_entry(line)) is not None)
        finally:
            child.terminate()
