"""The settings file, the environment and flags, each on top of the one before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.errors import ExitCode, SettingsError
from pdwatch.settings import Given, HttpSettings, LogSettings, RootSettings, Settings, load_settings
from pdwatch.settings.keys import KEYS
from pdwatch.settings.sources import SYSTEM_FILE, find_file, unknown_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def nowhere(tmp_path: Path) -> Mapping[str, str]:
    """An environment that leads to no settings file of the user's."""
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pdwatch.yaml"
    path.write_text(text)
    return path


def loaded(path: Path | None, environ: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """Load with flags that are called after their keys."""
    given = {key: Given(value=value, name=f"--{key}") for key, value in flags.items()}
    environ = {"XDG_CONFIG_HOME": "/nonexistent"} | dict(environ or {})
    return load_settings(file=path, environ=environ, flags=given).settings


def refused(path: Path | None, environ: Mapping[str, str] | None = None, **flags: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(path, environ, **flags)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value.message.splitlines()


def test_without_any_source_every_setting_has_its_default():
    assert loaded(None) == Settings()


def test_the_sample_has_every_key_with_its_default():
    path = REPOSITORY / "config/pdwatch.yaml"
    assert loaded(path) == Settings(roots=(RootSettings(path=REPOSITORY / "config/../examples"),))
    text = path.read_text()
    assert all(f"\n{key}:" in text for key in Settings.model_fields)
    sections = (*LogSettings.model_fields, *HttpSettings.model_fields)
    assert all(f"\n  {key}:" in text for key in sections)


@pytest.mark.parametrize("text", ["", "# namespace: dev\n"], ids=["empty", "comments"])
def test_a_file_without_settings_leaves_every_default(tmp_path: Path, text: str):
    assert loaded(written(tmp_path, text)) == Settings()


def test_each_source_wins_over_the_one_before_and_only_where_it_says_something(tmp_path: Path):
    path = written(tmp_path, "namespace: file\ncontext: file\nregistry: file.example\nlog: {level: debug}\n")
    environ = {"PDWATCH_CONTEXT": "env", "PDWATCH_REGISTRY": "env.example", "PDWATCH_LOG_FORMAT": "json"}
    effective = load_settings(
        file=path, environ=environ, flags={"registry": Given(value="flag.example", name="--registry")}
    )
    settings, origins = effective.settings, effective.origins
    assert (settings.namespace, origins["namespace"]) == ("file", f"{path}:1")
    assert (settings.context, origins["context"]) == ("env", "PDWATCH_CONTEXT")
    assert (settings.registry, origins["registry"]) == ("flag.example", "--registry")
    assert (settings.log.level, origins["log.level"]) == ("debug", f"{path}:4")
    assert (settings.log.format, origins["log.format"]) == ("json", "PDWATCH_LOG_FORMAT")
    assert (settings.builds, origins["builds"]) == (2, "default")
    assert effective.file is not None
    assert effective.file.path == path


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("PDWATCH_NAMESPACE", "dev", "namespace", "dev"),
        ("PDWATCH_SECRETS", "true", "secrets", True),
        ("PDWATCH_BUILDS", "7", "builds", 7),
        ("PDWATCH_RESYNC_S", "1.5", "resync_s", 1.5),
        ("PDWATCH_ALLOW_CONTEXTS", "prod,team-*", "allow_contexts", ("prod", "team-*")),
        (
            "PDWATCH_ROOTS",
            "/a:b",
            "roots",
            (RootSettings(path=Path("/a")), RootSettings(path=Path("b"))),
        ),
        ("PDWATCH_BUILDS", "", "builds", 2),
    ],
    ids=["text", "boolean", "whole number", "number", "patterns", "paths", "an empty one is not given"],
)
def test_a_variable_gives_a_setting(variable: str, text: str, key: str, value: object):
    assert getattr(loaded(None, {variable: text}), key) == value


def test_every_key_has_a_variable_of_its_own():
    variables = [key.variable for key in KEYS.values()]
    assert len(set(variables)) == len(variables)
    assert {"PDWATCH_NAMESPACE", "PDWATCH_LOG_LEVEL", "PDWATCH_RESYNC_S"} <= set(variables)


@pytest.mark.parametrize(
    ("listen", "others"),
    [("127.0.0.1:0", False), ("[::1]:9464", False), ("localhost:1", False), ("0.0.0.0:1", True)],
)
def test_an_address_that_others_can_reach_takes_a_word_from_any_source(
    tmp_path: Path, listen: str, *, others: bool
):
    path = written(tmp_path, f"http: {{listen: '{listen}'}}\n")
    if others:
        assert refused(path) == [
            f"{path}:1: http.listen: others can reach {listen}, and read every log line there"
        ]
    assert loaded(path, {"PDWATCH_HTTP_ALLOW_REMOTE": "true"}).http.listen == listen


def test_relative_roots_count_from_the_file_and_tilde_from_home(tmp_path: Path):
    path = written(tmp_path, "roots: [here, ~/there, {path: with}]\n")
    assert [root.path for root in loaded(path).roots] == [
        tmp_path / "here",
        Path.home() / "there",
        tmp_path / "with",
    ]


