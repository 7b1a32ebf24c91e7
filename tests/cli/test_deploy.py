from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.adapters.kubeconfigs import kubeconfig
from tests.adapters.scripted_server import KUBE_SYSTEM, answer, scripted_server
from tests.cli.command import pdwatch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.testbed.client import Testbed

GREET = "export default () => 'hello';\n"
CANARY = "canary-5d4c3b2a"
NOWHERE = {"KUBECONFIG": "/nowhere/config", "DOCKER_HOST": "unix:///nowhere/docker.sock"}


def workflow(root: Path, *, name: str = "hello", node: str = GREET, **deployment: Any) -> Path:
    (root / "nodes").mkdir(parents=True, exist_ok=True)
    document = {
        "name": name,
        "version": "1.0",
        "triggers": [{"type": "manual"}],
        "nodes": {"greet": {"path": "./nodes/greet.ts"}},
        "edges": [],
        "deployment": deployment,
    }
    (root / "workflow.yaml").write_text(
        yaml.safe_dump({key: value for key, value in document.items() if value != {}})
    )
    (root / "nodes" / "greet.ts").write_text(node)
    return root


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """A workflow whose pod answers."""
    return workflow(tmp_path / "hello")


@pytest.fixture
def idle(tmp_path: Path) -> Path:
    """A workflow that asks for no pods, for what happens before there are any."""
    return workflow(tmp_path / "idle", replicas=0)


