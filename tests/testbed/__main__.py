"""``python -m tests.testbed up|down|status|env|exec``: a Docker, a registry and a Kubernetes with gVisor."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from typing import TYPE_CHECKING

from tests.testbed import client, cluster
from tests.testbed.errors import TestbedError
from tests.testbed.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

_PROGRAM = f"{os.path.relpath(sys.executable)} -m tests.testbed"
_USAGE = f"""
Use it in this shell:      eval "$({_PROGRAM} env)"
or for a single command:   {_PROGRAM} exec -- kubectl get pods --all-namespaces
Take it down:              {_PROGRAM} down
"""


def steps() -> Callable[[str], None]:
    """Return a function that prints a step of the work with the seconds since it began."""
    began = time.monotonic()
    return lambda step: print(f"{time.monotonic() - began:6.1f} s  {step}", file=sys.stderr, flush=True)


def _up(layout: Layout, _: argparse.Namespace) -> int:
    progress = steps()
    progress("The testbed is up" if cluster.up(layout, progress) else "The testbed was up already")
    print(_USAGE, file=sys.stderr)
    return 0


def _down(layout: Layout, _: argparse.Namespace) -> int:
    progress = steps()
    progress("The testbed is down" if cluster.down(layout) else "There was no testbed")
    return 0


def _status(layout: Layout, _: argparse.Namespace) -> int:
    complaints = cluster.complaints(layout, cluster.running(layout))
    for name, reason in complaints.items():
        print(f"{name}: {reason}")
    print(f"The testbed in {layout.state} is {'not well' if complaints else 'up and well'}.")
    return 1 if complaints else 0


def _env(layout: Layout, _: argparse.Namespace) -> int:
    testbed = client.of_instance(layout, cluster.running(layout))
    for name, value in testbed.variables.items():
        print(f"export {name}={shlex.quote(value)}")
    print(f'export PATH={shlex.quote(str(layout.programs))}:"$PATH"')
    return 0


def _exec(layout: Layout, arguments: argparse.Namespace) -> int:
    testbed = client.of_instance(layout, cluster.running(layout))
    program, *_ = arguments.command
    try:
        os.execvpe(program, arguments.command, testbed.environment)
    except OSError as error:
        raise TestbedError(f"{program}: {error.strerror}") from error


def main() -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.testbed", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, description in (
        ("up", _up, "bring it up; says so at once when it is"),
        ("down", _down, "end it and remove everything but the cache"),
        ("status", _status, "say what is wrong with it; exit status 1 when anything is"),
        ("env", _env, "print the shell commands that lead every tool to it"),
        ("exec", _exec, "run a command that is led to it"),
    ):
        command = commands.add_parser(name, help=description, description=description)
        command.set_defaults(run=run)
        if name == "exec":
            command.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    try:
        status: int = arguments.run(Layout.from_environment(os.environ), arguments)
    except TestbedError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return status


if __name__ == "__main__":
    sys.exit(main())
