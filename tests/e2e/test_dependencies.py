"""A workflow that imports packages of npm, in a pod under gVisor that downloads nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import pdwatch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testbed import Testbed

WORKFLOW = """\
name: third-party
version: "1.0"
triggers: [{type: manual}]
nodes:
  check: {path: ./nodes/check.ts}
edges: []
"""
NODE = """\
import isOdd from "npm:is-odd@3.0.1";
import { nanoid } from "id/non-secure";
export default (_ctx: unknown, { number }: { number: number }) => [isOdd(number), nanoid(9).length];
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the workflow's directory."""
    root = tmp_path / "third-party"
    (root / "nodes").mkdir(parents=True)
    (root / "workflow.yaml").write_text(WORKFLOW)
    (root / "nodes/check.ts").write_text(NODE)
    (root / "deno.json").write_text('{"imports": {"id": "npm:nanoid@5.1.4"}}')
    return root


async def test_a_workflow_with_packages_runs_in_a_pod(root: Path, namespace: str, testbed: Testbed) -> None:
    ended = await pdwatch(
        *("deploy", root, "--namespace", namespace, "--build-network", "host"), environ=testbed.variables
    )
    assert ended.status == 0, ended.err
    answer = await testbed.pod_http(
        namespace,
        "third-party",
        "/run",
        method="POST",
        body=b'{"number": 3}',
        headers={"Content-Type": "application/json"},
    )
    assert json.loads(answer)["outputs"] == {"check": [True, 9]}


async def test_a_package_that_can_not_be_reached_is_named_with_the_ways_out(
    root: Path, testbed: Testbed
) -> None:
    (root / "nodes/check.ts").write_text('import "npm:left-pad@1.3.0"; export default () => 1;')
    ended = await pdwatch("build", root, "--build-network", "none", environ=testbed.variables)
    assert ended.status == 3
    assert "npm:left-pad@1.3.0 (imported by nodes/check.ts) can't be fetched" in ended.err
    assert "keep node_modules/ beside workflow.yaml" in ended.err
