"""Fixtures for tests that need a real Docker, registry and Kubernetes; the work is in ``tests/testbed``."""

from __future__ import annotations

import os
import secrets
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import structlog
from hypothesis import HealthCheck, settings

from tests.adapters.kubeconfigs import service_account, with_user
from tests.rbac import RBAC, installed
from tests.testbed.__main__ import steps
from tests.testbed.errors import PrerequisiteMissingError, TestbedError
from tests.testbed.session import session_testbed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.testbed.client import Testbed

_MISSING = pytest.StashKey[str]()

# Hypothesis would assert that each example takes less than 200 ms, which busy machines refute.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# What a shell starts in the background ignores Ctrl-C, and so would every program that is tested with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _restored_structlog() -> Iterator[None]:
    """A test that configures the log leaves the next one no stream that is closed by then."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def testbed(request: pytest.FixtureRequest) -> Iterator[Testbed]:
    """The testbed, up and well; without one, tests are skipped, but fail in CI (``CI`` is set)."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with ExitStack() as stack:
        try:
            with capture.global_and_fixture_disabled():  # it may take minutes, so the steps are shown
                testbed = stack.enter_context(session_testbed(os.environ, steps()))
        except TestbedError as error:
            request.config.stash[_MISSING] = str(error)
            if isinstance(error, PrerequisiteMissingError) and not os.environ.get("CI"):
                raise pytest.skip.Exception(f"no testbed: {error}") from None
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        yield testbed


@pytest.fixture(scope="session", autouse=True)
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Daemons that tests start leave nothing in the log, and no socket, of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest_asyncio.fixture
async def namespace(testbed: Testbed) -> AsyncIterator[str]:
    """A namespace of the test's own, deleted afterwards without waiting for its end.

    Its default service account comes with it, since pods are refused before it is there, and is applied by
    the server, which does not mind that kube-controller-manager may have been quicker.
    """
    name = f"test-{secrets.token_hex(4)}"
    await testbed.kubectl("apply", "--server-side", "--filename=-", document=_NAMESPACE.format(name=name))
    yield name
    await testbed.kubectl("delete", "namespace", name, "--wait=false")


@pytest_asyncio.fixture
async def limited(testbed: Testbed, namespace: str, tmp_path: Path) -> AsyncIterator[Path]:
    """The kubeconfig of the service account of config/rbac.yaml, as if it were installed in ``namespace``."""
    document = installed(RBAC, namespace)
    await testbed.kubectl("apply", "--server-side", "--filename=-", document=document)
    user = await service_account(testbed, namespace, "pdwatch")
    yield with_user(testbed, tmp_path / "limited", user, namespace=namespace)
    await testbed.kubectl("delete", "--filename=-", "--wait=false", document=document)


_NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata: {{name: {name}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: default, namespace: {name}}}
automountServiceAccountToken: false
"""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say loudly what a quiet row of skipped tests would hide."""
    if missing := config.stash.get(_MISSING, None):
        terminalreporter.section("There was no testbed: nothing has been tried on a real cluster", red=True)
        terminalreporter.write_line(missing)
