"""The steps from an empty state directory to a testbed that is well."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.testbed import components, instance, probes, processes
from tests.testbed.errors import TestbedError
from tests.testbed.instance import Instance
from tests.testbed.kubeconfig import kubeconfig
from tests.testbed.processes import ProcessId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.testbed.artifacts import Artifacts
    from tests.testbed.components import Component
    from tests.testbed.layout import Layout

_READY_WITHIN = 90.0  # seconds: ten times what a component takes on two cores
_LOADED_WITHIN = 300.0  # seconds
_GVISOR = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "gvisor"},
    "handler": "docker",  # dockershim knows no other; the daemon's default runtime is gVisor
}


class Startup:
    """One attempt to bring a testbed up; leaves its record current after every step."""

    def __init__(self, layout: Layout, parts: Artifacts, progress: Callable[[str], None]) -> None:
        self._layout = layout
        self._parts = parts
        self._progress = progress
        self._instance = Instance.new(layout)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self) -> None:
        """Start everything, in the order in which one part needs another.

        Raises:
            PrerequisiteMissingError: The machine does not allow it.
            TestbedError: A component is not well in time.
        """
        self._progress("Starting dockerd, the registry, etcd and kube-apiserver")
        self._create_state_directory()
        self._create_namespaces()
        self._create_keys()
        foundations = components.foundations(self._layout, self._instance)
        self._start(foundations)
        with ThreadPoolExecutor(1, "load-images") as executor:
            self._wait_for(foundations)
            images = executor.submit(self._load_images)
            self._progress("Starting kube-controller-manager, kube-scheduler and kubelet")
            self._write_kubeconfig()
            kubernetes = components.kubernetes(self._layout, self._instance)
            self._start(kubernetes)
            self._kubectl("apply", "--filename=-", document=_GVISOR)
            self._wait_for(kubernetes)
            self._kubectl("wait", "--for=condition=Ready", f"node/{components.NODE}", "--timeout=60s")
            images.result()

    def _record(self, instance_now: Instance) -> None:
        self._instance = instance_now
        instance.save(instance_now, self._layout)

    def _create_state_directory(self) -> None:
        self._layout.state.mkdir(mode=0o700, parents=True)
        self._record(self._instance)
        self._layout.logs.mkdir()
        self._layout.programs.mkdir()
        for program in ("docker", "kubectl"):
            (self._layout.programs / program).symlink_to(self._parts.debian / "usr/bin" / program)
        for name, content in components.configuration_files(self._layout, self._instance).items():
            path = self._layout.state / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))

    def _create_namespaces(self) -> None:
        processes.create_namespaces(
            debian=self._parts.debian,
            kubernetes=self._parts.kubernetes,
            state=self._layout.state,
            log=self._layout.logs / "namespaces",
            record=lambda first: self._record(replace(self._instance, first=first)),
        )

    def _create_keys(self) -> None:
        """Make the key that signs service account tokens, and kube-apiserver's certificate for kubelet."""
        for arguments in (
            ["genrsa", "-out", "service-account.key", "2048"],
            [
                *(
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-nodes",
                    "-days",
                    "3650",
                ),
                *(
                    "-subj",
                    "/CN=kube-apiserver",
                    "-keyout",
                    "kubelet-client.key",
                    "-out",
                    "kubelet-client.crt",
                ),
            ],
        ):
            made = subprocess.run(
                self._within(["openssl", *arguments]), capture_output=True, text=True, check=False
            )
            if made.returncode:
                raise TestbedError(f"openssl {arguments[0]} failed: {made.stderr}")

    def _within(self, command: Sequence[str]) -> list[str]:
        assert self._instance.first is not None
        return processes.command_within(self._instance.first, command, cwd=str(self._layout.state))

    def _start(self, what: Iterable[Component]) -> None:
        for component in what:
            with self._log(component).open("wb") as log:
                process = subprocess.Popen(
                    self._within(component.argv),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._running[component.name] = process
            if identity := ProcessId.of(process.pid):
                recorded = {**self._instance.components, component.name: identity}
                self._record(replace(self._instance, components=recorded))

    def _wait_for(self, what: Iterable[Component]) -> None:
        for component in what:
            process = self._running[component.name]
            probes.wait_until_well(component, process, self._log(component), timeout=_READY_WITHIN)

    def _log(self, component: Component) -> os.PathLike[str]:
        return self._layout.logs / component.name

    def _load_images(self) -> None:
        with self._parts.images.open("rb") as archive:
            headers = {
                "Content-Type": "application/x-tar",
                "Content-Length": str(os.fstat(archive.fileno()).st_size),
            }
            answer = probes.post(
                self._layout.docker_socket, "/images/load?quiet=1", archive, headers, timeout=_LOADED_WITHIN
            )
        if "Loaded image" not in answer:
            raise TestbedError(
                f"dockerd has not loaded the base image: {answer}", log=self._layout.logs / "dockerd"
            )

    def _write_kubeconfig(self) -> None:
        authority = (self._layout.state / "apiserver/apiserver.crt").read_bytes()
        self._layout.kubeconfig.touch(mode=0o600)
        self._layout.kubeconfig.write_text(json.dumps(kubeconfig(self._instance, authority), indent=2))

    def _kubectl(self, *arguments: str, document: object = None) -> None:
        command = [self._layout.programs / "kubectl", f"--kubeconfig={self._layout.kubeconfig}", *arguments]
        done = subprocess.run(
            command, input=json.dumps(document), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise TestbedError(f"kubectl {' '.join(arguments)} failed: {done.stderr}")
