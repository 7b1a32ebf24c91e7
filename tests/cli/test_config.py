"""``pdwatch config``: what holds, and why."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from pdwatch.settings import load_settings
from pdwatch.settings.keys import KEYS
from tests.cli.command import pdwatch

REPOSITORY = Path(__file__).parents[2]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pdwatch/pdwatch.yaml"
    path.parent.mkdir()
    path.write_text(text)
    return path


async def test_it_tells_what_holds_and_where_each_setting_comes_from(tmp_path: Path):
    file = written(tmp_path, "namespace: dev\nroots:\n  - a\n  - {path: b, namespace: staging}\nbuilds: 3\n")
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "PDWATCH_REGISTRY": "reg.example", "PDWATCH_BUILDS": "4"}
    ended = await pdwatch("config", "show", "--log-level=debug", "--builds=5", "-o", "json", environ=environ)
    assert (ended.status, ended.err) == (0, "")
    shown = json.loads(ended.out)
    assert shown["file"] == str(file)
    assert shown["settings"]["roots"] == [
        {"path": str(file.parent / "a")},
        {"path": str(file.parent / "b"), "namespace": "staging"},
    ]
    assert set(shown["origins"]) == set(KEYS)
    origins = {name: origin for name, origin in shown["origins"].items() if origin != "default"}
    assert origins == {
        "namespace": f"{file}:1",
        "roots": f"{file}:2",
        "registry": "PDWATCH_REGISTRY",
        "builds": "--builds",
        "log.level": "--log-level",
    }


async def test_as_text_it_is_a_table_of_key_value_and_origin(tmp_path: Path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "PDWATCH_CONFIG_SHOW_NAMESPACE": "dev"}
    ended = await pdwatch("config", "show", "here", environ=environ)
    rows = [line.split() for line in ended.out.splitlines()]
    assert [row[0] for row in rows] == list(KEYS)
    assert ["namespace", "dev", "PDWATCH_CONFIG_SHOW_NAMESPACE"] in rows
    assert ["roots", "[{path:", "here}]", "[DIR]..."] in rows
    assert ["log.level", "info", "default"] in rows


async def test_variables_of_the_flags_of_run_hold_as_they_do_for_run(tmp_path: Path):
    environ = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "PDWATCH_BUILDS": "4",
        "PDWATCH_RUN_BUILDS": "5",
        "PDWATCH_RUN_CHECK": "0",
        "PDWATCH_RUN_RESYNC": "7",
    }
    ended = await pdwatch("config", "show", "--resync=9", environ=environ)
    rows = [line.split() for line in ended.out.splitlines()]
    assert ["builds", "5", "PDWATCH_RUN_BUILDS"] in rows
    assert ["type_check", "false", "PDWATCH_RUN_CHECK"] in rows
    assert ["resync_s", "9.0", "--resync"] in rows
    ended = await pdwatch("config", "show", environ=environ | {"PDWATCH_RUN_BUILDS": "many"})
    assert (ended.status, ended.err.splitlines()[0]) == (2, "Usage: pdwatch run [OPTIONS] [DIR]...")


async def test_a_long_value_widens_no_other_row(tmp_path: Path):
    roots = [f"{tmp_path}/{number}" for number in range(3)]
    ended = await pdwatch("config", "show", *roots, environ={"XDG_CONFIG_HOME": str(tmp_path)})
    assert {len(line) <= 80 for line in ended.out.splitlines() if not line.startswith("roots")} == {True}


async def test_as_yaml_it_is_a_settings_file_that_says_the_same(tmp_path: Path):
    file = written(
        tmp_path, "roots: [/w, {path: /x, secrets: true}]\nlog: {level: debug}\nregistry: r.io/a\n"
    )
    ended = await pdwatch("config", "show", "-o", "yaml", environ={"XDG_CONFIG_HOME": str(tmp_path)})
    again = tmp_path / "again.yaml"
    again.write_text(ended.out)
    assert load_settings(file=again, environ={}).settings == load_settings(file=file, environ={}).settings


async def test_every_problem_is_told_and_a_variable_that_means_nothing_is_a_warning(tmp_path: Path):
    file = written(tmp_path, "builds: 0\nnamespace: X_\n")
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "PDWATCH_RESYNC_S": "never", "PDWATCH_RUN_BUILD": "2"}
    environ["PDWATCH_RUN_DIRECTORIES"] = "/w"  # DIR is no flag
    ended = await pdwatch("config", "show", "--builds=99", environ=environ)
    no_variable = "no variable of pdwatch and has no effect"
    assert ended.status == 2
    assert ended.err.splitlines() == [
        f"warning: PDWATCH_RUN_BUILD is {no_variable}; did you mean PDWATCH_RUN_BUILDS?",
        f"warning: PDWATCH_RUN_DIRECTORIES is {no_variable}; did you mean PDWATCH_RUN_SECRETS?",
        f"error: {file}:1:1: builds: must be greater than or equal to 1",
        f"{file}:2:1: namespace: a namespace has up to 63 of a-z, 0-9 and '-'",
        "PDWATCH_RESYNC_S: must be a number",
        "--builds: must be less than or equal to 32",
        "  → docs/settings.md explains every key",
    ]


async def test_the_schema_in_the_repository_is_the_one_that_it_prints():
    ended = await pdwatch("config", "schema")
    assert (REPOSITORY / "config/pdwatch.schema.json").read_text() == ended.out
    schema = json.loads(ended.out)
    assert set(schema["properties"]) == set(yaml.safe_load((REPOSITORY / "config/pdwatch.yaml").read_text()))
    assert schema["additionalProperties"] is False
