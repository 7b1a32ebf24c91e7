"""``pdwatch test``, by its output and exit codes, with the real deno."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command import pdwatch
from tests.e2e.dev import children, gone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cli.command import Ended

EXAMPLES = Path(__file__).parents[2] / "examples"
CANARY = "canary-4711"
GREET = """\
export default function greet(ctx, input) {
  ctx.log.info("greeting", input.name);
  return { title: `${ctx.config.greeting}, ${input.name}!` };
}
"""


def workflow(
    root: Path,
    nodes: Mapping[str, str],
    fixtures: Mapping[str, Any],
    *,
    edges: str = "[]",
    config: str = "{timeout: 2s}",
) -> Path:
    """A workflow of these nodes, whose ``config.greeting`` is Hello, with fixtures as JSON or as they are."""
    (root / "nodes").mkdir(parents=True)
    listed = ", ".join(f"{node}: {{path: ./nodes/{node}.ts, config: {{greeting: Hello}}}}" for node in nodes)
    (root / "workflow.yaml").write_text(
        f'name: {root.name}\nversion: "1.0"\ntriggers: [{{type: manual}}]\n'
        f"nodes: {{{listed}}}\nedges: {edges}\nconfig: {config}\n"
    )
    for node, source in nodes.items():
        (root / f"nodes/{node}.ts").write_text(source)
    (root / "tests/fixtures").mkdir(parents=True)
    for name, content in fixtures.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (root / f"tests/fixtures/{name}.json").write_text(text)
    return root


async def greet_against(tmp_path: Path, case: Mapping[str, Any], source: str = GREET) -> Ended:
    """Test a node ``greet`` of this source with one case."""
    return await pdwatch("test", workflow(tmp_path / "hello", {"greet": source}, {"greet": case}))


class TestOfANode:
    async def test_it_passes_when_it_returns_what_is_expected(self, tmp_path: Path) -> None:
        ended = await greet_against(
            tmp_path, {"input": {"name": "Ada"}, "expected": {"title": "Hello, Ada!"}}
        )
        assert (ended.status, ended.err) == (0, "")
        assert "ok   greet (" in ended.out
        assert "1 passed, 0 failed" in ended.out
        assert "log:" not in ended.out

    async def test_its_configuration_comes_on_top_of_the_nodes_own(self, tmp_path: Path) -> None:
        case = {"config": {"more": 1}, "expected": {"greeting": "Hello", "more": 1}}
        ended = await greet_against(tmp_path, case, "export default (ctx) => ctx.config;")
        assert ended.status == 0, ended.out

    async def test_each_difference_is_named_with_its_place_and_what_was_logged_is_shown(
        self, tmp_path: Path
    ) -> None:
        case = {"input": {"name": "Ada"}, "expected": {"title": "Hello, Bob!", "of": [1]}}
        ended = await greet_against(tmp_path, case)
        assert ended.status == 1
        assert 'output.title: expected "Hello, Bob!", got "Hello, Ada!"' in ended.out
        assert "output.of: is missing, expected [1]" in ended.out
        assert "[greet] greeting Ada" in ended.out
        assert "tests/fixtures/greet.json:1" in ended.out
        assert "0 passed, 1 failed" in ended.out

    async def test_long_texts_are_shown_as_a_diff_of_their_lines(self, tmp_path: Path) -> None:
        lines = [f"line {number} of a text" for number in range(9)]
        source = f"export default () => {json.dumps(chr(10).join([*lines[:8], 'other']))};"
        ended = await greet_against(tmp_path, {"expected": "\n".join(lines)}, source)
        shown = [line.strip() for line in ended.out.splitlines()]
        assert {"-line 8 of a text", "+other"} <= set(shown)
        assert "line 1 of a text" not in shown

    async def test_an_error_that_is_not_expected_fails_it(self, tmp_path: Path) -> None:
        source = "export default () => { throw new Error('no such repository'); };"
        ended = await greet_against(tmp_path, {"expected": 1}, source)
        assert ended.status == 1
        assert "greet failed: no such repository" in ended.out
        assert "at default (nodes/greet.ts:1:30)" in ended.out

    async def test_an_error_that_is_expected_passes_by_a_part_of_its_message(self, tmp_path: Path) -> None:
        source = "export default () => { throw new Error('no such repository'); };"
        assert (await greet_against(tmp_path, {"error": "repository"}, source)).status == 0

    async def test_an_error_that_is_expected_must_come(self, tmp_path: Path) -> None:
        ended = await greet_against(tmp_path, {"error": "timed out"}, "export default () => 7;")
        assert ended.status == 1
        assert 'greet: expected to fail with "timed out", but it returned 7' in ended.out

    async def test_a_node_that_never_returns_is_timed_out(self, tmp_path: Path) -> None:
        root = workflow(
            tmp_path / "hello",
            {"greet": "export default () => new Promise(() => {});"},
            {"greet": {"error": "timed out after 100ms"}},
            config="{timeout: 100ms}",
        )
        ended = await pdwatch("test", root)
        assert ended.status == 0, ended.out

    async def test_a_module_that_does_not_import_is_told_with_its_place(self, tmp_path: Path) -> None:
        ended = await greet_against(tmp_path, {"expected": 1}, "export default () => {\n  return (;\n};\n")
        assert ended.status == 1
        assert "node greet: ./nodes/greet.ts does not import" in ended.out
        assert "nodes/greet.ts:2:11" in ended.out

    async def test_the_network_is_out_of_reach_even_past_fetch(self, tmp_path: Path) -> None:
        source = 'export default () => Deno.connect({ hostname: "127.0.0.1", port: 9 });'
        ended = await greet_against(
            tmp_path, {"error": "127.0.0.1:9 can't be reached: tests have no network"}, source
        )
        assert ended.status == 0, ended.out


class TestOfFetch:
    SOURCE = """\
