"""Record the terminal session that README.md opens with: a real ``pdwatch dev``, real requests, real saves.

It works on a copy of ``examples/order-quote`` in a temporary directory, which the recording calls ``~``. A
prompt and what is typed at it are drawn; everything else is what the programs wrote. It takes the time
of somebody who types and reads. See README.md here.
"""
# ruff: noqa: INP001  # a script of its own

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parents[2]
EXAMPLE = "order-quote"
COLUMNS, ROWS = 104, 31
TYPED_S = 0.09
"""Between two words that are typed."""
READ_S = 2.2
"""After something worth reading."""
IDLE_S = 1.5
"""Longest wait for a program that is shown; what a save takes is in pdwatch's own line."""
PATIENCE_S = 60.0
STYLE = re.compile(r"\x1b\[[\d;]*m")

RUNS = r"runs in [\d.]+ m?s\s"
NODE = f"{EXAMPLE}/nodes/quote.ts"


class Recording:
    """An asciicast v2 of what appears on one pseudo-terminal.

    Args:
        file: Where the cast goes.
        home: A directory that is written as ``~``.
    """

    def __init__(self, file: TextIO, home: Path) -> None:
        self._file, self._home = file, home
        self._master, self._slave = pty.openpty()
        termios.tcsetwinsize(self._slave, (ROWS, COLUMNS))
        self._shown_s, self._last = 0.0, time.monotonic()
        header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "pdwatch dev"}
        file.write(json.dumps(header) + "\n")

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Start a shell command on the terminal."""
        environment = {**os.environ, "HOME": str(self._home), "TERM": "xterm-256color"}
        terminal = self._slave
        return subprocess.Popen(  # noqa: S602  # the session's own commands
            command,
            shell=True,
            cwd=self._home,
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )

    def prompt(self) -> None:
        """Draw a prompt."""
        self._write("\x1b[1;32m$\x1b[0m ")

    def type(self, command: str) -> None:
        """Draw a prompt and a command that is typed at it."""
        self.prompt()
        for word in command.split(" "):
            time.sleep(TYPED_S)
            self._write(f"{word} ")
        time.sleep(4 * TYPED_S)
        self._write("\r\n")

    def until(self, pattern: str) -> re.Match[str]:
        """Record until the terminal shows something, and return that.

        Raises:
            TimeoutError: It did not within a minute.
        """
        shown, deadline = "", time.monotonic() + PATIENCE_S
        while (found := re.search(pattern, STYLE.sub("", shown))) is None:
            if not select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"no {pattern!r} in:\n{shown}")
            text = os.read(self._master, 65536).decode().replace(str(self._home), "~")
            shown += text
            self._write(text)
        return found

    def _write(self, text: str) -> None:
        now = time.monotonic()
        self._shown_s, self._last = self._shown_s + min(now - self._last, IDLE_S), now
        self._file.write(json.dumps([round(self._shown_s, 3), "o", text]) + "\n")


def perform(recording: Recording) -> None:
    """Play the session: start, ask, save, ask, break it, ask, mend it."""
    recording.type(f"pdwatch dev {EXAMPLE} &")
    dev = recording.start(f"exec pdwatch dev {EXAMPLE}")
    try:
        url = recording.until(rf"(http://\S+/run)\s[^$]*{RUNS}")[1]
        time.sleep(READ_S)
        ask(recording, url)
        save(recording, "s/net + vat }/net + vat + 500 }/", expect=RUNS)
        ask(recording, url)
        save(recording, "s/goods.cents + ship/goods.cent + ship/", expect=r"goes on serving\s")
        ask(recording, url)
        save(recording, "s/goods.cent + ship/goods.cents + ship/; s/500/250/", expect=RUNS)
        ask(recording, url)
        time.sleep(READ_S)
        recording.prompt()
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait()


def ask(recording: Recording, url: str) -> None:
    """Run the workflow once; its answer is the last thing that appears."""
    command = f"curl -s {url} | jq -c .outputs.quote"
    recording.type(command)
    asked = recording.start(command)
    recording.until(r'"total":\d+\}\s')
    asked.wait()
    time.sleep(READ_S)


def save(recording: Recording, edit: str, *, expect: str) -> None:
    """Change a node's file, and wait for what comes of it."""
    command = f"sed -i '{edit}' {NODE}"
    recording.type(command)
    recording.start(command).wait()
    recording.until(expect)
    time.sleep(READ_S)


def main() -> None:
    """Write the cast to the file that the command line names."""
    [cast] = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name, Path(cast).open("w") as file:
        home = Path(name).resolve()
        shutil.copytree(ROOT / "examples" / EXAMPLE, home / EXAMPLE)
        shutil.copy(ROOT / "examples/deno.json", home)
        perform(Recording(file, home))


if __name__ == "__main__":
    main()
