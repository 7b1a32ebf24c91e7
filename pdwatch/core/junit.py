"""Test results as JUnit XML, in the form that Jenkins, GitLab and GitHub's reporters read (junit-10.xsd)."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.core.model import Problem
    from pdwatch.core.verdict import Verdict

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (§2.2, Char) can't hold, even escaped."""


def junit_xml(workflows: Sequence[tuple[str, Sequence[Verdict], Sequence[Problem]]]) -> bytes:
    """Return the XML document, in UTF-8.

    A case that is not as expected is a ``failure``; one that could not be run, and a problem of a fixture or
    of the workflow, an ``error``. Times are in seconds.

    Args:
        workflows: Name, verdicts and problems of each.
    """
    root = ET.Element("testsuites", name="pdwatch test")
    for name, verdicts, problems in workflows:
        suite = ET.SubElement(root, "testsuite", name=_xml(name), skipped="0")
        for verdict in verdicts:
            _add_case(suite, name, verdict)
        for problem in problems:
            case = _case_element(suite, name, str(problem).partition(": ")[0], milliseconds=0)
            ET.SubElement(case, "error", message=_xml(problem.message), type="problem").text = _xml(
                str(problem)
            )
        _count(suite, milliseconds=sum(verdict.duration_ms for verdict in verdicts))
    _count(root, milliseconds=sum(verdict.duration_ms for _, found, _ in workflows for verdict in found))
    ET.indent(root)
    document = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    assert isinstance(document, bytes)
    return document


def _add_case(suite: ET.Element, workflow: str, verdict: Verdict) -> None:
    case = _case_element(suite, workflow, verdict.case.id, milliseconds=verdict.duration_ms)
    if verdict.passed:
        return
    kind = "error" if verdict.broken else "failure"
    lines = [line for failure in verdict.failures for line in (failure.message, *failure.diff)]
    place = f"{verdict.case.path}:{verdict.case.line}"
    element = ET.SubElement(case, kind, message=_xml(verdict.failures[0].message), type=kind)
    element.text = _xml("\n".join([place, *lines]))
    if verdict.log:
        ET.SubElement(case, "system-out").text = _xml("\n".join(verdict.log))


def _case_element(suite: ET.Element, workflow: str, name: str, *, milliseconds: int) -> ET.Element:
    return ET.SubElement(
        suite, "testcase", name=_xml(name), classname=_xml(workflow), time=_seconds(milliseconds)
    )


def _count(element: ET.Element, *, milliseconds: int) -> None:
    for attribute, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        element.set(attribute, str(sum(1 for _ in element.iter(tag))))
    element.set("time", _seconds(milliseconds))


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
