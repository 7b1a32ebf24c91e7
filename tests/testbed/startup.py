"""The steps from nothing to a testbed that is well."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.testbed import components, credentials, images, instance, probes, processes
from tests.testbed.configuration import configuration_files
from tests.testbed.errors import TestbedError
from tests.testbed.instance import Instance
from tests.testbed.processes import ProcessId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from tests.testbed.artifacts import Artifacts
    from tests.testbed.components import Component
    from tests.testbed.layout import Layout

_WELL_WITHIN = 180.0  # seconds: thirty times what the slowest component takes on two idle cores
_LOADED_WITHIN = 300.0  # seconds
_RUNTIME_CLASS = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "gvisor"},
    "handler": "docker",  # dockershim knows no other; the daemon's default runtime is gVisor
}


class Startup:
    """One attempt to bring a testbed up; its record is current after every step."""

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
        self._create_credentials()
        dockerd, *foundations = components.foundations(self._layout, self._instance)
        kubernetes = components.kubernetes(self._layout, self._instance)
        self._start([dockerd, *foundations])
        with ThreadPoolExecutor(1, "load-images") as executor:
            self._wait_for([dockerd])
            loading = executor.submit(self._load_images)
            self._wait_for(foundations)
            self._progress("Starting kube-controller-manager, kube-scheduler and kubelet")
            self._start(kubernetes)
            self._create_runtime_class()
            self._wait_for(kubernetes)
            loading.result()

    def _record(self, instance_now: Instance) -> None:
        self._instance = instance_now
        instance.save(instance_now, self._layout)

    def _create_state_directory(self) -> None:
        self._layout.state.mkdir(mode=0o700, parents=True)
        self._record(self._instance)
        self._layout.logs.mkdir()
        for name, content in configuration_files(self._layout, self._instance).items():
            self._write(self._layout.state / name, content)
        programs = self._parts.debian / "usr/bin"
        # kubectl keeps what it learns of every cluster that it meets; here that goes when the cluster does.
        kubectl = f'#!/bin/sh\nexec {programs}/kubectl --cache-dir={self._layout.state}/kubectl-cache "$@"\n'
        self._write(self._layout.programs / "kubectl", kubectl)
        (self._layout.programs / "kubectl").chmod(0o755)
        (self._layout.programs / "docker").symlink_to(programs / "docker")

    def _write(self, path: Path, content: object) -> None:
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

    def _create_credentials(self) -> None:
        command = self._within(credentials.certificate_command())
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise TestbedError(f"openssl failed: {made.stderr}")
        certificate = self._layout.certificate.read_bytes()
        self._write(self._layout.kubeconfig, credentials.kubeconfig(self._instance, certificate))

    def _within(self, command: Sequence[str]) -> list[str]:
        assert self._instance.first is not None
        return processes.command_within(self._instance.first, command, cwd=str(self._layout.state))

    def _start(self, what: Iterable[Component]) -> None:
        for component in what:
            with (self._layout.logs / component.name).open("wb") as log:
                process = subprocess.Popen(
                    self._within(component.argv),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._running[component.name] = process
            if identity := ProcessId.of(process.pid):
                started = {**self._instance.components, component.name: identity}
                self._record(replace(self._instance, components=started))

    def _wait_for(self, what: Iterable[Component]) -> None:
        for component in what:
            log = self._layout.logs / component.name
            probes.wait_until_well(component, self._running[component.name], log, timeout=_WELL_WITHIN)

    def _load_images(self) -> None:
        path = self._layout.state / "images.tar"
        base = images.base_image(self._parts.debian)
        pause = images.pause_image(self._parts.kubernetes / "pause")
        images.write_archive(path, [base, pause])
        with path.open("rb") as archive:
            headers = {
                "Content-Type": "application/x-tar",
                "Content-Length": str(os.fstat(archive.fileno()).st_size),
            }
            answer = probes.post(
                self._layout.docker_socket, "/images/load?quiet=1", archive, headers, timeout=_LOADED_WITHIN
            )
        path.unlink()
        if "Loaded image" not in answer:  # the daemon says 200 before it has looked at the archive
            raise TestbedError(f"dockerd has not loaded the base image: {answer}")

    def _create_runtime_class(self) -> None:
        kubectl = [str(self._layout.programs / "kubectl"), f"--kubeconfig={self._layout.kubeconfig}"]
        document = json.dumps(_RUNTIME_CLASS)
        made = subprocess.run(
            [*kubectl, "create", "--filename=-"], input=document, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise TestbedError(f"RuntimeClass gvisor can't be created: {made.stderr}")