def test_a_root_has_its_own_settings_and_takes_the_rest_from_above(tmp_path: Path):
    outer, inner = tmp_path / "outer", tmp_path / "outer/inner"
    settings = loaded(
        written(
            tmp_path,
            "namespace: dev\nregistry: reg.example\nsecrets: true\n"
            f"roots: ['{outer}', {{path: '{inner}', namespace: staging, registry: null}}]\n",
        )
    )
    above, own = settings.at(outer / "hello"), settings.at(inner / "hello")
    assert (above.namespace, above.registry, above.secrets) == ("dev", "reg.example", True)
    assert (own.namespace, own.registry, own.secrets) == ("staging", None, True)
    assert settings.at(Path("/elsewhere")).namespace == "dev"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        pytest.param(
            "namespce: dev\nbuilds: 0\n",
            [
                ":1:1: namespce: is not a setting; did you mean namespace?",
                ":2:1: builds: must be greater than or equal to 1",
            ],
            id="every problem at once",
        ),
        pytest.param(
            "builds: 0\nbuilds: 1\n",
            [":2:1: builds is already on line 1; remove one of them", ":1:1: builds: must be greater"],
            id="in the YAML and in the values",
        ),
        pytest.param(
            "log:\n  levle: debug\n", [":2:3: log.levle: is not a setting; did you mean level?"], id="nested"
        ),
        pytest.param("log: {level: loud}\n", [":1:7: log.level: must be"], id="a word that is none"),
        pytest.param("log: json\n", [":1:1: log: must be a mapping of keys to values"], id="no section"),
        pytest.param("namespace: Dev_1\n", [":1:1: namespace: a namespace has"], id="no DNS label"),
        pytest.param("namespace: 1\n", [":1:1: namespace: must be text; quote it"], id="no text"),
        pytest.param(
            "registry: http://registry\n",
            [":1:1: registry: the registry 'http://registry' is a URL; leave out the scheme: registry"],
            id="a registry with a scheme",
        ),
        pytest.param("roots: []\n", [":1:1: roots: must not be empty"], id="no roots"),
        pytest.param(
            "roots: [{path: /a, target: local}, /b, /b/../a]\n",
            [":1:1: roots: /a is named twice, with different settings"],
            id="a root that goes to two places",
        ),
        pytest.param(
            "roots: [{path: a, target: lokal}]\n",
            [":1:19: roots.0.target: must be 'kubernetes' or 'local'"],
            id="a target that is none",
        ),
        pytest.param("roots: here\n", [":1:1: roots: must be a list"], id="roots that are no list"),
        pytest.param(
            "roots: [a, null]\n", [":1:12: roots.1: must be a mapping of keys"], id="a root that is none"
        ),
        pytest.param(
            "roots:\n  - a\n  - {namespace: x, registri: y}\n",
            [
                ":3:5: roots.1.path: is missing",
                ":3:20: roots.1.registri: is not a setting; did you mean registry?",
            ],
            id="a root's own settings",
        ),
        pytest.param("- a\n", [":1:1: the settings must be a mapping"], id="no mapping"),
        pytest.param("a: [\n", [":1:5: a value was expected here"], id="no YAML"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_column(tmp_path: Path, text: str, messages: list[str]):
    path = written(tmp_path, text)
    lines = refused(path)
    assert len(lines) == len(messages)
    for line, message in zip(lines, messages, strict=True):
        assert line.startswith(f"{path}{message}")


def test_every_source_is_blamed_for_its_own_problems_even_where_a_later_one_hides_them(tmp_path: Path):
    path = written(tmp_path, "builds: 0\n")
    lines = refused(path, {"PDWATCH_BUILDS": "many", "PDWATCH_LOG_LEVEL": "loud"}, builds=3, resync_s=0.1)
    assert lines == [
        f"{path}:1:1: builds: must be greater than or equal to 1",
        "PDWATCH_BUILDS: must be a whole number",
        "PDWATCH_LOG_LEVEL: must be 'debug', 'info', 'warning', 'error' or 'critical'",
        "--resync_s: must be greater than or equal to 1",
    ]


def test_null_leaves_the_default(tmp_path: Path):
    path = written(tmp_path, "log: {level: null}\nbuilds: null\n")
    assert loaded(path) == Settings()


def test_an_unreadable_file_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="Is a directory"):
        loaded(tmp_path)


def test_of_the_places_for_a_file_the_first_that_exists_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    system, named = tmp_path / "system.yaml", tmp_path / "named.yaml"
    monkeypatch.setattr("pdwatch.settings.sources.SYSTEM_FILE", system)
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert find_file(environ) is None
    system.touch()
    assert find_file(environ) == system
    users = tmp_path / "pdwatch/pdwatch.yaml"
    users.parent.mkdir()
    users.touch()
    assert find_file(environ) == users
    named.touch()
    assert find_file(environ | {"PDWATCH_CONFIG": str(named)}) == named
    assert Path("/etc/pdwatch/pdwatch.yaml") == SYSTEM_FILE


def test_without_a_usable_xdg_config_home_the_file_is_looked_for_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    users = tmp_path / ".config/pdwatch/pdwatch.yaml"
    users.parent.mkdir(parents=True)
    users.touch()
    assert find_file({}) == find_file({"XDG_CONFIG_HOME": "relative"}) == users


def test_a_named_file_that_does_not_exist_is_a_mistake_and_no_reason_to_look_elsewhere():
    with pytest.raises(SettingsError, match=r"^PDWATCH_CONFIG=/nonexistent: there is no such file"):
        find_file({"PDWATCH_CONFIG": "/nonexistent"})


def test_a_variable_that_means_nothing_is_told_with_the_nearest_that_does():
    environ = {
        "PDWATCH_NAMESPCE": "dev",
        "PDWATCH_CONFIG": "x",
        "PDWATCH_BUILDS": "2",
        "PDWATCH_RUN_BUILDS": "2",
        "PDWATCH_TESTBED_KEEP": "1",
        "HOME": "/root",
    }
    assert unknown_variables(environ, flags={"PDWATCH_RUN_BUILDS"}) == {
        "PDWATCH_NAMESPCE": "PDWATCH_NAMESPCE is no variable of pdwatch and has no effect; "
        "did you mean PDWATCH_NAMESPACE?"
    }
