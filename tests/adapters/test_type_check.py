"""Deno's type check of stages, with the real Deno: the full check decides, the language server is sooner."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.engine import engine_files
from pdwatch.adapters.files import FileSource
from pdwatch.adapters.local import type_check
from pdwatch.adapters.local.deno import find_deno
from pdwatch.adapters.local.full_check import full_check
from pdwatch.adapters.local.stages import Stage
from pdwatch.adapters.local.staging import stage
from pdwatch.adapters.local.type_check import TypeCheck
from pdwatch.errors import BuildFailedError
from pdwatch.logs import Event
from tests.e2e.dev import children
from tests.recording_log import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORKFLOW = """\
name: hello
version: "1.0"
triggers: [{type: manual}]
nodes: {greet: {path: ./nodes/greet.ts}}
edges: []
"""
GOOD = """\
import type { Context } from "pipedreamer";
import { word } from "../lib/word.ts";
export default (_ctx: Context): Promise<string> => Promise.resolve(word);
"""
WORD = 'export const word: string = "hello";\n'
WRONG = "export const word: number = 1;\n"
"""It makes the module that imports it wrong, not itself."""


@dataclass(slots=True)
class Saves:
    """A workflow directory, and what the check says of each save."""

    root: Path
    area: Path
    check: TypeCheck
    log: RecordingLog
    full: list[str] = field(default_factory=list)
    """The text of the node at each full check."""
    made: int = 0

    async def save(self, **modules: str) -> None:
        """Write modules by their name, stage the directory, and check the stage."""
        for name, text in modules.items():
            place = "nodes" if name == "greet" else "lib"
            (self.root / place / f"{name}.ts").write_text(text)
        snapshot = await FileSource(recipe="").scan(self.root)
        self.made += 1
        staged = Stage(snapshot=snapshot, app=self.area / f"hello-{self.made}" / "app")
        stage(snapshot, staged.app, engine=engine_files())
        await self.check.require(staged)


@pytest.fixture
def deno() -> Path:
    return find_deno()


@pytest.fixture
async def saves(tmp_path: Path, deno: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Saves]:
    root, area = tmp_path / "hello", tmp_path / "area"
    for directory in (root / "nodes", root / "lib", area):
        directory.mkdir(parents=True)
    (root / "workflow.yaml").write_text(WORKFLOW)
    log = RecordingLog()
    saves = Saves(root, area, TypeCheck(area, deno=deno, log=log), log)

    async def counted(stage: Stage, *, deno: Path) -> None:
        saves.full.append((stage.app / "nodes/greet.ts").read_text())
        await full_check(stage, deno=deno)

    monkeypatch.setattr(type_check, "full_check", counted)
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(saves.check.run())
        yield saves
        keeping.cancel()


def server() -> int:
    """Return the id of the language server's process."""
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children(os.getpid())}
    (found,) = (child for child, command in commands.items() if command.endswith(b"\0lsp\0"))
    return found


async def test_once_the_server_is_warm_an_edit_needs_no_full_check(saves: Saves):
    await saves.save(greet=GOOD, word=WORD)
    await saves.check.is_warm.wait()
    await saves.save(word='export const word = "goodbye";\n')
    await saves.save(greet=GOOD.replace("word)", "word + word)"))
    assert saves.full == [GOOD]


async def test_all_that_deno_offers_a_node_passes(saves: Saves):
    await saves.save(greet="export default () => [navigator.userAgent, typeof caches, typeof self];\n")


@pytest.mark.parametrize("options", ["null", "[1]", '"strict"'])
async def test_compiler_options_that_are_none_are_deno_s_to_judge(saves: Saves, options: str):
    (saves.root / "deno.json").write_text(f'{{"compilerOptions": {options}}}')
    with suppress(BuildFailedError):
        await saves.save(greet=GOOD, word=WORD)
    assert len(saves.full) == 1


