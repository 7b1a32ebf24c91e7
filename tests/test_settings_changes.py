"""What a reload means, and what the settings say of each directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from pdwatch.policies import Policies
from pdwatch.settings import HttpSettings, LogSettings, RootSettings, Settings
from pdwatch.settings.changes import FIXED, reload
from pdwatch.settings.keys import KEYS
from pdwatch.tracked import Policy

if TYPE_CHECKING:
    from pdwatch.targets import Target

DOCUMENT = Path(__file__).parents[1] / "docs/settings.md"


class FakeTarget:
    """What policies need to know of a target."""

    namespace = "from-context"
    secrets = False


def policies(**settings: Any) -> Policies:
    return Policies(Settings(**settings), cast("Target", FakeTarget()))


@pytest.mark.parametrize(
    ("changed", "effective", "waiting"),
    [
        pytest.param({}, [], [], id="nothing"),
        pytest.param(
            {"namespace": "other", "builds": 5}, ["namespace", "builds"], [], id="what takes effect"
        ),
        pytest.param({"context": "x", "target": "local"}, [], ["context", "target"], id="what has to wait"),
        pytest.param({"context": "x", "builds": 5}, ["builds"], ["context"], id="some of both"),
        pytest.param({"log": LogSettings(level="debug")}, ["log.level"], [], id="in a section"),
        pytest.param(
            {"http": HttpSettings(listen="127.0.0.1:1")},
            [],
            ["http.listen"],
            id="in a section that has to wait",
        ),
        pytest.param({"roots": (RootSettings(path=Path("b")),)}, ["roots"], [], id="roots"),
        pytest.param(
            {"roots": (RootSettings(path=Path("a"), secrets=True),)}, ["roots"], [], id="a root's own setting"
        ),
    ],
)
def test_a_reload_tells_what_takes_effect_and_what_has_to_wait(
    changed: dict[str, Any], effective: list[str], waiting: list[str]
):
    old = Settings(roots=(RootSettings(path=Path("a")),), context="old")
    decided = reload(old, old.model_copy(update=changed))
    assert (list(decided.changed), list(decided.waiting)) == (effective, waiting)
    kept = {key: getattr(old, key) for key in (name.partition(".")[0] for name in waiting)}
    assert decided.settings == old.model_copy(update=changed | kept)


def test_the_document_has_every_key_with_its_variable_and_says_which_have_to_wait():
    rows = [line.split("|") for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    documented = {row[1].strip(" `"): (row[2], row[5].strip()) for row in rows}
    assert documented.keys() == KEYS.keys()
    for name, (variable, on_reload) in documented.items():
        assert f"`{KEYS[name].variable}`" in variable
        assert on_reload == ("waits" if name in FIXED else "takes effect"), name


def test_of_nested_roots_the_innermost_says_what_holds_and_above_it_the_settings(tmp_path: Path):
    found = policies(
        namespace="dev",
        roots=({"path": tmp_path}, {"path": tmp_path / "a", "namespace": "own", "secrets": True}),
    )
    assert found.find(tmp_path / "a/hello") == Policy(namespace="own", secrets=True)
    assert found.find(tmp_path / "b") == Policy(namespace="dev")
    assert found.find(tmp_path.parent) is None


def test_without_a_namespace_it_is_the_target_s_and_null_takes_one_away(tmp_path: Path):
    root = {"path": tmp_path, "namespace": None, "registry": None}
    found = policies(namespace="dev", registry="reg.example", roots=(root,)).find(tmp_path)
    assert found == Policy(namespace="from-context")


def test_other_settings_replace_the_policies_as_a_whole(tmp_path: Path):
    found = policies(roots=({"path": tmp_path / "a"},))
    found.take(Settings(roots=({"path": tmp_path / "b"},), registry="reg.example"))
    assert found.find(tmp_path / "a/hello") is None
    assert found.find(tmp_path / "b/hello") == Policy(namespace="from-context", registry="reg.example")
