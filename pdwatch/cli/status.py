"""``pdwatch status``: whether what is saved or deployed runs, and why not."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import click

from pdwatch.cli.console import coloured, print_json, stopped_by_ctrl_c, style
from pdwatch.cli.options import OUTPUT, PlaceType
from pdwatch.cli.table import age
from pdwatch.core.model import RolloutPhase, TargetName
from pdwatch.core.rollout import rollout_status
from pdwatch.errors import ExitCode, NotFoundError, PdwatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import ObservedDeployment, ObservedPod, RolloutStatus

_STYLES: dict[RolloutPhase, dict[str, Any]] = {
    RolloutPhase.READY: {"fg": "green"},
    RolloutPhase.PROGRESSING: {"fg": "yellow"},
    RolloutPhase.DEGRADED: {"fg": "yellow", "bold": True},
    RolloutPhase.NOT_READY: {"fg": "red", "bold": True},
}
_ADVICE = (
    ("CreateContainerConfigError", "", "what the message names must exist in the namespace"),
    ("ErrImageNeverPull", "", "load the image into the nodes, or deploy it with --registry"),
    ("FailedCreate", "quota", "free some of the quota, or ask for less under deployment.resources"),
    ("FailedCreate", "RuntimeClass", "`pdwatch cluster check` says what to do about gVisor"),
    ("FailedCreatePodSandBox", "", "if gVisor fails there: https://gvisor.dev/docs/user_guide/install/"),
    ("ImagePullBackOff", "", "push the image with `pdwatch deploy --registry`, or load it into the nodes"),
    ("OOMKilled", "", "raise deployment.resources.limits.memory in workflow.yaml"),
    ("Unhealthy", "", "the container runs, but does not answer on /health; its log may say why"),
    ("Unschedulable", "Insufficient", "ask for less under deployment.resources, or add a node"),
)
"""What to do about a reason whose message has a word in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """``log`` holds the last lines of the pod that ``status`` is about."""

    deployment: ObservedDeployment
    pods: Sequence[ObservedPod]
    status: RolloutStatus
    log: Sequence[str]
    now: datetime


def _name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", value):
        raise click.BadParameter(f"{value!r} is no name: small letters, digits and dashes, such as hello.")
    return value


@click.command(name="status")
@click.argument("name", callback=_name, required=False)
@click.option(
    "-n",
    "--namespace",
    callback=_name,
    help="Where it was deployed.  [default: the context's namespace; without NAME, all]",
)
@click.option("--context", help="With NAME: the kubeconfig's context.  [default: its current one]")
@click.option(
    "--target",
    type=click.Choice(get_args(TargetName)),
    help="With NAME: where to look.  [default: local if a daemon runs NAME here, else kubernetes]",
)
@click.option(
    "--socket",
    type=PlaceType(),
    metavar="PATH|URL",
    help="Where the daemon answers.  [default: all that run on this machine]",
)
@click.option("-w", "--watch", is_flag=True, help="Without NAME: show it again whenever it changes.")
@OUTPUT
def command(
    name: str | None,
    namespace: str | None,
    context: str | None,
    target: TargetName | None,
    socket: str | None,
    *,
    watch: bool,
    output: str,
) -> None:
    """Show whether what you saved is running, or whether the workflow NAME runs in the cluster.

    Without NAME it asks the daemons that run here (`pdwatch run`, `pdwatch dev`) about all their workflows:
    whether the newest save of each is what runs (`yes`, `checking`, `queued`, `building`, `rolling out`, or
    `no` and why), from the digest of the files to that of the engines. docs/http.md says how it is known.

    With NAME it asks the daemon that runs NAME on this machine, if one does (target local), and else the
    cluster, and needs no daemon. The workflow is `ready` when every pod that is wanted
    runs what was deployed last and answers; `progressing` while a rollout goes on; `degraded` when something
    serves, but not all that is wanted; `not ready` when nothing does. If it is not ready, the reason comes
    from its pods, their events, and the end of the log.

    With --output json stdout gets a list of the workflows (with --watch another line each time) or, with
    NAME, one object: name, namespace, target, url, ready (true or false), replicas (pods that
    there are) and available (those that answer); then status, stalled, desired, updated, ready_replicas,
    generation, image, source_digest, rolled_back_from (while it is held there), managed (pdwatch made it),
    created_at, reason, message, pods and log.

    \b
    Exit codes:
      0  ready; without NAME: what is saved runs, of all workflows
      1  not, or not yet
      2  a flag is wrong, or there is no usable kubeconfig
      3  the API server can't be reached; without NAME: no daemon answers
      4  there is no such workflow in the namespace

    \b
    Examples:
      pdwatch status --watch
      pdwatch status hello --namespace dev
      pdwatch status hello -o json | jq .reason
    """  # noqa: D301  # click's mark is the character, not the letters
    if name is None:
        if context is not None or target is not None:
            raise click.UsageError("--context and --target go with a NAME: a daemon knows its own.")
        _overview(socket, namespace, watch=watch, output=output)
    if watch:
        raise click.UsageError("--watch goes without a NAME.")
    if context is None and target != "kubernetes":
        _here(name, namespace, socket, output=output, required=target is not None or socket is not None)
    from pdwatch.cli.defaults import with_defaults  # noqa: PLC0415  # `--help` needs no settings

    given = with_defaults({"namespace": namespace, "context": context})
    report = asyncio.run(_look(name, given["namespace"], given["context"]))
    if output == "json":
        print_json(_document(report))
    else:
        click.echo("\n".join(_lines(report)))
    sys.exit(ExitCode.OK if report.status.phase is RolloutPhase.READY else ExitCode.FAILED)