export default async (ctx) => {
  const response = await ctx.fetch("github", "/user", { method: "POST" });
  return [response.status, await response.json()];
};
"""

    async def test_it_is_given_the_answers_of_the_fixture(self, tmp_path: Path) -> None:
        answer = {"service": "github", "path": "/user", "method": "POST", "status": 201, "json": {"id": 7}}
        ended = await greet_against(tmp_path, {"fetch": [answer], "expected": [201, {"id": 7}]}, self.SOURCE)
        assert ended.status == 0, ended.out

    async def test_a_request_without_an_answer_is_named_with_the_line_to_add(self, tmp_path: Path) -> None:
        ended = await greet_against(tmp_path, {"expected": 1}, self.SOURCE)
        assert ended.status == 1
        assert "nothing answers POST https://api.github.com/user" in ended.out
        added = '{"service": "github", "path": "/user", "method": "POST", "json": {}}'
        assert f'add to "fetch" in tests/fixtures/greet.json: {added}' in ended.out

    async def test_an_answer_that_nothing_asks_for_fails_unless_it_is_optional(self, tmp_path: Path) -> None:
        source = "export default () => 1;"
        unused = {"url": "https://example.com/"}
        ended = await greet_against(tmp_path / "a", {"fetch": [unused], "expected": 1}, source)
        assert ended.status == 1
        assert "fetch[0]: nothing asked for https://example.com/" in ended.out
        optional = {**unused, "optional": True}
        ended = await greet_against(tmp_path / "b", {"fetch": [optional], "expected": 1}, source)
        assert ended.status == 0


class TestOfSecrets:
    async def test_their_values_are_shown_nowhere(self, tmp_path: Path) -> None:
        source = """\
export default (ctx) => {
  console.log("key is", ctx.secrets.shop.key);
  return { text: `${"x".repeat(50)} ${ctx.secrets.shop.key}`, lines: ctx.secrets.shop.pem };
};
"""
        pem = f"{CANARY}-first\n{CANARY}-second"
        root = workflow(
            tmp_path / "hello",
            {"greet": source},
            {"greet": {"secrets": {"shop": {"key": CANARY, "pem": pem}}, "expected": {"lines": "x\n" * 40}}},
        )
        junit = tmp_path / "junit.xml"
        text = await pdwatch("test", root, "--junit", junit)
        document = await pdwatch("test", root, "-o", "json")
        assert (text.status, document.status) == (1, 1)
        assert "[redacted]" in text.out
        for shown in (text.out, text.err, document.out, junit.read_text()):
            assert CANARY[:6] not in shown

    async def test_local_ones_are_not_used(self, tmp_path: Path) -> None:
        root = workflow(
            tmp_path / "hello",
            {"greet": "export default (ctx) => ctx.secrets;"},
            {"greet": {"expected": {}}},
        )
        (root / ".secrets.yaml").write_text("shop: {key: real}\n")
        assert (await pdwatch("test", root)).status == 0


def fetch_and_sum(root: Path, case: Mapping[str, Any]) -> Path:
    """A workflow of two nodes, with one case of the whole."""
    nodes = {
        "fetch": "export default (_ctx, input) => [input.n, input.n + 1];",
        "sum": "export default (_ctx, numbers) => numbers.reduce((a, b) => a + b);",
    }
    return workflow(root, nodes, {"workflow": case}, edges="[{from: fetch, to: sum}]")


class TestOfTheWholeWorkflow:
    async def test_nodes_pass_on_what_they_return(self, tmp_path: Path) -> None:
        case = {"payload": {"n": 3}, "expected": {"sum": 7}}
        root = fetch_and_sum(tmp_path / "hello", case)
        ended = await pdwatch("test", root)
        assert ended.status == 0, ended.out
        assert "fetch has no fixture; write tests/fixtures/fetch.json" in ended.out

    async def test_a_mocked_node_is_not_run(self, tmp_path: Path) -> None:
        case = {"mocks": {"fetch": [1, 2]}, "expected": {"sum": 4}}
        root = fetch_and_sum(tmp_path / "hello", case)
        ended = await pdwatch("test", root)
        assert ended.status == 1
        assert "outputs.sum: expected 4, got 3" in ended.out

    async def test_a_node_may_be_expected_to_fail(self, tmp_path: Path) -> None:
        case = {"mocks": {"fetch": 7}, "errors": {"sum": "reduce is not a function"}}
        root = fetch_and_sum(tmp_path / "hello", case)
        ended = await pdwatch("test", root)
        assert ended.status == 0, ended.out


class TestOfFixturesThatAreWrong:
    async def test_every_problem_is_shown_with_its_line_and_the_other_cases_run(self, tmp_path: Path) -> None:
        greet = """\
