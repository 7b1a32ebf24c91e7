from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from pdwatch.cli.main import COMMANDS
from pdwatch.errors import ExitCode
from pdwatch.logs import EVENTS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def anchors(page: Path) -> set[str]:
    """What links can lead to in a page, by the rule that code forges have for headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = [
        f"{path}#{anchor}" if anchor else path
        for path, anchor in LINK.findall(page.read_text())
        if not (target := page.parent / path if path else page).exists()
        or (anchor and anchor not in anchors(target))
    ]
    assert broken == []


def page(path: str) -> str:
    return (ROOT / path).read_text()


@pytest.mark.parametrize(
    "event", [event for event, spec in EVENTS.items() if spec.level >= logging.WARNING], ids=str
)
def test_the_troubleshooting_page_has_every_warning_and_error(event: str) -> None:
    assert f"`{event}`" in page("docs/troubleshooting.md")


@pytest.mark.parametrize("code", ExitCode, ids=lambda code: code.name)
def test_the_troubleshooting_page_has_every_exit_code(code: ExitCode) -> None:
    assert f"\n| {code.value} |" in page("docs/troubleshooting.md").partition("## Exit codes")[2]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"pdwatch_[a-z_]+", page("docs/operations.md")))))
def test_alerts_are_on_metrics_that_there_are(name: str) -> None:
    assert f"\n| `{name}` |" in page("docs/http.md")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_has_every_command(command: str) -> None:
    assert re.search(rf"`pdwatch {command}\b", page("README.md"))


def test_the_recording_names_no_machine() -> None:
    recording = page("docs/recording/session.svg")
    assert len(recording) < 300_000
    assert re.search(r"/(tmp|root|home|work|var)/", recording) is None