async def found(testbed: Testbed, namespace: str, kind: str, name: str = "hello") -> dict[str, Any]:
    answered = json.loads(await testbed.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
    assert isinstance(answered, dict)
    return answered


class TestDeploying:
    async def test_a_workflow_is_built_applied_and_answers(
        self, testbed: Testbed, namespace: str, hello: Path
    ) -> None:
        ended = await pdwatch("deploy", hello, "-n", namespace, environ=testbed.variables)
        assert ended.status == 0, ended.err
        first, second, third, _ = ended.out.splitlines()
        assert first.startswith(("built hello:1-0-", "found hello:1-0-"))
        assert second == f"applied to namespace {namespace}: Service hello, Deployment hello"
        assert third == "ready: 1 of 1 pods of hello run what is saved"
        deployment = await found(testbed, namespace, "deployment")
        health = json.loads(await testbed.pod_http(namespace, "hello", "/health"))
        assert deployment["metadata"]["annotations"]["pdwatch.dev/source-digest"] in health.values()

    async def test_deploying_again_reuses_the_image_and_changes_nothing(
        self, testbed: Testbed, namespace: str, idle: Path
    ) -> None:
        arguments = ("deploy", idle, "-n", namespace, "-o", "json")
        once, again = [(await pdwatch(*arguments, environ=testbed.variables)).out for _ in range(2)]
        assert metadata(once)["generation"] == metadata(again)["generation"] == 1

    async def test_with_a_registry_the_image_is_pushed_and_pinned_by_digest(
        self, testbed: Testbed, namespace: str, hello: Path
    ) -> None:
        assert testbed.registry
        arguments = ("deploy", hello, "-n", namespace, "--registry", testbed.registry)
        ended = await pdwatch(*arguments, environ=testbed.variables)
        assert ended.status == 0, ended.err
        (container,) = (await found(testbed, namespace, "deployment"))["spec"]["template"]["spec"][
            "containers"
        ]
        assert container["image"].startswith(f"{testbed.registry}/hello:1-0@sha256:")

    async def test_rights_of_rbac_yaml_are_enough(
        self, testbed: Testbed, hello: Path, namespace: str, limited: Path
    ) -> None:
        (hello / ".secrets.yaml").write_text(f"github: {{token: {CANARY}}}\n")
        environ = {**testbed.variables, "KUBECONFIG": str(limited)}
        ended = await pdwatch("deploy", hello, "--secrets", environ=environ)
        assert ended.status == 0, ended.err
        assert await found(testbed, namespace, "secret", "hello-secrets")

    async def test_no_build_names_the_image_that_must_be_there_and_needs_no_docker(
        self, testbed: Testbed, namespace: str, idle: Path
    ) -> None:
        environ = {**testbed.variables, "DOCKER_HOST": NOWHERE["DOCKER_HOST"]}
        arguments = (
            "deploy",
            idle,
            "-n",
            namespace,
            "--no-build",
            "--tag",
            "ghcr.io/me/hello:7",
            "-o",
            "json",
        )
        ended = await pdwatch(*arguments, environ=environ)
        assert ended.status == 0, ended.err
        assert metadata(ended.out)["annotations"]["pdwatch.dev/image"] == "ghcr.io/me/hello:7"


def metadata(printed: str) -> dict[str, Any]:
    """The metadata of the last object in a List, which is the Deployment."""
    found = json.loads(printed)["items"][-1]["metadata"]
    assert isinstance(found, dict)
    return found


class TestNamespace:
    @pytest.mark.parametrize(
        ("flag", "in_workflow", "in_context", "expected"),
        [
            pytest.param("flag", "workflow", "context", "flag", id="the flag wins"),
            pytest.param(None, "workflow", "context", "workflow", id="then workflow.yaml"),
            pytest.param(None, None, "context", "context", id="then the context"),
            pytest.param(None, None, None, "default", id="then default"),
        ],
    )
    async def test_the_namespace_is_the_one_that_stands_nearest(
        self, tmp_path: Path, flag: str | None, in_workflow: str | None, in_context: str | None, expected: str
    ) -> None:
        options: dict[str, Any] = {"namespace": in_workflow} if in_workflow else {}
        root = workflow(tmp_path / "hello", **options)
        applied = answer(200, {"kind": "Deployment", "metadata": {"name": "hello"}})
        async with scripted_server([KUBE_SYSTEM, answer(200, {}), applied, applied]) as server:
            context: dict[str, Any] = {"namespace": in_context} if in_context else {}
            environ = {**NOWHERE, "KUBECONFIG": str(kubeconfig(tmp_path / "config", server.url, **context))}
            flags = ["--namespace", flag] if flag else []
            ended = await pdwatch("deploy", root, "--no-build", "--no-wait", *flags, environ=environ)
            assert ended.status == 0, ended.err
            assert f"/namespaces/{expected}/deployments/hello?" in server.requests[3]
            assert f"/namespaces/{expected}/services/hello?" in server.requests[2]

    async def test_a_missing_namespace_says_how_to_create_it(self, testbed: Testbed, idle: Path) -> None:
        arguments = ("deploy", idle, "--no-build", "-n", "no-such-namespace")
        ended = await pdwatch(*arguments, environ=testbed.variables)
        assert ended.status == 4
        assert "pdwatch cluster check -n no-such-namespace --fix" in ended.err


class TestDryRun:
    async def plan(self, root: Path, *flags: str, environ: Mapping[str, str] = NOWHERE) -> str:
        ended = await pdwatch("deploy", root, "--dry-run", *flags, environ=environ)
        assert ended.status == 0, ended.err
        return ended.out

    def test_it_needs_neither_docker_nor_a_cluster_nor_their_libraries(self, hello: Path) -> None:
        program = (
            "import sys; from pdwatch.cli.main import main\n"
            f"sys.argv[1:] = ['deploy', {str(hello)!r}, '--dry-run', '-o', 'yaml']\n"
            "try: main()\n"
            "finally: assert not {'aiohttp', 'aiodocker', 'kubernetes_asyncio'} & set(sys.modules)\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True)

    async def test_text_says_what_would_be_applied_and_where(self, hello: Path) -> None:
        assert (await self.plan(hello, "-n", "dev")).startswith(
            "would apply to namespace dev: Service hello, Deployment hello, with image hello:1-0-"
        )

    async def test_kubectl_takes_the_manifests_and_then_runs_what_deploy_would(
        self, testbed: Testbed, namespace: str, idle: Path
    ) -> None:
        manifests = await self.plan(idle, "-o", "yaml")
        await testbed.kubectl("apply", "-n", namespace, "--filename=-", document=manifests)
        by_kubectl = await found(testbed, namespace, "deployment")
        flags = ("--no-build", "--force-conflicts", "-o", "json")
        ended = await pdwatch("deploy", idle, "-n", namespace, *flags, environ=testbed.variables)
        assert ended.status == 0, ended.err
        assert json.loads(ended.out)["items"][-1]["spec"] == by_kubectl["spec"]
        assert metadata(ended.out)["generation"] == 1

    async def test_json_is_one_list_that_kubectl_takes(
        self, testbed: Testbed, namespace: str, idle: Path
    ) -> None:
        manifests = await self.plan(idle, "-n", namespace, "-o", "json")
        assert [each["kind"] for each in json.loads(manifests)["items"]] == ["Service", "Deployment"]
        await testbed.kubectl("apply", "--filename=-", document=manifests)

    @pytest.mark.parametrize("name", ["y", "n", "on", "null", "true"])
    async def test_a_name_that_yaml_might_read_otherwise_stays_a_name(
        self, testbed: Testbed, namespace: str, tmp_path: Path, name: str
    ) -> None:
        manifests = await self.plan(
            workflow(tmp_path / name, name=name, replicas=0), "-n", namespace, "-o", "yaml"
        )
        await testbed.kubectl("apply", "--dry-run=server", "--filename=-", document=manifests)

    async def test_the_namespace_is_left_to_kubectl_unless_a_flag_or_workflow_yaml_names_one(
        self, hello: Path, tmp_path: Path
    ) -> None:
        named = workflow(tmp_path / "named", namespace="team")
        assert metadata(await self.plan(named, "-o", "json"))["namespace"] == "team"
        assert metadata(await self.plan(named, "-o", "json", "-n", "dev"))["namespace"] == "dev"
        assert "namespace" not in metadata(await self.plan(hello, "-o", "json"))

    async def test_the_image_is_the_one_that_a_run_would_name_as_far_as_it_is_known(
        self, hello: Path
    ) -> None:
        printed = await self.plan(hello, "--registry", "ghcr.io/me", "-o", "json")
        annotations = metadata(printed)["annotations"]
        digest = annotations["pdwatch.dev/source-digest"].removeprefix("sha256:")
        assert annotations["pdwatch.dev/image"] == f"ghcr.io/me/hello:1-0-{digest[:12]}"

    @pytest.mark.parametrize("output", ["text", "json", "yaml"])
    async def test_secrets_are_left_out_and_that_is_said(self, hello: Path, output: str) -> None:
        (hello / ".secrets.yaml").write_text(f"github: {{token: {CANARY}}}\n")
        ended = await pdwatch("deploy", hello, "--dry-run", "--secrets", "-o", output, environ=NOWHERE)
        assert "Secret hello-secrets is left out" in ended.err
        assert_not_shown(ended.out + ended.err)
        assert "kind: Secret" not in ended.out


def assert_not_shown(printed: str) -> None:
    assert CANARY not in printed
    assert base64.b64encode(CANARY.encode()).decode()[:12] not in printed


class TestSecrets:
    @pytest.mark.parametrize("output", ["text", "json", "yaml"])
    async def test_local_secrets_become_a_secret_and_are_never_printed(
        self, testbed: Testbed, namespace: str, idle: Path, output: str
    ) -> None:
        (idle / ".secrets").mkdir()
        (idle / ".secrets" / "github").write_text(CANARY)
        arguments = ("deploy", idle, "--no-build", "--secrets", "-n", namespace, "-o", output)
        ended = await pdwatch(*arguments, environ=testbed.variables)
        assert ended.status == 0, ended.err
        assert_not_shown(ended.out + ended.err)
        stored = (await found(testbed, namespace, "secret", "hello-secrets"))["data"]
        assert [base64.b64decode(value).decode() for value in stored.values()] == [CANARY]

    async def test_they_stay_here_unless_they_are_asked_for(
        self, testbed: Testbed, namespace: str, idle: Path
    ) -> None:
        (idle / ".secrets.yaml").write_text(f"github: {{token: {CANARY}}}\n")
        await pdwatch("deploy", idle, "--no-build", "-n", namespace, environ=testbed.variables)
        assert "hello-secrets" not in await testbed.kubectl("get", "secrets", "-n", namespace)

    async def test_asking_for_secrets_where_there_are_none_is_said(
        self, testbed: Testbed, namespace: str, idle: Path
    ) -> None:
        arguments = ("deploy", idle, "--no-build", "--secrets", "-n", namespace)
        ended = await pdwatch(*arguments, environ=testbed.variables)
        assert ended.status == 0
        assert "has neither .secrets.yaml nor .secrets/: no Secret is applied" in ended.err


class TestHolding:
    async def test_without_gvisor_nothing_is_built_and_nothing_applied(
        self, tmp_path: Path, hello: Path
    ) -> None:
        """The testbed must keep its RuntimeClass, so a script answers as an API server without one does."""
        async with scripted_server([KUBE_SYSTEM, answer(404, {"message": "not found"})]) as server:
            environ = {**NOWHERE, "KUBECONFIG": str(kubeconfig(tmp_path / "config", server.url))}
            ended = await pdwatch("deploy", hello, environ=environ)
            assert [request.split()[0] for request in server.requests] == ["GET", "GET"]
        assert ended.status == 5
        assert ended.out == ""
        assert "no RuntimeClass gvisor" in ended.err
        assert "https://gvisor.dev" in ended.err

    async def test_a_field_that_somebody_else_has_set_is_kept_until_it_is_taken_by_force(
        self, testbed: Testbed, namespace: str, idle: Path
    ) -> None:
        arguments = ("deploy", idle, "--no-build", "-n", namespace)
        await pdwatch(*arguments, environ=testbed.variables)
        await testbed.kubectl("set", "image", "deployment/hello", "hello=nginx", "-n", namespace)
        ended = await pdwatch(*arguments, environ=testbed.variables)
        assert ended.status == 5
        assert 'owns spec.template.spec.containers[name="hello"].image' in ended.err
        ended = await pdwatch(*arguments, "--force-conflicts", environ=testbed.variables)
        assert ended.status == 0, ended.err
        (container,) = (await found(testbed, namespace, "deployment"))["spec"]["template"]["spec"][
            "containers"
        ]
        assert container["image"].startswith("hello:1-0-")


class TestFailing:
    async def test_a_crashing_node_is_shown_with_its_last_words_while_the_old_pod_serves(
        self, testbed: Testbed, namespace: str, hello: Path
    ) -> None:
        assert (await pdwatch("deploy", hello, "-n", namespace, environ=testbed.variables)).status == 0
        workflow(hello, node=f"console.log('last words'); throw new Error('it broke');\n{GREET}")
        ended = await pdwatch("deploy", hello, "-n", namespace, environ=testbed.variables)
        assert ended.status == 1
        assert "hello in namespace" in ended.err
        assert "what ran before goes on serving: CrashLoopBackOff" in ended.err
        assert '"message":"last words"' in ended.err
        assert "it broke" in ended.err
        assert json.loads(await testbed.pod_http(namespace, "hello", "/run"))["success"]

    async def test_an_image_that_is_not_there_is_named(
        self, testbed: Testbed, namespace: str, hello: Path
    ) -> None:
        arguments = ("deploy", hello, "-n", namespace, "--no-build", "--tag", "127.0.0.1:1/missing:1")
        ended = await pdwatch(*arguments, environ=testbed.variables)
        assert ended.status == 1
        assert "is not ready: ImagePullBackOff" in ended.err

    async def test_no_wait_leaves_it_at_that(self, testbed: Testbed, namespace: str, hello: Path) -> None:
        arguments = (
            "deploy",
            hello,
            "-n",
            namespace,
            "--no-build",
            "--tag",
            "127.0.0.1:1/missing:1",
            "--no-wait",
        )
        ended = await pdwatch(*arguments, environ=testbed.variables)
        assert ended.status == 0
        assert "ready" not in ended.out

    async def test_a_rollout_that_takes_too_long_is_given_up(
        self, testbed: Testbed, namespace: str, hello: Path
    ) -> None:
        workflow(hello, node="await new Promise((resume) => setTimeout(resume, 3_600_000));\n" + GREET)
        ended = await pdwatch("deploy", hello, "-n", namespace, "--timeout", "3s", environ=testbed.variables)
        assert ended.status == 1
        assert "hello in namespace" in ended.err
        assert "not ready after 3 s" in ended.err

    async def test_an_invalid_workflow_is_shown_as_validate_shows_it(self, hello: Path) -> None:
        (hello / "nodes" / "greet.ts").unlink()
        ended = await pdwatch("deploy", hello, "--dry-run", environ=NOWHERE)
        assert ended.status == 1
        assert "workflow.yaml:" in ended.err
        assert "./nodes/greet.ts does not exist" in ended.err

    @pytest.mark.parametrize(
        ("flags", "status", "said"),
        [
            pytest.param(["--registry", "https://x"], 2, "leave out the scheme", id="registry"),
            pytest.param(["--tag", "a tag"], 2, "is no image tag", id="tag"),
            pytest.param(["--timeout", "5"], 2, "is no time such as", id="timeout"),
            pytest.param(["--namespace", "a/b"], 2, "can't be a namespace", id="namespace"),
            pytest.param(["-o", "xml"], 2, "'xml' is not one of", id="output"),
            pytest.param([], 2, "looked for /nowhere/config", id="no kubeconfig"),
        ],
    )
    async def test_wrong_flags_and_settings_are_refused(
        self, hello: Path, flags: list[str], status: int, said: str
    ) -> None:
        ended = await pdwatch("deploy", hello, *flags, environ=NOWHERE)
        assert ended.status == status
        assert said in ended.err

    async def test_a_directory_without_a_workflow_is_not_found(self, tmp_path: Path) -> None:
        ended = await pdwatch("deploy", tmp_path, environ=NOWHERE)
        assert ended.status == 4
        assert "workflow.yaml" in ended.err

    async def test_a_cluster_that_can_t_be_reached_is_named(self, tmp_path: Path, hello: Path) -> None:
        environ = {**NOWHERE, "KUBECONFIG": str(kubeconfig(tmp_path / "config", "https://127.0.0.1:1"))}
        ended = await pdwatch("deploy", hello, environ=environ)
        assert ended.status == 3
        assert "https://127.0.0.1:1 can't be reached: Connection refused" in ended.err

    async def test_without_docker_nothing_is_applied(
        self, testbed: Testbed, namespace: str, hello: Path
    ) -> None:
        environ = {**testbed.variables, "DOCKER_HOST": NOWHERE["DOCKER_HOST"]}
        ended = await pdwatch("deploy", hello, "-n", namespace, environ=environ)
        assert ended.status == 3
        assert "unix:///nowhere/docker.sock" in ended.err
        assert "hello" not in await testbed.kubectl("get", "deployments", "-n", namespace)
