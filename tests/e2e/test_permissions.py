"""What a node may do inside a real pod, and what it is told when it tries more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.cli.command import pdwatch
from tests.e2e.local_server import address_towards, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testbed import Testbed

NODES = {
    "declared": "export default (_ctx, { url }) => fetch(url).then((answer) => answer.text());",
    "elsewhere": 'export default (ctx) => ctx.fetch("any", "https://elsewhere.example/");',
    "env": 'export default () => Deno.env.get("HOME");',
    "read": 'export default () => Deno.readTextFile("/etc/passwd");',
    "run": 'export default () => new Deno.Command("/bin/deno", { args: ["--version"] }).output();',
    "scratch": (
        'export default () => Deno.writeTextFile("/tmp/x", "kept").then(() => Deno.statSync("/app") && null);'
    ),
    "write": 'export default () => Deno.writeTextFile("/app/x", "");',
}


async def test_a_pod_reaches_what_is_declared_and_says_what_to_do_about_the_rest(
    tmp_path: Path, namespace: str, testbed: Testbed
):
    app = web.Application()
    app.router.add_get("/", answer)
    async with serving(app) as port:
        write_workflow(tmp_path, host=None)
        await deploy(tmp_path, namespace, testbed)
        host = f"{address_towards(await pod_address(namespace, testbed))}:{port}"
        unrestricted = await run(namespace, testbed, url=f"http://{host}/")
        assert "is not a declared host" not in unrestricted["errors"]["elsewhere"]

        write_workflow(tmp_path, host=host)
        await deploy(tmp_path, namespace, testbed)
        result = await run(namespace, testbed, url=f"http://{host}/")
    assert result["outputs"] == {"declared": "reached", "scratch": None}
    assert result["errors"] == {
        "elsewhere": "elsewhere.example is not a declared host; in workflow.yaml set "
        f'nodes.elsewhere.capabilities.net: ["{host}", "elsewhere.example"]',
        "env": "reads environment variable HOME, which is not permitted; "
        "take settings from ctx.config and credentials from ctx.secrets",
        "read": "reads /etc/passwd, which is not permitted; "
        "only files below /app can be read: list them under config.include in workflow.yaml",
        "run": "starts the program /bin/deno, which is not permitted; "
        "the image holds no other program, so do it in TypeScript or ask a service for it",
        "write": "writes /app/x, which is not permitted; "
        "only below /tmp can files be written, and they last as long as the pod",
    }


async def answer(_request: web.Request) -> web.Response:
    return web.Response(text="reached")


def write_workflow(root: Path, *, host: str | None) -> None:
    """Write a workflow whose nodes all declare ``host``, or nothing."""
    (root / "nodes").mkdir(exist_ok=True)
    for name, source in NODES.items():
        (root / f"nodes/{name}.js").write_text(source)
    capabilities = {} if host is None else {"capabilities": {"net": host}}
    workflow = {
        "name": "oversteps",
        "version": "1.0",
        "triggers": [{"type": "manual"}],
        "nodes": {name: {"path": f"./nodes/{name}.js", **capabilities} for name in NODES},
    }
    (root / "workflow.yaml").write_text(json.dumps(workflow))


async def deploy(root: Path, namespace: str, testbed: Testbed) -> None:
    deployed = await pdwatch("deploy", root, f"--namespace={namespace}", environ=testbed.environment)
    assert deployed.status == 0, deployed.err


async def pod_address(namespace: str, testbed: Testbed) -> str:
    addresses = await testbed.kubectl(
        "get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].status.podIP}"
    )
    return addresses.split()[0]


async def run(namespace: str, testbed: Testbed, **payload: str) -> dict[str, Any]:
    body = json.dumps(payload).encode()
    headers = {"Content-Type": "application/json"}
    response = await testbed.pod_request(namespace, "oversteps", "/run", "POST", body, headers)
    result: dict[str, Any] = json.loads(response.body)
    return result
