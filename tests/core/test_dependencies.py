from __future__ import annotations

import json

import pytest

from pdwatch.core.dependencies import (
    ImportMap,
    ThirdPartyImport,
    dependencies_config,
    dependencies_reference,
    fetch_digest,
    fetch_files,
    third_party_imports,
    to_fetch,
    trees_of_deno,
)

IMPORTS = ImportMap.of(
    {
        "imports": {
            "id": "npm:nanoid@5",
            "@std/path": "jsr:@std/path@1",
            "fns/": "npm:/date-fns@3/",
            "fns/special/": "https://example.com/special/",
            "~/": "./lib/",
            "local": "./lib/local.ts",
            "wrong": 5,
        },
        "scopes": {"./lib/": {"id": "npm:other@1"}},
    },
    {"dependencies": {"ms": "^2", "@scope/a": "1"}, "devDependencies": {"yaml": "2"}},
)
CHALK = ThirdPartyImport(specifier="npm:chalk@5", importer="nodes/a.ts")
PATH = ThirdPartyImport(specifier="jsr:@std/path@1", importer="nodes/a.ts")
BARE = ThirdPartyImport(specifier="ms", importer="nodes/a.ts")


@pytest.mark.parametrize(
    ("specifier", "resolved"),
    [
        pytest.param("npm:chalk@5", "npm:chalk@5", id="npm"),
        pytest.param("https://example.com/x.ts", "https://example.com/x.ts", id="a URL"),
        pytest.param("id", "npm:nanoid@5", id="an exact key"),
        pytest.param("id/non-secure", "npm:nanoid@5/non-secure", id="below a key of npm"),
        pytest.param("@std/path/posix", "jsr:@std/path@1/posix", id="below a key of jsr"),
        pytest.param("fns/format", "npm:/date-fns@3/format", id="a prefix"),
        pytest.param("fns/special/x.ts", "https://example.com/special/x.ts", id="the longest prefix"),
        pytest.param("~/a.ts", "./lib/a.ts", id="a local prefix"),
        pytest.param("local", "./lib/local.ts", id="a local key"),
        pytest.param("local/x", None, id="below a key of a file"),
        pytest.param("ms", "ms", id="a package of package.json"),
        pytest.param("@scope/a/sub", "@scope/a/sub", id="below a package with a scope"),
        pytest.param("yaml", "yaml", id="a package for development"),
        pytest.param("@scope/b", None, id="another package"),
        pytest.param("./b.ts", "./nodes/b.ts", id="beside"),
        pytest.param("./b%20%23.ts?v=1#x", "./nodes/b #.ts", id="beside, as a URL spells it"),
        pytest.param("../../../b.ts", "./b.ts", id="never above the root"),
        pytest.param("node:fs", None, id="built in"),
        pytest.param("data:text/javascript,1", None, id="a data URL"),
        pytest.param("wrong", None, id="a target that is no string"),
    ],
)
def test_a_specifier_resolves_as_deno_resolves_it(specifier: str, resolved: str | None) -> None:
    assert IMPORTS.resolve(specifier, "nodes/a.ts") == resolved


def test_a_scope_comes_before_the_other_imports() -> None:
    assert IMPORTS.resolve("id", "lib/a.ts") == "npm:other@1"
    assert IMPORTS.resolve("local", "lib/a.ts") == "./lib/local.ts"


def test_without_configuration_only_whole_specifiers_resolve() -> None:
    assert ImportMap.of({"imports": [], "scopes": 1}, {"dependencies": None}) == ImportMap()
    assert ImportMap().resolve("id", "nodes/a.ts") is None


def test_only_modules_that_a_node_leads_to_count() -> None:
    modules = {
        "nodes/a.ts": 'import "../lib/x.ts"; import "npm:chalk@5"',
        "nodes/b.ts": 'import "local"; import "npm:chalk@5"; import "./gone.ts"',
        "lib/x.ts": 'import "./x.ts"; export * from "./local.ts"; import "jsr:@std/path@1"',
        "lib/local.ts": 'import "../nodes/a.ts"',
        "lib/x_test.ts": 'import "jsr:@std/assert"',
    }
    assert third_party_imports(["./nodes/b.ts", "./nodes/a.ts"], read=modules.get, imports=IMPORTS) == (
        ThirdPartyImport(specifier="jsr:@std/path@1", importer="lib/x.ts"),
        CHALK,
    )


