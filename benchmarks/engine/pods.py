"""Measures what a pod's settings do to apply → ready: ``python -m benchmarks.engine.pods [KNOB …]``.

Every round takes a sample of the pod as pdwatch applies it and one of each knob, in random order: a new
Deployment on the testbed, removed again. Shows when its container was made and started, when the engine
listened, when kubelet told that it runs, and when the pod was ready, as medians of the ms from the apply. The
last two wait for kubelet's look at its containers and for its next probe, up to a second each: compare the
columns before them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from benchmarks.apiserver import settled, watching
from benchmarks.ground import prepared
from benchmarks.samples import median, spread
from benchmarks.workflows import write_workflow
from pdwatch.core.dockerfile import entrypoint
from pdwatch.core.manifests import deployment
from pdwatch.core.model import ImageRef, WorkflowSpec
from tests.cli.command import pdwatch
from tests.testbed import client, cluster
from tests.testbed.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.apiserver import Object, Watched
    from benchmarks.ground import Ground

MOMENTS = ("made", "started", "listening", "running", "ready")


def _container(pod: Object) -> Object:
    container: Object = pod["containers"][0]
    return container


def no_volumes(pod: Object) -> None:
    """Take all volumes away; something has to be writable then."""
    pod["volumes"], _container(pod)["volumeMounts"] = [], []
    _container(pod)["securityContext"]["readOnlyRootFilesystem"] = False


def one_volume(pod: Object) -> None:
    """Keep /tmp alone."""
    pod["volumes"], mounts = pod["volumes"][1:], _container(pod)["volumeMounts"]
    _container(pod)["volumeMounts"] = mounts[1:]


def tcp_probe(pod: Object) -> None:
    """Ask whether the port is open."""
    probe = _container(pod)["readinessProbe"]
    probe["tcpSocket"] = {"port": probe.pop("httpGet")["port"]}


def startup_probe(pod: Object) -> None:
    """Ask the same as a startupProbe first."""
    probe = _container(pod)["readinessProbe"]
    _container(pod)["startupProbe"] = {**probe, "failureThreshold": 60}


def with_flags(*added: str, without: Sequence[str] = ()) -> Callable[[Object], None]:
    """Return a knob that gives Deno more flags, or fewer."""

    def change(pod: Object) -> None:
        command = [part for part in entrypoint(_SPEC) if part not in without]
        at = command.index("run") + 1
        _container(pod)["command"] = [*command[:at], *added, *command[at:]]

    return change


def with_environment(name: str, value: str) -> Callable[[Object], None]:
    """Return a knob that sets a variable of the container."""
    return lambda pod: _container(pod).update(env=[{"name": name, "value": value}])


_SPEC = WorkflowSpec(name="pods", version="1.0", triggers=(), nodes=())
KNOBS: Mapping[str, Callable[[Object], None]] = {
    "as-is": lambda _: None,
    "no-probe": lambda pod: _container(pod).pop("readinessProbe"),
    "startup-probe": startup_probe,
    "tcp-probe": tcp_probe,
    "no-volumes": no_volumes,
    "one-volume": one_volume,
    "tmp-in-memory": lambda pod: pod["volumes"][1].update(emptyDir={"medium": "Memory"}),
    "service-links": lambda pod: pod.update(enableServiceLinks=True),
    "dns-of-node": lambda pod: pod.update(dnsPolicy="Default"),
    "no-seccomp": lambda pod: pod["securityContext"].pop("seccompProfile"),
    "no-cpu-limit": lambda pod: _container(pod)["resources"]["limits"].pop("cpu"),
    "code-cache": with_flags(without=["--no-code-cache"]),
    "max-lazy": with_flags("--v8-flags=--max-lazy"),
    "no-npm": with_flags("--no-npm"),
    "no-deno-dir": with_environment("DENO_DIR", "/nowhere"),
    "no-tini": lambda pod: _container(pod).update(command=entrypoint(_SPEC)[2:]),
}


@dataclass(slots=True, kw_only=True)
class Pods:
    """Starts pods of one image in a namespace."""

    ground: Ground
    namespace: str
    image: ImageRef
    pods: Watched

    async def sample(self, name: str, change: Callable[[Object], Any]) -> Mapping[str, float]:
        """Start a pod, and remove it once it is ready; return each moment in ms from the apply."""
        spec = WorkflowSpec(name=name, version="1.0", triggers=(), nodes=())
        manifest = deployment(spec, digest="sha256:0", image=self.image, namespace=self.namespace)
        change(manifest["spec"]["template"]["spec"])
        await self.pods.until(settled)
        await asyncio.sleep(random.random())  # anywhere between two looks of kubelet's
        applied = time.time()
        await self.ground.kube.apply(manifest)
        seen = {
            "running": await self.pods.until(lambda pods: any(_runs(pod, name) for pod in pods.values())),
            "ready": await self.pods.until(lambda pods: any(_ready(pod, name) for pod in pods.values())),
        }
        pod = next(pod for pod in self.pods.objects.values() if _ready(pod, name))
        told = await self._told(pod)
        await self.ground.testbed.kubectl(
            "delete", "deployment", name, f"--namespace={self.namespace}", "--wait=false"
        )
        return {moment: (at - applied) * 1000 for moment, at in {**told, **seen}.items()}

    async def _told(self, pod: Object) -> Mapping[str, float]:
        """Return what Docker says, and the engine's log once it has got there."""
        container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("docker://")
        docker = self.ground.docker
        url = f"{docker.host}/containers/{container}"
        async with docker.session.get(f"{url}/json") as response:
            details = await response.json()
        async with docker.session.get(f"{url}/logs?stdout=1&follow=1") as response:
            # A line has a header of Docker's before it (Engine API, "Stream format").
            lines = (json.loads(raw[raw.index(b"{") :]) async for raw in response.content if b"{" in raw)
            listening = await anext(line async for line in lines if line["message"] == "listening")
        return {
            "made": _seconds(details["Created"]),
            "started": _seconds(details["State"]["StartedAt"]),
            "listening": _seconds(listening["time"]),
        }


