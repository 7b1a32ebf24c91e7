"""The ``pdwatch`` command: finds the subcommand, turns expected errors into a message and exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from pdwatch import __version__
from pdwatch.cli.console import report_error
from pdwatch.errors import ExitCode, PdwatchError

COMMANDS = {
    "build": "pdwatch.cli.build",
    "cluster": "pdwatch.cli.cluster",
    "completion": "pdwatch.cli.completion",
    "config": "pdwatch.cli.config",
    "deploy": "pdwatch.cli.deploy",
    "dev": "pdwatch.cli.dev",
    "health": "pdwatch.cli.health",
    "init": "pdwatch.cli.init",
    "logs": "pdwatch.cli.logs",
    "pod-logs": "pdwatch.cli.pod_logs",
    "prune": "pdwatch.cli.prune",
    "rollback": "pdwatch.cli.rollback",
    "run": "pdwatch.cli.run",
    "status": "pdwatch.cli.status",
    "test": "pdwatch.cli.test",
    "undeploy": "pdwatch.cli.undeploy",
    "validate": "pdwatch.cli.validate",
}
"""Subcommand → the module whose ``command`` it is. Loaded on use: ``validate`` must not import Kubernetes."""

SHORT_HELP = {
    "build": "Build a workflow's image.",
    "cluster": "Check that a cluster can run workflows.",
    "completion": "Print the script that completes pdwatch in a shell.",
    "config": "Show the settings that hold, and where each comes from.",
    "deploy": "Build a workflow's image and apply its Deployment and Service.",
    "dev": "Run a workflow on this machine, and reload it on every save.",
    "health": "Check that the daemon lives and is ready.",
    "init": "Create a workflow that runs as it is.",
    "logs": "Show what the daemon wrote.",
    "pod-logs": "Show what a workflow's pods write.",
    "prune": "Remove old images of workflows from Docker.",
    "rollback": "Return a workflow to what it ran before, and hold it there.",
    "run": "Watch workflow directories; rebuild and redeploy on every save.",
    "status": "Show whether what you saved is running, and why not.",
    "test": "Run the test fixtures of workflows.",
    "undeploy": "Remove a workflow from the cluster.",
    "validate": "Check workflow.yaml and the files that it names.",
}
"""What ``pdwatch --help`` shows, so that it need not import the commands."""


INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended before it was done: 128 and the number of SIGINT."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of the subcommands, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return the subcommand; None when there is none of that name."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = importlib.import_module(module).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; of one that there is not, name the nearest, of which click knows none."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the subcommands without importing them, and flags as click does."""
        commands = [
            CompletionItem(name, help=SHORT_HELP[name])
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; Ctrl-C ends it as it ends other programs."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, SHORT_HELP[name]) for name in self.list_commands(ctx)])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "PDWATCH"},
    epilog="Exit codes: 0 done, 1 the answer is no, 2 usage, 3 Docker or the cluster can't be reached, "
    "4 not found, 5 held. Every flag can be set as PDWATCH_<COMMAND>_<FLAG>.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Close the loop between an editor and a Kubernetes cluster.

    Save a workflow, and a few seconds later the new code answers from a pod under gVisor.

    Start with `pdwatch init NAME`, then `pdwatch cluster check`, then `pdwatch run DIR`.
    """


def main() -> None:
    """Run the command line; the only place that turns a :class:`PdwatchError` into an exit code."""
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what can't be encoded is to be seen, not to end pdwatch
            stream.reconfigure(errors="backslashreplace")
    try:
        cli(prog_name="pdwatch")
    except PdwatchError as error:
        report_error(error)
        sys.exit(error.exit_code)
    except OSError as error:
        if not _raised_by_printing(error):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest at its end
        report_error(PdwatchError(f"the output can't be written: {error.strerror}"))
        sys.exit(ExitCode.FAILED)


def _open_standard_streams() -> None:
    """Open /dev/null where the caller has closed a standard stream, lest another file take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w" if number else "r"))  # noqa: SIM115  # as long as pdwatch


def _raised_by_printing(error: OSError) -> bool:
    *_, (innermost, _) = traceback.walk_tb(error.__traceback__)
    return innermost.f_code is click.echo.__code__
