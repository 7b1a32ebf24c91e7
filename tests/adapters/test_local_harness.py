"""Cases of fixtures in the real deno: one outcome for each, whatever becomes of the program."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.files import FileSource
from pdwatch.adapters.local.deno import find_deno
from pdwatch.adapters.local.harness import outcomes
from pdwatch.core.fixtures import Case

if TYPE_CHECKING:
    from pdwatch.core.model import SourceSnapshot

ECHO_OR_HANG = "export default (_ctx, input) => input === 'hang' ? new Promise(() => {}) : input;"


async def workflow(root: Path) -> SourceSnapshot:
    (root / "nodes").mkdir(parents=True)
    (root / "nodes/a.ts").write_text(ECHO_OR_HANG)
    (root / "workflow.yaml").write_text(
        'name: hello\nversion: "1.0"\ntriggers: [{type: manual}]\nnodes: {a: {path: ./nodes/a.ts}}\n'
    )
    return await FileSource(recipe="").scan(root)


def case(payload: object) -> Case:
    return Case(id="a", node="a", path="tests/fixtures/a.json", line=1, payload=payload)


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stages are made."""
    directory = tmp_path / "stages"
    directory.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(directory))
    return directory


def programs_in(directory: Path) -> list[str]:
    """The command lines of all programs that name something below a directory."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [line for line in lines if f"{directory}/" in line]


async def test_each_case_has_its_outcome_in_order_and_nothing_is_left(tmp_path: Path, stages: Path) -> None:
    snapshot = await workflow(tmp_path / "hello")
    found = [each async for each in outcomes(snapshot, [case("one"), case("two")], deno=find_deno())]
    assert [outcome.outputs for outcome in found] == [{"a": "one"}, {"a": "two"}]
    assert list(stages.iterdir()) == []


async def test_who_stops_listening_ends_deno_and_removes_the_stage(tmp_path: Path, stages: Path) -> None:
    snapshot = await workflow(tmp_path / "hello")
    async with aclosing(outcomes(snapshot, [case("one"), case("hang")], deno=find_deno())) as found:
        assert (await anext(found)).outputs == {"a": "one"}
        assert programs_in(stages) != []
    assert programs_in(stages) == []
    assert list(stages.iterdir()) == []


async def test_a_deno_that_ends_early_is_a_fault_of_every_case_that_is_left(
    tmp_path: Path, stages: Path
) -> None:
    snapshot = await workflow(tmp_path / "hello")
    deno = tmp_path / "deno"
    deno.write_text("#!/bin/sh\necho out of memory >&2\nexit 7\n")
    deno.chmod(0o755)
    found = [each async for each in outcomes(snapshot, [case("one"), case("two")], deno=deno)]
    ended = "deno ended with status 7 before this case was done\nout of memory"
    assert [outcome.fault for outcome in found] == [ended, ended]
