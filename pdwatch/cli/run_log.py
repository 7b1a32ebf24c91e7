"""Where the daemon's log lines go: to stdout, and to a file of its own unless stdout is the journal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

from pdwatch.adapters.journal import is_journal
from pdwatch.adapters.log_file import LogFile, default_log_file
from pdwatch.adapters.log_stream import LogStream
from pdwatch.cli.console import coloured
from pdwatch.logs import Event, EventLog, FileOutput, configure
from pdwatch.paths import expanded
from pdwatch.settings.model import AUTO, NONE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import TextIO

    from pdwatch.settings import LogSettings

_STDOUT = "stdout"


def log_path(settings: LogSettings, environ: Mapping[str, str]) -> Path | None:
    """Return the log file that the settings name; None when there is to be none."""
    if settings.file == NONE:
        return None
    return default_log_file(environ) if settings.file == AUTO else expanded(settings.file)


class RunLog:
    """Has lines written as settings say; called again with others, from then on as these say."""

    def __init__(self, environ: Mapping[str, str], *, log: EventLog) -> None:
        self._environ = environ
        self._log = log
        self._file: LogFile | None = None
        self._opened_with: tuple[Path | None, int, int] | None = None
        self._stdout = LogStream(sys.stdout, lost=self._lost_on_stdout, resumed=self._resumed_on_stdout)

    def configure(self, settings: LogSettings) -> None:
        """Have lines written to stdout and to the file as the settings say."""
        on_journal = is_journal(self._environ, sys.stdout.fileno())
        path = None if on_journal and settings.file == AUTO else log_path(settings, self._environ)
        wanted = (path, settings.max_bytes, settings.backups)
        if wanted != self._opened_with:
            if self._file is not None:
                self._file.close()
            self._file = None if path is None else self._open(path, settings)
            self._opened_with = wanted
        configure(
            settings.format,
            level=settings.level,
            stream=cast("TextIO", self._stdout),
            colour=coloured(sys.stdout),
            file=FileOutput(write=self._file.write, level=settings.file_level) if self._file else None,
            priorities=on_journal,
        )

    def _lost_on_stdout(self, error: OSError) -> None:
        self._log.emit(
            Event.LOG_LOST,
            path=_STDOUT,
            message=f"stdout can't be written: {error.strerror}; lines go to the log file alone, if any",
            remedy="make room where stdout leads",
        )

    def _resumed_on_stdout(self) -> None:
        self._log.emit(Event.LOG_RESUMED, path=_STDOUT)

    def _open(self, path: Path, settings: LogSettings) -> LogFile:
        def lost(error: OSError) -> None:
            self._log.emit(
                Event.LOG_LOST,
                path=str(file.path),
                message=f"the log file can't be written: {error.strerror}; lines go to stdout alone",
                remedy="make room or mend the directory's rights, or set log.file to another path or none",
            )

        file = LogFile(
            path,
            max_bytes=settings.max_bytes,
            backups=settings.backups,
            lost=lost,
            resumed=lambda: self._log.emit(Event.LOG_RESUMED, path=str(file.path)),
        )
        return file
