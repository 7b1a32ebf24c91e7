"""What people are told when Deno does not fetch; the messages are Deno 2.9's own."""

from __future__ import annotations

import pytest

from pdwatch.adapters.docker.api import RefusedError
from pdwatch.adapters.docker.fetch_errors import fetch_error, network_error
from pdwatch.core.dependencies import ThirdPartyImport
from pdwatch.errors import (
    BuildFailedError,
    DependencyUnavailableError,
    DiskFullError,
    DockerError,
    ExitCode,
    SettingsError,
)

JSR = ThirdPartyImport(specifier="jsr:@std/path@1", importer="lib/x.ts")
NPM = ThirdPartyImport(specifier="npm:ms@2", importer="nodes/a.ts")
URL = ThirdPartyImport(specifier="https://example.com/mod.ts", importer="nodes/b.ts")
IMPORTS = [JSR, NPM, URL]


def printed(reason: str, *, line: int | None = None) -> list[str]:
    """What Deno prints before it ends."""
    at = [f"    at file:///app/dependencies.ts:{line}:8"] if line else []
    return [
        "Download https://example.com/meta.json",
        *f"error: {reason}".splitlines(),
        *at,
        "",
        "Stack backtrace:",
        "   0: <unknown>",
    ]


@pytest.mark.parametrize(
    ("reason", "blamed"),
    [
        pytest.param(
            "Failed loading https://registry.example/ms\n    0: error sending request for url "
            "(https://registry.example/ms): client error (Connect): dns error: failed to look it up",
            NPM,
            id="a name that does not resolve",
        ),
        pytest.param(
            "JSR package manifest for '@std/path' failed to load. Import 'https://x.example/m.json' failed.",
            JSR,
            id="JSR",
        ),
        pytest.param("Import 'https://example.com/mod.ts' failed: 503", URL, id="a server in trouble"),
    ],
)
def test_what_can_not_be_reached_may_be_tried_again(reason: str, blamed: ThirdPartyImport) -> None:
    error = fetch_error(printed(reason, line=IMPORTS.index(blamed) + 1), IMPORTS)
    assert isinstance(error, DependencyUnavailableError)
    said = reason.replace("\n    0:", "")
    assert error.message == f"{blamed.specifier} (imported by {blamed.importer}) can't be fetched: {said}"
    assert (error.retryable, error.exit_code) == (True, ExitCode.UNAVAILABLE)


@pytest.mark.parametrize(
    "reason",
    [
        "npm package 'ms' does not exist.",
        "Could not find npm package 'ms' matching '99'.",
        "JSR package not found: @std/path",
        "Could not find version of '@std/path' that matches specified version constraint '7'",
        'Module not found "https://example.com/mod.ts".',
        "Failed reading lockfile at 'deno.lock'\n\nCaused by:\n    Failed parsing. It may be corrupt",
    ],
)
def test_what_does_not_exist_is_not_tried_again(reason: str) -> None:
    error = fetch_error(printed(reason, line=2), IMPORTS)
    assert isinstance(error, BuildFailedError)
    assert (error.retryable, error.exit_code) == (False, ExitCode.FAILED)
    assert error.output[-1] == "   0: <unknown>"
    assert "backtrace" not in error.message


def test_a_message_without_a_place_names_every_import() -> None:
    reason = "Failed caching npm package 'ms@2.1.2'\n    0: Tarball checksum did not match\n\n  Expected: A"
    named, _, said = fetch_error(printed(reason), IMPORTS).message.partition(" can't be fetched: ")
    assert named == ", ".join(f"{each.specifier} (imported by {each.importer})" for each in IMPORTS)
    assert said == "Failed caching npm package 'ms@2.1.2' Tarball checksum did not match Expected: A"


@pytest.mark.parametrize(
    ("output", "said"), [(["Killed"], "Killed"), ([], "Deno ended without a word")], ids=["some", "none"]
)
def test_without_a_message_of_denos_its_output_has_to_do(output: list[str], said: str) -> None:
    assert fetch_error(output, [NPM]).message.endswith(f"can't be fetched: {said}")


def test_a_full_disk_is_said_to_be_one() -> None:
    assert isinstance(fetch_error(printed("No space left on device (os error 28)"), [NPM]), DiskFullError)


@pytest.mark.parametrize(
    ("imports", "settings", "trees"),
    [
        pytest.param([NPM], '"nodeModulesDir": "auto" into', "keep node_modules/ beside", id="packages"),
        pytest.param(
            [URL], '"nodeModulesDir": "auto", "vendor": true into', "keep vendor/ beside", id="modules"
        ),
        pytest.param(
            IMPORTS,
            '"nodeModulesDir": "auto", "vendor": true into',
            "keep node_modules/ and vendor/ beside",
            id="both",
        ),
    ],
)
@pytest.mark.parametrize("reason", ["dns error", "does not exist"])
def test_the_remedy_says_how_to_vendor_what_is_imported(
    imports: list[ThirdPartyImport], settings: str, trees: str, reason: str
) -> None:
    remedy = fetch_error(printed(reason, line=1), imports).remedy or ""
    assert settings in remedy
    assert trees in remedy


def test_a_network_that_is_not_there_is_a_wrong_setting_and_the_rest_is_dockers() -> None:
    missing = network_error(RefusedError("network nonesuch not found"), "nonesuch")
    assert isinstance(missing, SettingsError)
    assert "docker network ls" in (missing.remedy or "")
    other = network_error(RefusedError("unknown runtime runc"), None)
    assert isinstance(other, DockerError)
    assert "unknown runtime runc" in other.message
