"""``pdwatch health``: whether the daemons that run here live, and are ready."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.console import print_json
from pdwatch.cli.options import OUTPUT, PlaceType
from pdwatch.errors import DaemonUnavailableError, ExitCode

if TYPE_CHECKING:
    from pdwatch.core.daemon_state import Health, Readiness


@click.command(name="health")
@click.option("--ready", is_flag=True, help="Ask whether it is ready as well.")
@click.option(
    "--socket",
    type=PlaceType(),
    metavar="PATH|URL",
    help="Where the daemon answers.  [default: all that run on this machine]",
)
@OUTPUT
def command(socket: str | None, *, ready: bool, output: str) -> None:
    """Check that the daemon lives: for probes, which must not cost much, and for scripts.

    A daemon is healthy while its event loop answers within 5 s and every part of it shows life. It is ready
    once the first sync is done, and while every watch has the API server and every target is open.

    For liveness ask without --ready: an API server that is away is not mended by starting pdwatch again.

    With --output json stdout gets a list with one object for each daemon.

    \b
    Exit codes:
      0  healthy; with --ready: and ready
      1  a daemon is not
      2  a flag is wrong
      3  no daemon runs here

    \b
    Examples:
      pdwatch health
      pdwatch health --ready --socket http://127.0.0.1:9464
    """  # noqa: D301  # click's mark is the character, not the letters
    documents = _probed(socket)
    if output == "json":
        print_json(documents)
    else:
        click.echo("\n".join(map(_line, documents)))
    well = all(each["healthy"] and (each["ready"] or not ready) for each in documents)
    sys.exit(ExitCode.OK if well else ExitCode.FAILED)


def _probed(socket: str | None) -> list[dict[str, Any]]:
    from pdwatch.adapters.http.probe import probe  # noqa: PLC0415  # `--help` needs no HTTP
    from pdwatch.adapters.http.sockets import places_to_ask  # noqa: PLC0415

    documents: list[dict[str, Any]] = []
    failures: list[DaemonUnavailableError] = []
    for place in places_to_ask(socket, os.environ):
        try:
            documents.append(_document(place, probe(place)))
        except DaemonUnavailableError as error:  # it has ended and left its socket
            failures.append(error)
    if not documents:
        raise failures[-1]
    return documents


def _document(place: str, answer: tuple[Health, Readiness] | None) -> dict[str, Any]:
    if answer is None:
        unknown: dict[str, Any] = {"lag_s": None, "hung": [], "synced": None, "stale_watches": []}
        return {"place": place, "healthy": False, "ready": False, **unknown}
    health, readiness = answer
    return {
        "place": place,
        "healthy": health.ok,
        "ready": readiness.ready,
        "lag_s": health.lag_s,
        "hung": list(health.hung),
        "synced": readiness.synced,
        "stale_watches": list(readiness.stale),
    }


def _line(document: dict[str, Any]) -> str:
    return f"{_verdict(document)} ({document['place']})"


def _verdict(document: dict[str, Any]) -> str:
    if document["lag_s"] is None:
        return "not healthy: it does not answer"
    if not document["healthy"]:
        return f"not healthy: no life in {', '.join(document['hung'])}"
    if not document["synced"]:
        return "healthy, not ready: the first sync is not done"
    if not document["ready"]:
        return f"healthy, not ready: nothing is heard of {', '.join(document['stale_watches'])}"
    return "healthy, ready"