def _overview(place: str | None, namespace: str | None, *, watch: bool, output: str) -> NoReturn:
    from pdwatch.cli import overview  # noqa: PLC0415  # `--help` needs no aiohttp

    if watch:
        with stopped_by_ctrl_c():
            asyncio.run(overview.watch(place, namespace, output=output))
    documents = asyncio.run(overview.look(place, namespace))
    if output == "json":
        print_json(documents)
    else:
        now, colour = datetime.now(UTC), coloured(sys.stdout)
        click.echo("\n".join(overview.lines(documents, now=now, colour=colour)))
    sys.exit(ExitCode.OK if all(each["running"] for each in documents) else ExitCode.FAILED)


def _here(name: str, namespace: str | None, place: str | None, *, output: str, required: bool) -> None:
    """Show the workflow that a daemon runs on this machine, and exit; return when there is none."""
    from pdwatch.cli import local_status  # noqa: PLC0415  # `--help` needs no aiohttp

    row = asyncio.run(local_status.find(name, namespace, place))
    if row is None:
        if required:
            raise NotFoundError(
                f"no daemon runs {name} on this machine", remedy="`pdwatch status` shows what they run"
            )
        return
    document = local_status.document(row)
    if output == "json":
        print_json(document)
    else:
        click.echo("\n".join(local_status.lines(row, _STYLES)))
    sys.exit(ExitCode.OK if document["ready"] else ExitCode.FAILED)


async def _look(name: str, namespace: str | None, context: str | None) -> _Report:
    # Loaded on use: `--help` needs no aiohttp.
    from pdwatch.adapters.kubernetes.connection import connect  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.deployments import find_deployment  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.pods import pods_of  # noqa: PLC0415

    async with connect(context=context) as api:
        deployment = await find_deployment(api, namespace or api.namespace, name)
        pods = await pods_of(api, deployment)
        status = rollout_status(deployment, pods)
        return _Report(
            deployment=deployment,
            pods=pods,
            status=status,
            log=await _log(api, deployment.namespace, status.pod) if status.pod else (),
            now=datetime.now(UTC),
        )


async def _log(api: Api, namespace: str, pod: str) -> Sequence[str]:
    from pdwatch.adapters.kubernetes.pods import ApiPodLogs  # noqa: PLC0415

    try:
        return await ApiPodLogs(api).last_lines(namespace, pod)
    except PdwatchError as error:
        return (f"(the log can't be read: {error.message})",)


def _document(report: _Report) -> dict[str, Any]:
    deployment, status = report.deployment, report.status
    return {
        "name": deployment.name,
        "namespace": deployment.namespace,
        "target": "kubernetes",
        "url": None,
        "ready": status.phase is RolloutPhase.READY,
        "replicas": deployment.replicas,
        "available": deployment.available,
        "status": status.phase.value,
        "stalled": status.stalled,
        "desired": deployment.desired,
        "updated": deployment.updated,
        "ready_replicas": deployment.ready,
        "generation": deployment.generation,
        "image": deployment.image,
        "source_digest": deployment.source_digest,
        "rolled_back_from": deployment.rolled_back_from,
        "managed": deployment.managed,
        "created_at": _iso(deployment.created_at),
        "reason": status.reason,
        "message": status.message,
        "pods": [
            {
                "name": pod.name,
                "phase": pod.phase,
                "ready": pod.ready,
                "restarts": pod.restarts,
                "reason": pod.reason,
                "message": pod.message,
                "source_digest": pod.source_digest,
                "terminating": pod.terminating,
                "created_at": _iso(pod.created_at),
            }
            for pod in report.pods
        ],
        "log": list(report.log),
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _lines(report: _Report) -> Iterator[str]:
    deployment, status = report.deployment, report.status
    yield f"{deployment.name}: {style(status.phase.value, sys.stdout, **_STYLES[status.phase])}"
    if status.message:
        reason = f"{status.reason}: " if status.reason else ""
        yield f"  why        {reason}{' '.join(status.message.split())}"
    for reason, word, advice in _ADVICE:
        if status.reason == reason and word in status.message:
            yield f"             {style('→', sys.stdout, fg='cyan')} {advice}"
    details = {
        "namespace": deployment.namespace,
        "replicas": f"{deployment.desired} desired, {deployment.updated} updated, {deployment.ready} ready, "
        f"{deployment.available} available",
        "image": deployment.image,
        "digest": deployment.source_digest,
        "held": _held(deployment),
        "age": age(deployment.created_at, report.now),
        "note": None if deployment.managed else "pdwatch did not make this Deployment",
    }
    yield from (f"  {key:9}  {value}" for key, value in details.items() if value)
    for pod in report.pods:
        yield f"  pod        {_pod_line(pod, report)}"
    if report.log:
        yield f"  the last lines of pod {status.pod}:"
        yield from (f"    {line}" for line in report.log)


def _held(deployment: ObservedDeployment) -> str | None:
    if deployment.rolled_back_from is None:
        return None
    return f"rolled back from {deployment.rolled_back_from}, until the next save"


def _pod_line(pod: ObservedPod, report: _Report) -> str:
    state = "terminating" if pod.terminating else "ready" if pod.ready else pod.reason or pod.phase.lower()
    old = "" if pod.source_digest == report.deployment.source_digest else ", of an older revision"
    restarts = f", restarts: {pod.restarts}" if pod.restarts else ""
    return f"{pod.name}  {state}{restarts}{old}, {age(pod.created_at, report.now)} old"
