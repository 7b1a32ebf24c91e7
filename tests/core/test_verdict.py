"""Whether a case passed, and what is told when it did not."""

from __future__ import annotations

from typing import Any

import pytest

from pdwatch.core.answers import Answer
from pdwatch.core.fixture_plan import harness_plan
from pdwatch.core.fixtures import Case
from pdwatch.core.model import Node, Trigger, WorkflowSpec
from pdwatch.core.verdict import MOST_DIFFERENCES, Outcome, judge, read_outcome

PATH = "tests/fixtures/a.json"
ANSWER = Answer(url="https://api.x.com/y", method="GET")


def case_of(node: str | None = "a", **more: Any) -> Case:
    return Case(id="a", node=node, path=PATH, line=1, **more)


def failures(case: Case, outcome: Outcome) -> list[str]:
    verdict = judge(case, outcome)
    assert verdict.passed == (verdict.failures == ())
    return [failure.message for failure in verdict.failures]


UNUSED = 'fetch[0]: nothing asked for GET https://api.x.com/y; remove it, or set "optional": true'
UNMOCKED = "nothing answers GET https://api.x.com/y; "
ADDED = f'add to "fetch" in {PATH}: {{"service": "x", "path": "/y", "json": {{}}}}'


@pytest.mark.parametrize(
    ("case", "outcome", "found"),
    [
        pytest.param(case_of(outputs={"a": 1}), Outcome(outputs={"a": 1}), [], id="as expected"),
        pytest.param(case_of(outputs={"a": None}), Outcome(outputs={"a": None}), [], id="null as expected"),
        pytest.param(
            case_of(outputs={"a": {"b": 1}}),
            Outcome(outputs={"a": {"b": 2}}),
            ["output.b: expected 1, got 2"],
            id="another output",
        ),
        pytest.param(
            case_of(outputs={"a": 1}), Outcome(errors={"a": "no"}), ["a failed: no"], id="an error instead"
        ),
        pytest.param(
            case_of(errors={"a": "time"}), Outcome(errors={"a": "timed out"}), [], id="a part of the error"
        ),
        pytest.param(
            case_of(errors={"a": "x"}),
            Outcome(errors={"a": "no"}),
            ['errors.a: expected "x", got "no"'],
            id="another error",
        ),
        pytest.param(
            case_of(errors={"a": "x"}),
            Outcome(outputs={"a": [1]}),
            ['a: expected to fail with "x", but it returned [1]'],
            id="no error",
        ),
        pytest.param(
            case_of(None, errors={"b": "x"}, outputs={"a": 1}),
            Outcome(outputs={"a": 1}),
            ['b: expected to fail with "x", but it was not run'],
            id="a node that did not come to its turn",
        ),
        pytest.param(
            case_of(None, outputs={"a": 1}), Outcome(outputs={"a": 1, "b": 2}), [], id="some of the outputs"
        ),
        pytest.param(
            case_of(None, outputs={"a": 1, "b": 2}),
            Outcome(outputs={"a": 1}),
            ["outputs.b: is missing, expected 2"],
            id="an output that is missing",
        ),
        pytest.param(
            case_of(None, outputs={"b": 2}),
            Outcome(errors={"a": "no"}),
            ["a failed: no"],
            id="what follows a failure is no news",
        ),
        pytest.param(
            case_of(fetch=(ANSWER,), outputs={"a": 1}),
            Outcome(outputs={"a": 1}, used=(0,)),
            [UNUSED],
            id="an answer that nothing asked for",
        ),
        pytest.param(
            case_of(fetch=(Answer(url="https://x.org", optional=True),), outputs={"a": 1}),
            Outcome(outputs={"a": 1}, used=(0,)),
            [],
            id="an optional one",
        ),
        pytest.param(
            case_of(outputs={"a": 1}),
            Outcome(outputs={"a": 1}, unmocked=(("GET", "https://api.x.com/y"),) * 2),
            [UNMOCKED + ADDED],
            id="a request without an answer, though the node did without it",
        ),
        pytest.param(
            case_of(fetch=(ANSWER,), outputs={"a": 1}), Outcome(fault="broke"), ["broke"], id="not run at all"
        ),
    ],
)
def test_a_case_fails_for_what_is_not_as_expected(case: Case, outcome: Outcome, found: list[str]) -> None:
    assert failures(case, outcome) == found


