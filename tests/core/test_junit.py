from __future__ import annotations

import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.difference import Difference
from pdwatch.core.fixtures import Case
from pdwatch.core.junit import junit_xml
from pdwatch.core.model import Problem
from pdwatch.core.verdict import Verdict


def verdict(*failures: Difference, broken: bool = False, log: tuple[str, ...] = ()) -> Verdict:
    case = Case(id="greet: one", node="greet", path="tests/fixtures/greet.json", line=3)
    return Verdict(case=case, duration_ms=1500, failures=failures, log=log, broken=broken)


def test_counts_and_times_are_those_of_the_cases() -> None:
    failed = verdict(Difference(message="output: differs", diff=("-a", "+b")), log=("a line",))
    broken = verdict(Difference(message="does not import"), broken=True)
    problem = Problem(
        path="tests/fixtures/greet.json", line=7, column=1, where="[1].name", message="is missing"
    )
    root = ET.fromstring(junit_xml([("hello", [verdict(), failed, broken], [problem]), ("other", [], [])]))
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "time")} == {
        "tests": "4",
        "failures": "1",
        "errors": "2",
        "time": "4.500",
    }
    hello, other = root
    assert (hello.get("name"), hello.get("tests"), other.get("tests")) == ("hello", "4", "0")
    passed, wrong, fault, invalid = hello
    assert (passed.get("classname"), passed.get("name"), passed.get("time"), list(passed)) == (
        "hello",
        "greet: one",
        "1.500",
        [],
    )
    failure, output = wrong
    assert (failure.tag, failure.get("message")) == ("failure", "output: differs")
    assert failure.text == "tests/fixtures/greet.json:3\noutput: differs\n-a\n+b"
    assert output.text == "a line"
    assert [element.tag for element in fault] == ["error"]
    assert invalid.get("name") == "tests/fixtures/greet.json:7:1"
    assert [element.text for element in invalid] == ["tests/fixtures/greet.json:7:1: [1].name: is missing"]


@given(st.text())
def test_whatever_a_node_says_the_document_can_be_parsed(text: str) -> None:
    found = verdict(Difference(message=text, diff=(text,)), log=(text,))
    root = ET.fromstring(junit_xml([("hello", [found], [Problem(path="a", message=text)])]))
    assert root.get("tests") == "2"
