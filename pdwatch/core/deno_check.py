"""What ``deno check`` prints, read as the errors that it is about."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

_BEGIN = re.compile(r"^(?=TS\d+ \[ERROR\]: |error: )", re.MULTILINE)
_PLACE = re.compile(r"\bat (?P<path>/.*):(?P<line>\d+):(?P<column>\d+)$")
_SUMMARY = re.compile(r"(?:Found \d+ errors?\.|error: Type checking failed\.)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """An error, its place, which some have none of, and what Deno shows of the source."""

    message: str
    path: str | None = None
    line: int | None = None
    column: int | None = None
    excerpt: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = (f"{part}:" for part in (self.path, self.line, self.column) if part is not None)
        return " ".join(filter(None, ("".join(place), self.message)))


def diagnostics(output: str, *, status: int) -> tuple[Diagnostic, ...]:
    """Return the errors that a failed check printed, at least one.

    Args:
        output: Its standard output and error, uncoloured, with paths in place of ``file:`` URLs.
        status: Its exit status; negative is the signal that ended it.
    """
    text = "\n".join(line for line in output.splitlines() if not _SUMMARY.match(line)).strip()
    parts = [part for part in _BEGIN.split(text) if _BEGIN.match(part)]
    return tuple(map(_diagnostic, parts)) or (
        Diagnostic(message=_failure(status), excerpt=tuple(text.splitlines())),
    )


def _failure(status: int) -> str:
    return "Deno's check failed" if status > 0 else f"Deno's check was {killed(status)}"


def killed(status: int) -> str:
    """Say what ended a process whose exit status is negative: ``ended by signal 9: Killed``."""
    return f"ended by signal {-status}: {signal.strsignal(-status)}"


def _diagnostic(part: str) -> Diagnostic:
    message, *lines = part.rstrip().splitlines()
    message = message.removeprefix("error: ")
    for index, line in enumerate(lines):
        if place := _PLACE.search(line):
            return Diagnostic(
                message=message,
                path=place["path"],
                line=int(place["line"]),
                column=int(place["column"]),
                excerpt=(*lines[:index], *lines[index + 1 :]),
            )
    return Diagnostic(message=message, excerpt=tuple(lines))
