"""The testbed of a test session: found up and left up, or brought up and taken down again."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.testbed import client, cluster
from tests.testbed.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.testbed.client import Testbed


@contextmanager
def session_testbed(environ: Mapping[str, str], progress: Callable[[str], None]) -> Iterator[Testbed]:
    """Hold a testbed that is up and well.

    ``PDWATCH_TESTBED=external`` uses the one in ``KUBECONFIG`` and ``DOCKER_HOST``;
    ``PDWATCH_TESTBED_KEEP=1`` leaves one up that this session has brought up.

    Raises:
        PrerequisiteMissingError: This machine can't hold a testbed.
        TestbedError: It does not come up.
    """
    if environ.get("PDWATCH_TESTBED") == "external":
        yield client.external(environ)
        return
    layout = Layout.from_environment(environ)
    brought_up = cluster.up(layout, progress)
    try:
        yield client.of_instance(layout, cluster.running(layout))
    finally:
        if brought_up and environ.get("PDWATCH_TESTBED_KEEP") != "1":
            progress("Taking the testbed down")
            cluster.down(layout)