def _seconds(time_of_day: str) -> float:
    """Return the Unix time of an RFC 3339 time, of which Docker writes nanoseconds."""
    whole, _, fraction = time_of_day.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


def _runs(pod: Object, name: str) -> bool:
    containers = pod["status"].get("containerStatuses", ())
    return pod["metadata"]["labels"]["app.kubernetes.io/name"] == name and any(
        "running" in container["state"] for container in containers
    )


def _ready(pod: Object, name: str) -> bool:
    conditions = pod["status"].get("conditions", ())
    return _runs(pod, name) and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )


def show(samples: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Print a line for each knob."""
    print(f"load {os.getloadavg()[0]:.1f}\n{'':16}" + "".join(f"{moment:>11}" for moment in MOMENTS))
    for knob, taken in samples.items():
        times = {moment: [sample[moment] for sample in taken] for moment in MOMENTS}
        start = [sample["listening"] - sample["started"] for sample in taken]
        quartiles = spread(times["ready"])
        print(
            f"{knob:16}"
            + "".join(f"{median(times[moment]):11.0f}" for moment in MOMENTS)
            + f"  (ready {quartiles.low:.0f} to {quartiles.high:.0f}; engine {median(start):.0f}, "
            f"least {min(start):.0f}; n = {len(taken)})"
        )


async def measure(knobs: Sequence[str], rounds: int) -> None:
    """Take the samples and print them."""
    layout = Layout.from_environment({})
    testbed = client.of_instance(layout, cluster.running(layout))
    async with prepared(testbed) as ground, ground.namespaces("pods") as [namespace]:
        workflow = write_workflow(ground.scratch, f"{ground.prefix}-pods")
        built = await pdwatch("build", workflow.root, "--output=json", environ=ground.environment)
        repository, _, tag = json.loads(built.out)["reference"].partition(":")
        async with watching(ground.kube, f"/api/v1/namespaces/{namespace}/pods") as pods:
            place = Pods(
                ground=ground, namespace=namespace, image=ImageRef(repository=repository, tag=tag), pods=pods
            )
            samples: dict[str, list[Mapping[str, float]]] = {knob: [] for knob in knobs}
            numbers = itertools.count()
            for done in range(rounds):
                for knob in random.sample(list(knobs), k=len(knobs)):
                    samples[knob].append(await place.sample(f"pods-{next(numbers)}", KNOBS[knob]))
                ground.tell(f"Round {done + 1} of {rounds}")
            show(samples)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("knobs", nargs="*", metavar="KNOB", help=f"of {', '.join(KNOBS)}; default: all")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    unknown = set(arguments.knobs) - set(KNOBS)
    if unknown:
        parser.error(f"no such knob: {', '.join(sorted(unknown))}")
    asyncio.run(measure(list(dict.fromkeys(["as-is", *(arguments.knobs or KNOBS)])), arguments.rounds))


if __name__ == "__main__":
    main()