async def test_an_error_in_a_module_that_was_not_saved_is_found_and_told_by_the_full_check(saves: Saves):
    await saves.save(greet=GOOD, word=WORD)
    await saves.check.is_warm.wait()
    with pytest.raises(BuildFailedError, match=r"nodes/greet\.ts:3:\d+: TS2322"):
        await saves.save(word=WRONG)
    await saves.save(word=WORD)
    assert len(saves.full) == 2


async def test_a_broken_module_that_nothing_imports_does_not_keep_an_edit_from_passing(saves: Saves):
    await saves.save(greet=GOOD, word=WORD, stray="export const stray: number = word;\n")
    await saves.check.is_warm.wait()
    await saves.save(word='export const word = "goodbye";\n')
    assert saves.full == [GOOD]


async def test_a_module_that_comes_to_be_imported_is_checked_with_the_rest(saves: Saves):
    await saves.save(greet=GOOD, word=WORD)
    await saves.check.is_warm.wait()
    with pytest.raises(BuildFailedError, match=r"lib/other\.ts:1:\d+: TS2322"):
        await saves.save(
            word='export { other as word } from "./other.ts";\n', other="export const other: string = 1;\n"
        )


async def test_another_configuration_has_the_full_check_decide(saves: Saves):
    await saves.save(greet=GOOD, word=WORD)
    await saves.check.is_warm.wait()
    (saves.root / "deno.json").write_text('{"compilerOptions": {"noUnusedLocals": true}}')
    await saves.save()
    assert len(saves.full) == 2
    await saves.check.is_warm.wait()
    with pytest.raises(BuildFailedError, match="never read"):
        await saves.save(greet=f"const unused = 1;\n{GOOD}")


async def test_a_server_that_was_killed_is_told_of_and_replaced_after_the_next_save(saves: Saves):
    await saves.save(greet=GOOD, word=WORD)
    await saves.check.is_warm.wait()
    os.kill(server(), signal.SIGKILL)
    await saves.save(word='export const word = "one";\n')
    await saves.check.is_warm.wait()
    await saves.save(word='export const word = "two";\n')
    assert len(saves.full) == 2
    (told,) = saves.log.named(Event.CHECKER_LOST)
    assert told["message"].startswith("Deno's language server was ended by signal 9: Killed; saves are")


async def test_a_server_that_does_not_answer_is_told_of_and_replaced(
    saves: Saves, monkeypatch: pytest.MonkeyPatch
):
    await saves.save(greet=GOOD, word=WORD)
    await saves.check.is_warm.wait()
    silent = server()
    os.kill(silent, signal.SIGSTOP)
    monkeypatch.setattr(type_check, "_ANSWER_S", 0.1)
    await saves.save(word='export const word = "goodbye";\n')
    assert saves.full == [GOOD, GOOD]
    (told,) = saves.log.named(Event.CHECKER_LOST)
    assert told["message"].startswith("Deno's language server does not answer; saves are")
    await saves.check.is_warm.wait()
    assert server() != silent


async def test_one_that_is_replaced_for_another_workflow_is_not_lost(saves: Saves):
    await saves.save(greet=GOOD, word=WORD)
    await saves.check.is_warm.wait()
    (saves.root / "deno.json").write_text('{"compilerOptions": {"noUnusedLocals": true}}')
    await saves.save()
    await saves.check.is_warm.wait()
    assert saves.log.lines == []


class TestWithoutALanguageServer:
    @pytest.fixture
    def deno(self, tmp_path: Path) -> Path:
        """A Deno whose language server ends at once."""
        program = tmp_path / "deno"
        program.write_text(f'#!/bin/sh\n[ "$1" = lsp ] && exit 3\nexec {find_deno()} "$@"\n')
        program.chmod(0o755)
        return program

    async def test_one_that_never_starts_is_told_of_once_and_each_save_is_checked_in_full(self, saves: Saves):
        for text in ("one", "two", "three"):
            await saves.save(greet=GOOD, word=f'export const word = "{text}";\n')
        assert len(saves.full) == 3
        (told,) = saves.log.named(Event.CHECKER_LOST)
        assert "language server ended with status 3" in told["message"]