def test_only_a_case_that_could_not_be_run_is_broken() -> None:
    assert judge(case_of(), Outcome(fault="broke")).broken
    assert not judge(case_of(outputs={"a": 1}), Outcome(outputs={"a": 2})).broken


def test_the_log_is_told_of_failed_cases_only() -> None:
    log = ("a line",)
    assert judge(case_of(outputs={"a": 1}), Outcome(outputs={"a": 1}, log=log)).log == ()
    assert judge(case_of(outputs={"a": 1}), Outcome(outputs={"a": 2}, log=log)).log == log


def test_of_many_differences_the_first_are_told() -> None:
    wanted = list(range(MOST_DIFFERENCES + 5))
    found = failures(case_of(outputs={"a": wanted}), Outcome(outputs={"a": [-1] * len(wanted)}))
    assert len(found) == MOST_DIFFERENCES + 1
    assert found[-1] == "… and 5 more"


PEM = "-----BEGIN-----\ncanary\n-----END-----"


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(Outcome(outputs={"a": {"key": PEM}}), id="in the output"),
        pytest.param(Outcome(outputs={"a": {PEM: 1}}), id="as a key of the output"),
        pytest.param(Outcome(outputs={"a": "x" * 50 + PEM}), id="where it would be cut"),
        pytest.param(Outcome(outputs={"a": f"{'long ' * 30}\n{PEM}"}), id="in a diff of lines"),
        pytest.param(Outcome(errors={"a": PEM}), id="in an error"),
        pytest.param(Outcome(fault=PEM, log=(PEM,)), id="in a fault and the log"),
    ],
)
def test_values_of_secrets_are_masked_in_all_that_is_told(outcome: Outcome) -> None:
    verdict = judge(case_of(secrets={"x": {"pem": PEM}}, outputs={"a": {}}), outcome)
    assert verdict.failures
    assert "canary" not in repr(verdict.failures) + repr(verdict.log)


def test_a_short_value_is_not_masked_within_words() -> None:
    case = case_of(secrets={"x": {"region": "eu"}}, outputs={"a": 1})
    assert failures(case, Outcome(errors={"a": "the queue is full"})) == ["a failed: the queue is full"]


def test_the_harness_is_asked_for_what_the_case_says_and_answers_in_json() -> None:
    spec = WorkflowSpec(
        name="hello",
        version="1.0",
        triggers=(Trigger(type="manual"),),
        nodes=(Node(id="a", path="./a.ts"), Node(id="b", path="./b.ts")),
    )
    one = case_of(payload=1, fetch=(ANSWER,), config={"a": {"limit": 1}}, secrets={"x": {"token": "y"}})
    plan = harness_plan([one, case_of(None, mocks={"b": 2})], spec, directory="/app", mark="outcome 7")
    assert (plan["mark"], plan["directory"]) == ("outcome 7", "/app")
    first, second = plan["cases"]
    assert first == {
        "nodes": ["a"],
        "payload": 1,
        "config": {"a": {"limit": 1}},
        "secrets": {"x": {"token": "y"}},
        "fetch": [
            {
                "url": "https://api.x.com/y",
                "method": "GET",
                "status": 200,
                "headers": {},
                "body": "",
                "error": None,
                "repeat": False,
            }
        ],
        "mocks": {},
    }
    assert (second["nodes"], second["mocks"]) == (["a", "b"], {"b": 2})
    answered = {
        "outputs": {"a": 1},
        "errors": {"b": "no"},
        "durationMs": 7,
        "log": ["a line"],
        "unmocked": [{"method": "GET", "url": "https://x.org/"}],
        "used": [1],
        "fault": None,
    }
    assert read_outcome(answered) == Outcome(
        outputs={"a": 1},
        errors={"b": "no"},
        duration_ms=7,
        log=("a line",),
        unmocked=(("GET", "https://x.org/"),),
        used=(1,),
    )
