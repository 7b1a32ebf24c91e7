"""Whether a case passed, and what to tell about one that failed, with the values of secrets masked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pdwatch.core.answers import example_answer
from pdwatch.core.difference import Difference, differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdwatch.core.fixtures import Case

MOST_DIFFERENCES = 20
"""Of one case; more would hide the others."""
MASK = "[redacted]"
_SHORTEST_MASKED = 4
"""As in the engine's redaction.ts: shorter values turn up in words that have nothing to do with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of running a case; the engine's ``harness/plan.ts`` describes the fields."""

    outputs: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    duration_ms: int = 0
    log: tuple[str, ...] = ()
    unmocked: tuple[tuple[str, str], ...] = ()
    """Method and URL of each request that nothing answered."""
    used: tuple[int, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A case with what came of it; ``log`` is empty unless it failed.

    ``broken`` says that it could not be run at all, or not to its end.
    """

    case: Case
    duration_ms: int
    failures: tuple[Difference, ...]
    log: tuple[str, ...]
    broken: bool

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.failures


def read_outcome(document: Mapping[str, Any]) -> Outcome:
    """Return an outcome from the JSON that the harness writes."""
    return Outcome(
        outputs=document["outputs"],
        errors=document["errors"],
        duration_ms=document["durationMs"],
        log=tuple(document["log"]),
        unmocked=tuple((asked["method"], asked["url"]) for asked in document["unmocked"]),
        used=tuple(document["used"]),
        fault=document["fault"],
    )


def judge(case: Case, outcome: Outcome) -> Verdict:
    """Compare what came of a case with what it expects."""
    masked = _Mask(case.secrets)
    found = [*_failures(case, outcome, masked)]
    shown = found[:MOST_DIFFERENCES]
    if len(found) > MOST_DIFFERENCES:
        shown.append(Difference(message=f"… and {len(found) - MOST_DIFFERENCES} more"))
    return Verdict(
        case=case,
        duration_ms=outcome.duration_ms,
        failures=tuple(
            Difference(message=masked(failure.message), diff=tuple(map(masked, failure.diff)))
            for failure in shown
        ),
        log=tuple(map(masked, outcome.log)) if found else (),
        broken=outcome.fault is not None,
    )


def _failures(case: Case, outcome: Outcome, masked: _Mask) -> Iterator[Difference]:
    if outcome.fault is not None:
        yield Difference(message=outcome.fault)
        return
    for method, url in dict.fromkeys(outcome.unmocked):
        advice = f'add to "fetch" in {case.path}: {example_answer(method, url)}'
        yield Difference(message=f"nothing answers {method} {url}; {advice}")
    yield from _wrong_errors(case, outcome, masked)
    # Where a node failed that should not have, what it and those after it return is no news.
    if not outcome.errors.keys() - case.errors.keys():
        yield from _wrong_outputs(case, outcome, masked)
    for index, (answer, times) in enumerate(zip(case.fetch, outcome.used, strict=True)):
        if times == 0 and not answer.optional:
            advice = 'remove it, or set "optional": true'
            yield Difference(message=f"fetch[{index}]: nothing asked for {answer}; {advice}")


def _wrong_errors(case: Case, outcome: Outcome, masked: _Mask) -> Iterator[Difference]:
    for node, error in outcome.errors.items():
        wanted = case.errors.get(node)
        if wanted is None:
            yield Difference(message=f"{node} failed: {error}")
        elif wanted not in error:
            yield from differences(wanted, error, at=f"errors.{node}", mask=masked)
    for node, wanted in case.errors.items():
        if node in outcome.errors:
            continue
        returned = outcome.outputs.get(node)
        came = (
            f"it returned {masked(json.dumps(returned, ensure_ascii=False))[:200]}"
            if node in outcome.outputs
            else "it was not run"
        )
        yield Difference(message=f"{node}: expected to fail with {json.dumps(wanted)}, but {came}")


def _wrong_outputs(case: Case, outcome: Outcome, masked: _Mask) -> Iterator[Difference]:
    actual = {node: outcome.outputs[node] for node in case.outputs if node in outcome.outputs}
    if case.node is None:
        yield from differences(dict(case.outputs), actual, at="outputs", mask=masked)
    elif case.node in case.outputs and case.node in actual:
        yield from differences(case.outputs[case.node], actual[case.node], at="output", mask=masked)


class _Mask:
    """Replaces the values of secrets in a text."""

    def __init__(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        values = {value for secret in secrets.values() for value in secret.values()}
        spellings = {
            each for value in values for each in (value, json.dumps(value, ensure_ascii=False)[1:-1])
        }
        long = [each for each in spellings if len(each) >= _SHORTEST_MASKED]
        self._spellings = sorted(long, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, MASK)
        return text
