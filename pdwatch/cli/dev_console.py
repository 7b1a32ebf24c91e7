"""How ``pdwatch dev`` looks on a terminal: a line a reload, errors as compilers show them, engine logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import structlog

from pdwatch.core.graph import Graph, compile_graph
from pdwatch.logs import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import EventDict

    from pdwatch.core.model import WorkflowSpec

_COLOURS = {"debug": "bright_black", "info": "green", "warning": "yellow", "error": "red"}
_INDENT = "  "
_STEPS = frozenset(
    {
        Event.DAEMON_SYNCED,
        Event.DAEMON_STOPPING,
        Event.DAEMON_STOPPED,
        Event.HTTP_LISTENING,
        Event.HTTP_UNAVAILABLE,
        Event.WORKFLOW_FOUND,
        Event.WORKFLOW_CHANGED,
        Event.WORKFLOW_UNCHANGED,
        Event.WORKFLOW_SUPERSEDED,
        Event.BUILD_STARTED,
        Event.BUILD_SUCCEEDED,
        Event.SECRETS_APPLIED,
        Event.DEPLOY_APPLIED,
        Event.ROLLOUT_PROGRESSING,
    }
)
"""What goes on between a save and its outcome; ``--log-format json`` has all of it."""


class DevConsole:
    """A structlog renderer.

    Args:
        spec: Returns the workflow as it is on disk; None while it is not valid.
        url: Where it is going to answer.
        check: Whether a save must pass Deno's type check.
        colour: Whether lines are coloured.
    """

    def __init__(
        self, spec: Callable[[], WorkflowSpec | None], *, url: str, check: bool, colour: bool
    ) -> None:
        self._spec = spec
        self._url = url
        self._check = check
        self._colour = colour
        self._shown = ""
        """The last banner."""
        self._has_run = False

    def __call__(self, _logger: object, _method: str, fields: EventDict) -> str:
        """Return the text for one event.

        Raises:
            structlog.DropEvent: The event is one of the steps that only its outcome is shown of.
        """
        event = Event(fields["event"])
        if event in _STEPS:
            raise structlog.DropEvent
        special = {
            Event.DAEMON_STARTED: self._started,
            Event.ENDPOINT_OPENED: self._opened,
            Event.ROLLOUT_COMPLETE: self._complete,
            Event.WORKFLOW_CURRENT: self._current,
            Event.ROLLOUT_STALLED: self._crash,
            Event.BUILD_FAILED: self._failure,
            Event.WORKFLOW_INVALID: self._problem,
            Event.ENGINE_OUTPUT: self._engine,
        }
        return special.get(event, self._other)(fields)

    def _started(self, _: Mapping[str, Any]) -> str:
        """Show at once what is there, and what takes time; what is wrong with it is told as soon."""
        spec = self._spec()
        if spec is None:
            raise structlog.DropEvent
        self._shown = self._banner(spec, self._url)
        return f"{self._shown}\nchecking types…" if self._check else self._shown

    def _opened(self, fields: Mapping[str, Any]) -> str:
        """Show it if it was not shown, or is another by now."""
        before, self._shown = self._shown, self._banner(self._spec(), fields["url"])
        if self._shown == before:
            raise structlog.DropEvent
        return self._shown

    def _banner(self, spec: WorkflowSpec | None, url: str) -> str:
        if spec is None:
            return self._style(url, fg="cyan", bold=True)
        return "\n".join(
            [
                self._style(f"{spec.name} {spec.version}", bold=True),
                *(f"{_INDENT}{line}" for line in graph_lines(spec)),
                *(f"{_INDENT}{self._style(line, fg='cyan')}" for line in endpoint_lines(spec, url)),
            ]
        )

    def _complete(self, fields: Mapping[str, Any]) -> str:
        self._has_run = True
        since = fields.get("since_save_ms") or fields.get("rollout_ms")
        took = f" in {since:.0f} ms" if since is not None else ""
        return f"{self._style('✓', fg='green', bold=True)} {fields['workflow']} runs{took}"

    def _current(self, fields: Mapping[str, Any]) -> str:
        return f"{self._style('✓', fg='green', bold=True)} {fields['message']}"

    def _failure(self, fields: Mapping[str, Any]) -> str:
        said = f"{self._cross()} {self._style(str(fields['message']), bold=True)}"
        serving = [f"{_INDENT}what ran before goes on serving"] if self._has_run else []
        return "\n".join([said, *_indented(fields.get("output")), *serving])

    def _crash(self, fields: Mapping[str, Any]) -> str:
        said = f"{self._cross()} {fields['workflow']} crashes: {fields.get('message', '')}"
        return "\n".join([said, *_indented(fields.get("output"))])

    def _problem(self, fields: Mapping[str, Any]) -> str:
        place = ":".join(
            str(fields[key]) for key in ("path", "line", "column") if fields.get(key) is not None
        )
        where = f"{fields['where']}: " if fields.get("where") else ""
        return f"{self._cross()} {self._style(f'{place}:', bold=True)} {where}{fields['message']}"

    def _engine(self, fields: Mapping[str, Any]) -> str:
        level = str(fields["level"])
        node = f"[{fields['node']}] " if fields.get("node") else ""
        detail = f" {fields['detail']}" if fields.get("detail") else ""
        return (
            f"{_INDENT}{self._style(f'{level:7}', fg=_COLOURS.get(level))} {node}{fields['message']}{detail}"
        )

    def _other(self, fields: Mapping[str, Any]) -> str:
        event = self._style(str(fields["event"]), fg=_COLOURS.get(str(fields["level"])))
        remedy = f"\n{_INDENT}→ {fields['remedy']}" if fields.get("remedy") else ""
        return f"{event} {fields.get('message', '')}{remedy}".rstrip()

    def _cross(self) -> str:
        return self._style("✗", fg="red", bold=True)

    def _style(self, text: str, **styles: Any) -> str:
        return click.style(text, **styles) if self._colour else text


def graph_lines(spec: WorkflowSpec) -> list[str]:
    """Return the stages, one a line, in the order in which they run."""
    graph = compile_graph([node.id for node in spec.nodes], spec.edges)
    assert isinstance(graph, Graph), "a valid workflow has a graph"
    return [f"{number}. {', '.join(stage)}" for number, stage in enumerate(graph.stages, start=1)]


def endpoint_lines(spec: WorkflowSpec, url: str) -> list[str]:
    """Return what starts a run: addresses and schedules."""
    webhooks = [f"{url}{trigger.path}" for trigger in spec.triggers if trigger.type == "webhook"]
    schedules = [f"cron {trigger.schedule} (UTC)" for trigger in spec.triggers if trigger.type == "cron"]
    return [f"{url}/run", *webhooks, *schedules]


def _indented(text: object) -> list[str]:
    return [f"{_INDENT}{line}" for line in str(text or "").splitlines()]
