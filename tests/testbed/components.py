"""The seven daemons: how each is started, and where it says that it is well.

All have the state directory as their working directory, so that is what relative paths are relative to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.testbed.credentials import ADMIN, CERTIFICATE, KEY
from tests.testbed.images import PAUSE_IMAGE
from tests.testbed.network import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.testbed.instance import Instance
    from tests.testbed.layout import Layout

NODE = LOOPBACK
"""The node's name and address, which is where kube-apiserver reaches kubelet."""

_SERVICE_NETWORK = "10.96.0.0/16"
"""Nothing routes it (there is no kube-proxy); Services need addresses all the same: benchmarks a thousand."""
_ETCD = "etcd:0"
"""A Unix socket in the state directory, since whoever reaches etcd can make a privileged pod, so no port may
lead there. etcd accepts a socket only under a name that looks like host and port."""

_NODE_IS_READY = '"type":"Ready","status":"True"'
"""In kube-apiserver's JSON, which has no spaces and a condition's fields in the order of its Go struct."""
_SERVED_WITH = [f"--tls-cert-file={CERTIFICATE}", f"--tls-private-key-file={KEY}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """An HTTP request that is answered with 200 when a component is well."""

    url: str
    contains: str = ""
    """What the answer has to contain as well."""
    unix_socket: Path | None = None
    token: str | None = None
    certificate: Path | None = None
    """What an https server has to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A daemon of the testbed."""

    name: str
    argv: Sequence[str]
    probe: Probe


def foundations(layout: Layout, instance: Instance) -> list[Component]:
    """Return what needs nothing else, dockerd first; kube-apiserver itself waits for etcd."""
    return [
        Component(
            name="dockerd",
            argv=["dockerd", "--config-file=dockerd.json"],
            probe=Probe(url="http://docker/_ping", unix_socket=layout.docker_socket),
        ),
        Component(
            name="docker-registry",
            argv=["docker-registry", "serve", "registry.json"],
            probe=Probe(url=f"http://{instance.registry}/v2/"),
        ),
        Component(
            name="etcd",
            argv=_etcd(),
            probe=Probe(url="http://etcd/health", unix_socket=layout.state / _ETCD),
        ),
        Component(
            name="kube-apiserver",
            argv=_apiserver(instance.ports.apiserver),
            probe=_apiserver_answers(layout, instance, "/readyz"),
        ),
    ]


def kubernetes(layout: Layout, instance: Instance) -> list[Component]:
    """Return what needs kube-apiserver and dockerd."""
    ports = instance.ports
    service_accounts = [f"--service-account-private-key-file={KEY}", f"--root-ca-file={CERTIFICATE}"]
    return [
        Component(
            name="kube-controller-manager",
            argv=["kube-controller-manager", *_controller(ports.controller_manager), *service_accounts],
            probe=_healthz(layout, ports.controller_manager),
        ),
        Component(
            name="kube-scheduler",
            argv=["kube-scheduler", *_controller(ports.scheduler)],
            probe=_healthz(layout, ports.scheduler),
        ),
        Component(
            name="kubelet",
            argv=_kubelet(layout),
            probe=_apiserver_answers(layout, instance, f"/api/v1/nodes/{NODE}", contains=_NODE_IS_READY),
        ),
    ]


def _apiserver_answers(layout: Layout, instance: Instance, path: str, *, contains: str = "") -> Probe:
    return Probe(
        url=f"https://{LOOPBACK}:{instance.ports.apiserver}{path}",
        contains=contains,
        certificate=layout.certificate,
        token=instance.tokens[ADMIN],
    )


def _healthz(layout: Layout, port: int) -> Probe:
    return Probe(url=f"https://{LOOPBACK}:{port}/healthz", certificate=layout.certificate)


def _etcd() -> list[str]:
    peers = ["--listen-peer-urls=unix://etcd-peer:0", "--initial-advertise-peer-urls=http://localhost:2380"]
    clients = [f"--listen-client-urls=unix://{_ETCD}", f"--advertise-client-urls=unix://{_ETCD}"]
    # In the namespace's memory: nothing of it has to last, and a write need not wait for a disk.
    return ["etcd", "--data-dir=/var/lib/etcd", "--logger=zap", *peers, *clients]


def _apiserver(port: int) -> list[str]:
    return [
        "kube-apiserver",
        f"--etcd-servers=unix://{_ETCD}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        *_SERVED_WITH,
        f"--advertise-address={LOOPBACK}",
        "--endpoint-reconciler-type=none",  # a loopback address can't be an endpoint
        f"--service-cluster-ip-range={_SERVICE_NETWORK}",
        "--token-auth-file=tokens.csv",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={KEY}",
        f"--service-account-key-file={CERTIFICATE}",
        f"--kubelet-client-certificate={CERTIFICATE}",
        f"--kubelet-client-key={KEY}",
        "--profiling=false",
    ]


def _controller(port: int) -> list[str]:
    return [
        "--kubeconfig=kubeconfig",
        "--leader-elect=false",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        "--port=0",
        *_SERVED_WITH,
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    ]


def _kubelet(layout: Layout) -> list[str]:
    return [
        "kubelet",
        "--config=kubelet.json",
        "--kubeconfig=kubeconfig",
        f"--root-dir={layout.state}/kubelet",
        f"--hostname-override={NODE}",
        "--container-runtime=docker",
        f"--docker-endpoint=unix://{layout.docker_socket}",
        f"--pod-infra-container-image={PAUSE_IMAGE}",
        "--image-pull-progress-deadline=5m",
        "--network-plugin=cni",
        "--cni-bin-dir=/usr/lib/cni",
        f"--cni-conf-dir={layout.state}/cni",
    ]