@pytest.mark.parametrize(
    ("directories", "config", "missing"),
    [
        pytest.param([], {}, (CHALK, PATH), id="nothing there"),
        pytest.param(["node_modules"], {}, (PATH,), id="packages"),
        pytest.param(["vendor"], {"vendor": True}, (CHALK,), id="modules"),
        pytest.param(["vendor"], {}, (CHALK, PATH), id="a vendor of the user's own"),
        pytest.param(["vendor", "node_modules", "lib"], {"vendor": True}, (), id="all"),
    ],
)
def test_what_the_directory_brings_along_is_not_fetched(
    directories: list[str], config: dict[str, object], missing: tuple[ThirdPartyImport, ...]
) -> None:
    assert to_fetch((CHALK, PATH), trees=trees_of_deno(directories, config)) == missing


def test_each_import_has_a_line_of_the_module_that_is_fetched() -> None:
    data = ThirdPartyImport(specifier="https://example.com/x.json", importer="nodes/a.ts")
    files = fetch_files([CHALK, data], lock=None, package={"dependencies": {"ms": "2"}})
    assert files["dependencies.ts"].decode().splitlines() == [
        'import "npm:chalk@5";',
        'import "https://example.com/x.json" with { type: "json" };',
    ]
    assert set(files) == {"dependencies.ts", "deno.json"}


def test_the_packages_of_package_json_go_along_when_one_is_imported_by_its_name() -> None:
    package = {"scripts": {"postinstall": "x"}, "dependencies": {"ms": "2"}}
    files = fetch_files([BARE], lock=None, package=package)
    assert json.loads(files["package.json"]) == {"dependencies": {"ms": "2"}}


def test_of_the_packages_for_development_only_what_is_imported_goes_along() -> None:
    package = {"dependencies": {"a": "1"}, "devDependencies": {"ms": "2", "eslint": "9"}}
    files = fetch_files([BARE], lock=None, package=package)
    assert json.loads(files["package.json"]) == {"dependencies": {"a": "1", "ms": "2"}}


def test_the_lock_file_goes_along_without_its_workspace() -> None:
    lock = {"version": "5", "specifiers": {"npm:ms@2": "2.1.2"}, "workspace": {"dependencies": ["npm:ms@2"]}}
    files = fetch_files([CHALK], lock=json.dumps(lock).encode(), package={})
    assert json.loads(files["deno.lock"]) == {"version": "5", "specifiers": {"npm:ms@2": "2.1.2"}}


@pytest.mark.parametrize("lock", [b"{", b"[]"], ids=["no JSON", "no object"])
def test_a_lock_file_that_is_none_is_left_for_deno_to_judge(lock: bytes) -> None:
    assert fetch_files([CHALK], lock=lock, package={})["deno.lock"] == lock


def test_the_digest_is_over_all_that_decides_what_is_fetched() -> None:
    files = {"a": b"1", "b": b"2"}
    digest = fetch_digest(files, base_id="x", left_out=[])
    assert digest == fetch_digest(dict(reversed(files.items())), base_id="x", left_out=[])
    others = [
        fetch_digest({"a": b"1", "b": b"3"}, base_id="x", left_out=[]),
        fetch_digest({"a": b"1", "c": b"2"}, base_id="x", left_out=[]),
        fetch_digest(files, base_id="y", left_out=[]),
        fetch_digest(files, base_id="x", left_out=["vendor"]),
    ]
    assert len({digest, *others}) == 5
    assert dependencies_reference(digest) == f"pdwatch-dependencies:{digest[7:19]}"


def test_the_image_of_dependencies_has_one_layer_and_the_platform_of_the_base() -> None:
    base = {"Architecture": "arm64", "Os": "linux"}
    config = dependencies_config("sha256:d", layer="sha256:l", base=base)
    content = json.loads(config.content)
    assert (content["architecture"], content["os"]) == ("arm64", "linux")
    assert content["rootfs"]["diff_ids"] == list(config.layers) == ["sha256:l"]
    assert content["config"] == {"Labels": {"dev.pdwatch.dependencies": "sha256:d"}}
