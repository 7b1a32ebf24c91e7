from __future__ import annotations

from pathlib import Path

import pdwatch
from pdwatch.adapters.engine import engine_files, engine_recipe, harness_files
from pdwatch.core.build_context import recipe_digest

ENGINE = Path(pdwatch.__file__).parent / "engine"


def test_the_engine_is_shipped_without_its_tests() -> None:
    shipped = engine_files()
    assert {"main.ts", "mod.ts"} <= shipped.keys()
    assert all((ENGINE / path).read_bytes() == content for path, content in shipped.items())
    assert not [path for path in shipped if path.endswith("_test.ts") or path.startswith("testing/")]


def test_every_module_that_a_shipped_one_imports_is_shipped_too() -> None:
    shipped = engine_files()
    imported = {
        part.partition('"')[0]
        for content in shipped.values()
        for part in content.decode().split(' from "./')[1:]
    }
    assert imported <= shipped.keys()


def test_the_harness_comes_on_top_of_the_engine_and_is_in_no_image() -> None:
    added = harness_files().keys() - engine_files().keys()
    assert "harness/main.ts" in added
    assert all(path.startswith("harness/") and not path.endswith("_test.ts") for path in added)


def test_the_recipe_is_that_of_the_shipped_files() -> None:
    assert engine_recipe() == recipe_digest(engine_files())
