"""What is published: an sdist that builds, and a wheel that works in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import aiohttp
import pytest

from pdwatch import __version__
from pdwatch.adapters.engine import harness_files
from pdwatch.cli.reference import reference
from pdwatch.core.schema import workflow_schema
from tests.e2e.daemon import running

ROOT = Path(__file__).parents[1]
INSTALLED = {
    "share/bash-completion/completions/pdwatch": "completions/pdwatch.bash",
    "share/fish/vendor_completions.d/pdwatch.fish": "completions/pdwatch.fish",
    "share/zsh/site-functions/_pdwatch": "completions/pdwatch.zsh",
    "lib/systemd/system/pdwatch.service": "systemd/pdwatch.service",
    "lib/systemd/user/pdwatch.service": "systemd/pdwatch-user.service",
    "lib/sysusers.d/pdwatch.conf": "systemd/pdwatch.sysusers.conf",
    **{f"share/pdwatch/config/{each.name}": f"config/{each.name}" for each in (ROOT / "config").iterdir()},
    **{f"share/man/man1/{Path(page).name}": page for page in reference() if page.endswith(".1")},
}
"""Below the environment's prefix → in the checkout."""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist of this checkout, and the wheel that was built from that sdist."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", directory, cwd=ROOT)
    return directory


@pytest.fixture(scope="module")
def prefix(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing but the wheel and what it asks for to run workflows itself."""
    prefix = tmp_path_factory.mktemp("venv")
    venv.create(prefix, with_pip=True)
    (wheel,) = built.glob("*.whl")
    run(prefix / "bin/python", "-m", "pip", "install", "--quiet", f"{wheel}[local]", cwd=prefix)
    return prefix


def test_the_wheel_has_the_engine_and_the_harness_without_their_tests(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("pdwatch/engine/")}
    assert names - {"pdwatch/engine/deno.json"} == {f"pdwatch/engine/{path}" for path in harness_files()}


def test_the_sdist_has_what_its_tests_and_documents_need(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        top = {"/".join(name.split("/")[1:2]) for name in archive.getnames()}
    assert {"pdwatch", "tests", "docs", "config", "systemd", "completions", "examples", "Makefile"} <= top


def test_man_pages_completion_units_and_settings_are_installed(prefix: Path) -> None:
    assert {path for path in INSTALLED if not (prefix / path).is_file()} == set()
    assert {
        path
        for path, source in INSTALLED.items()
        if (prefix / path).read_bytes() != (ROOT / source).read_bytes()
    } == set()


def test_the_installed_command_works(prefix: Path, tmp_path: Path) -> None:
    pdwatch = prefix / "bin/pdwatch"
    assert run(pdwatch, "--version", cwd=tmp_path) == f"pdwatch {__version__}\n"
    assert json.loads(run(pdwatch, "validate", "--schema", cwd=tmp_path)) == workflow_schema()
    run(pdwatch, "init", "hello", cwd=tmp_path)
    run(pdwatch, "validate", "hello", cwd=tmp_path)
    assert run(pdwatch, "deploy", "hello", "--dry-run", cwd=tmp_path).startswith("would apply to ")
    assert run(pdwatch, "run", "--help", cwd=tmp_path)


async def test_the_installed_daemon_runs_a_workflow_on_this_machine(prefix: Path, tmp_path: Path) -> None:
    pdwatch, workflows = prefix / "bin/pdwatch", tmp_path / "workflows"
    run(pdwatch, "init", "hello", "--directory", workflows / "hello", cwd=tmp_path)
    arguments = ("run", "--target=local", "--log-format=json", workflows)
    environment = {"PATH": "/usr/bin:/bin", "XDG_CONFIG_HOME": str(tmp_path)}
    async with running(pdwatch, *arguments, environment=environment) as daemon:
        url = (await daemon.until("endpoint.opened"))["url"]
        await daemon.until("rollout.complete")
        async with aiohttp.ClientSession() as session, session.get(f"{url}/run") as response:
            assert (await response.json())["success"]
        assert await daemon.stop() == 0
