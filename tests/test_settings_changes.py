"""What a reload means, and what the settings say of each directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from pdwatch.errors import NotWatchedError
from pdwatch.policies import Policies
from pdwatch.settings import HttpSettings, LogSettings, RootSettings, Settings
from pdwatch.settings.changes import FIXED, FIXED_ONCE_OPEN, reload
from pdwatch.settings.keys import KEYS
from pdwatch.tracked import Policy

if TYPE_CHECKING:
    from pdwatch.core.model import TargetName
    from pdwatch.targets import Target

DOCUMENT = Path(__file__).parents[1] / "docs/settings.md"


class FakeTarget:
    """What policies need to know of a target."""

    def __init__(self, name: TargetName) -> None:
        self.name = name
        self.namespace = "local" if name == "local" else "from-context"
        self.secrets = name == "local"
        self.image_store = None if name == "local" else object()


def policies(**settings: Any) -> Policies:
    async def target(name: TargetName) -> Target:
        return cast("Target", FakeTarget(name))

    return Policies(Settings(**settings), target)


@pytest.mark.parametrize(
    ("changed", "effective", "waiting"),
    [
        pytest.param({}, [], [], id="nothing"),
        pytest.param(
            {"namespace": "other", "builds": 5}, ["namespace", "builds"], [], id="what takes effect"
        ),
        pytest.param(
            {"context": "x", "keep_images": 9}, [], ["context", "keep_images"], id="what has to wait"
        ),
        pytest.param({"target": "local"}, ["target"], [], id="where workflows run"),
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
    decided = reload(old, old.model_copy(update=changed), opened={"kubernetes"})
    assert (list(decided.changed), list(decided.waiting)) == (effective, waiting)
    kept = {key: getattr(old, key) for key in (name.partition(".")[0] for name in waiting)}
    assert decided.settings == old.model_copy(update=changed | kept)


def test_what_a_target_would_be_opened_by_takes_effect_as_long_as_it_is_not_open():
    old = Settings(roots=(RootSettings(path=Path("a"), target="local"),), context="old")
    new = Settings(roots=(RootSettings(path=Path("a")),), context="new", undeploy_removed=True)
    decided = reload(old, new, opened={"local"})
    assert (decided.settings, decided.waiting) == (new, [])


def test_the_document_has_every_key_with_its_variable_and_says_which_have_to_wait():
    rows = [line.split("|") for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    documented = {row[1].strip(" `"): (row[2], row[5].strip()) for row in rows}
    assert documented.keys() == KEYS.keys()
    for name, (variable, on_reload) in documented.items():
        assert f"`{KEYS[name].variable}`" in variable
        waits = name in FIXED or name in FIXED_ONCE_OPEN
        assert on_reload == ("waits" if waits else "takes effect"), name


async def watched(found: Policies, directory: Path) -> bool:
    try:
        await found.find(directory)
    except NotWatchedError:
        return False
    return True


async def test_of_nested_roots_the_innermost_says_what_holds_and_above_it_the_settings(tmp_path: Path):
    found = policies(
        namespace="dev",
        roots=({"path": tmp_path}, {"path": tmp_path / "a", "namespace": "own", "secrets": True}),
    )
    assert await found.find(tmp_path / "a/hello") == Policy(namespace="own", secrets=True)
    assert await found.find(tmp_path / "b") == Policy(namespace="dev")
    assert not await watched(found, tmp_path.parent)


async def test_without_a_namespace_it_is_the_target_s_and_null_takes_one_away(tmp_path: Path):
    root = {"path": tmp_path, "namespace": None, "registry": None}
    found = policies(namespace="dev", registry="reg.example", roots=(root,))
    assert await found.find(tmp_path) == Policy(namespace="from-context")


async def test_other_settings_replace_the_policies_as_a_whole(tmp_path: Path):
    found = policies(roots=({"path": tmp_path / "a"},))
    found.take(Settings(roots=({"path": tmp_path / "b"},), registry="reg.example"))
    assert not await watched(found, tmp_path / "a/hello")
    assert await found.find(tmp_path / "b/hello") == Policy(namespace="from-context", registry="reg.example")


async def test_a_root_s_target_says_what_else_holds_there(tmp_path: Path):
    roots = ({"path": tmp_path / "a", "target": "local"}, {"path": tmp_path / "b"})
    found = policies(registry="reg.example", roots=roots)
    assert await found.find(tmp_path / "a") == Policy(target="local", namespace="local", secrets=True)
    assert await found.find(tmp_path / "b") == Policy(namespace="from-context", registry="reg.example")


@pytest.mark.parametrize(
    ("default", "own", "targets"),
    [
        pytest.param("kubernetes", ("local", None), {"local", "kubernetes"}, id="one of each"),
        pytest.param("kubernetes", ("local", "local"), {"local"}, id="the default, which no root goes by"),
        pytest.param("local", (None, None), {"local"}, id="the default alone"),
    ],
)
def test_the_targets_are_those_that_some_root_goes_to(
    tmp_path: Path, default: TargetName, own: tuple[TargetName | None, ...], targets: set[TargetName]
):
    roots = tuple(
        RootSettings(path=tmp_path / str(number), **({"target": target} if target else {}))
        for number, target in enumerate(own)
    )
    assert Settings(target=default, roots=roots).targets == targets