[
  {"name": "good", "input": {"name": "Ada"}, "expected": {"title": "Hello, Ada!"}},
  {"name": "bad", "inputs": {}, "expected": 1,
   "fetch": [{"url": "example.com"}]}
]
"""
        root = workflow(tmp_path / "hello", {"greet": GREET}, {"greet": greet, "great": {"expected": 1}})
        ended = await pdwatch("test", root)
        assert ended.status == 1
        assert f"{root}/tests/fixtures/greet.json:3:19: [1].inputs: is not a known key; did you mean" in (
            ended.err
        )
        assert f"{root}/tests/fixtures/greet.json:4:22: [1].fetch[0].url: " in ended.err
        assert f"{root}/tests/fixtures/great.json: there is no node great; did you mean greet?" in ended.err
        assert "ok   greet: good" in ended.out
        assert "1 passed, 0 failed, 3 problems" in ended.out

    async def test_no_json_is_a_problem_of_its_line(self, tmp_path: Path) -> None:
        root = workflow(tmp_path / "hello", {"greet": GREET}, {"greet": '{\n  "input": ,\n}'})
        ended = await pdwatch("test", root)
        assert ended.status == 1
        assert f"{root}/tests/fixtures/greet.json:2:12: is not JSON" in ended.err

    async def test_a_workflow_that_is_not_valid_is_not_run(self, tmp_path: Path) -> None:
        root = workflow(
            tmp_path / "hello", {"greet": GREET}, {"greet": {"expected": 1}}, config="{tmeout: 1s}"
        )
        ended = await pdwatch("test", root)
        assert ended.status == 1
        assert "did you mean timeout?" in ended.err


class TestOfWhatIsRun:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        one = "export default () => 1;"
        cases = [{"name": "First", "expected": 1}, {"name": "second", "expected": 1}]
        fixtures = {"a": cases, "b": {"expected": 1}, "workflow": {"expected": {"a": 1}}}
        return workflow(tmp_path / "hello", {"a": one, "b": one}, fixtures)

    async def names(self, *arguments: object) -> list[str]:
        ended = await pdwatch("test", *arguments, "-o", "json")
        assert ended.status == 0, ended.err
        workflows = json.loads(ended.out)["workflows"]
        return [case["name"] for workflow in workflows for case in workflow["cases"]]

    async def test_a_directory_stands_for_all_below_it(self, root: Path) -> None:
        everything = ["a: First", "a: second", "b", "workflow"]
        assert await self.names(root.parent) == everything
        assert await self.names(root, root / "b") == everything

    async def test_a_node_stands_for_its_own_cases_and_workflow_for_the_whole(self, root: Path) -> None:
        assert await self.names(root / "b") == ["b"]
        assert await self.names(root / "workflow", root / "b") == ["b", "workflow"]

    async def test_a_filter_finds_names_in_any_case(self, root: Path) -> None:
        assert await self.names(root, "-k", "first") == ["a: First"]
        assert await self.names(root, "--filter", "hello/b") == ["b"]

    async def test_what_is_not_there_exits_with_4(self, root: Path) -> None:
        for arguments, message in (
            ([root / "c"], "hello has no node c"),
            ([root.parent / "nowhere" / "c"], "is neither a directory nor a node of a workflow"),
            ([root, "-k", "third"], "no case has 'third' in its name"),
        ):
            ended = await pdwatch("test", *arguments)
            assert (ended.status, ended.out) == (4, "")
            assert message in ended.err

    async def test_without_fixtures_the_first_one_is_shown(self, tmp_path: Path) -> None:
        ended = await pdwatch("test", workflow(tmp_path / "new", {"greet": GREET}, {}))
        assert (ended.status, ended.out) == (4, "")
        assert "begin with tests/fixtures/greet.json" in ended.err

    async def test_an_unknown_flag_exits_with_2(self) -> None:
        assert (await pdwatch("test", "--fast")).status == 2


async def test_a_file_that_is_shipped_is_found_beside_the_workflow_as_in_a_pod(tmp_path: Path) -> None:
    read = 'export default () => Deno.readTextFile("prompts/short.txt");'
    fixtures = {"greet": {"expected": "Be brief."}}
    root = workflow(
        tmp_path / "hello", {"greet": read}, fixtures, config='{timeout: 2s, include: ["prompts/*"]}'
    )
    (root / "prompts").mkdir()
    (root / "prompts/short.txt").write_text("Be brief.")
    ended = await pdwatch("test", root)
    assert ended.status == 0, ended.out


async def test_when_it_is_killed_deno_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = "export default (_ctx, input) => input === 'hang' ? new Promise(() => {}) : input;"
    cases = [{"name": name, "input": name, "expected": name} for name in ("one", "hang")]
    root = workflow(tmp_path / "hello", {"greet": node}, {"greet": cases}, config="{timeout: 30m}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pdwatch", "test", root), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    while b"greet: one" not in await process.stdout.readline():
        assert not process.stdout.at_eof()
    (deno,) = (pid for pid in children(process.pid) if Path(f"/proc/{pid}/comm").read_text() == "deno\n")
    watched = os.pidfd_open(deno)
    process.kill()
    await process.wait()
    await gone(watched)
    os.close(watched)


async def test_half_a_sign_is_shown_as_it_is_written(tmp_path: Path) -> None:
    half = r'export default (ctx) => (ctx.log.info("\ud83d"), "\ud83d");'
    ended = await greet_against(tmp_path, {"expected": "whole"}, half)
    assert r'expected "whole", got "\ud83d"' in ended.out
    shown = await pdwatch("test", tmp_path, "--output", "json")
    assert json.loads(shown.out)["workflows"][0]["cases"][0]["log"] == ["INFO [greet] \ud83d"]


async def test_junit_has_a_case_for_each_and_an_error_for_each_problem(tmp_path: Path) -> None:
    fixtures = {"good": {"expected": 1}, "bad": {"expected": "<2>"}, "odd": {"expect": 1, "x": 1}}
    root = workflow(tmp_path / "hello", dict.fromkeys(fixtures, "export default () => 1;"), fixtures)
    junit = tmp_path / "junit.xml"
    await pdwatch("test", root, "--junit", junit)
    suites = ET.parse(junit).getroot()
    assert [suites.get(name) for name in ("tests", "failures", "errors")] == ["4", "1", "2"]
    (suite,) = suites
    cases = {case.get("name"): case for case in suite}
    assert list(cases["good"]) == []
    (failure,) = cases["bad"]
    assert failure.get("message") == 'output: expected "<2>", got 1'


async def test_a_junit_file_that_cannot_be_written_is_an_error_before_anything_is_run(tmp_path: Path) -> None:
    root = workflow(tmp_path / "hello", {"a": "export default () => 1;"}, {"a": {"expected": 1}})
    ended = await pdwatch("test", root, "--junit", tmp_path / "nowhere/junit.xml")
    assert (ended.status, ended.out) == (1, "")
    assert "junit.xml can't be written" in ended.err


async def test_a_junit_file_that_is_there_stays_as_it_is_when_nothing_can_be_run(tmp_path: Path) -> None:
    root = workflow(tmp_path / "hello", {"a": "export default () => 1;"}, {})
    (before := tmp_path / "before.xml").write_text("<testsuites/>")
    for junit in (before, tmp_path / "new.xml"):
        assert (await pdwatch("test", root, "--junit", junit)).status == 4
    assert before.read_text() == "<testsuites/>"
    assert not (tmp_path / "new.xml").exists()


async def test_the_examples_pass() -> None:
    ended = await pdwatch("test", EXAMPLES)
    assert ended.status == 0, ended.out + ended.err
    assert "has no fixture" not in ended.out
