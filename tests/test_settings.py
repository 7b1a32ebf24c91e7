"""The settings file, and flags on top of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdwatch.errors import ExitCode, SettingsError
from pdwatch.settings import LogSettings, Settings, load_settings

REPOSITORY = Path(__file__).parent.parent


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pdwatch.yaml"
    path.write_text(text)
    return path


def test_without_file_and_flags_every_setting_has_its_default():
    assert load_settings(None, {}) == Settings()


def test_the_sample_has_every_key_with_its_default():
    path = REPOSITORY / "config/pdwatch.yaml"
    loaded = load_settings(path, {})
    assert loaded == Settings(roots=(REPOSITORY / "config/../examples",))
    text = path.read_text()
    assert all(f"\n{key}:" in text for key in Settings.model_fields)
    assert all(f"\n  {key}:" in text for key in LogSettings.model_fields)


@pytest.mark.parametrize("text", ["", "# namespace: dev\n"], ids=["empty", "comments"])
def test_a_file_without_settings_leaves_every_default(tmp_path: Path, text: str):
    assert load_settings(written(tmp_path, text), {}) == Settings()


def test_a_flag_wins_over_the_file_and_one_that_was_not_given_does_not(tmp_path: Path):
    path = written(tmp_path, "namespace: from-file\nbuilds: 4\nlog: {level: debug}\n")
    loaded = load_settings(path, {"namespace": "from-flag", "builds": None, "log.format": "json"})
    assert (loaded.namespace, loaded.builds) == ("from-flag", 4)
    assert loaded.log == LogSettings(format="json", level="debug")


def test_relative_roots_count_from_the_file_and_tilde_from_home(tmp_path: Path):
    path = written(tmp_path, "roots: [here, ~/there]\n")
    assert load_settings(path, {}).roots == (tmp_path / "here", Path.home() / "there")


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        pytest.param(
            "namespce: dev\nbuilds: 0\n",
            [
                ":1:1: namespce: is not a setting; did you mean namespace?",
                ":2:1: builds: Input should be greater than or equal to 1",
            ],
            id="every problem at once",
        ),
        pytest.param(
            "log:\n  levle: debug\n", [":2:3: log.levle: is not a setting; did you mean level?"], id="nested"
        ),
        pytest.param("log: {level: loud}\n", [":1:7: log.level: Input should be"], id="a word that is none"),
        pytest.param("namespace: Dev_1\n", [":1:1: namespace: a namespace has"], id="no DNS label"),
        pytest.param(
            "registry: http://registry\n",
            [":1:1: registry: the registry 'http://registry' is a URL; leave out the scheme: registry"],
            id="a registry with a scheme",
        ),
        pytest.param("roots: []\n", [":1:1: roots: must not be empty"], id="no roots"),
        pytest.param("roots: here\n", [":1:1: roots: must be a list"], id="a root that is no list"),
        pytest.param("roots: [null]\n", [":1:1: roots.0: must be a path"], id="a root that is no path"),
        pytest.param("- a\n", [":1:1: the settings must be a mapping"], id="no mapping"),
        pytest.param("a: [\n", [":1:5: a value was expected here"], id="no YAML"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_column(tmp_path: Path, text: str, messages: list[str]):
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {})
    assert caught.value.exit_code is ExitCode.USAGE
    for message in messages:
        assert f"{path}{message}" in caught.value.message


def test_a_section_that_is_none_is_refused_though_a_flag_goes_into_it(tmp_path: Path):
    path = written(tmp_path, "log: json\n")
    with pytest.raises(SettingsError, match=r":1:1: log: must be a mapping of keys to values"):
        load_settings(path, {"log.format": "json"})


def test_an_empty_section_leaves_the_defaults(tmp_path: Path):
    path = written(tmp_path, "log:\nbuilds: null\n")
    assert load_settings(path, {}) == Settings()
    assert load_settings(path, {"log.format": "json"}).log == LogSettings(format="json")


def test_a_bad_flag_is_refused_without_a_place():
    with pytest.raises(SettingsError, match=r"^builds: "):
        load_settings(None, {"builds": 0})


def test_an_unreadable_file_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="Is a directory"):
        load_settings(tmp_path, {})
