"""The seven daemons: how each is started, and where it says that it is well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.testbed.images import PAUSE_IMAGE
from tests.testbed.network import LOOPBACK, cni_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from ipaddress import IPv4Network

    from tests.testbed.instance import Instance, Ports
    from tests.testbed.layout import Layout

NODE = LOOPBACK
"""The node's name and address, which is where kube-apiserver reaches kubelet."""

ADMIN, DEVELOPER = "admin", "developer"
_SERVICE_NETWORK = "10.96.0.0/24"
"""Nothing routes it (there is no kube-proxy); Services need addresses all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """An HTTP request that a healthy component answers with 200."""

    url: str
    unix_socket: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A daemon of the testbed."""

    name: str
    argv: Sequence[str]
    probe: Probe


def foundations(layout: Layout, instance: Instance) -> list[Component]:
    """Return what needs nothing but itself: dockerd, the registry, etcd, and kube-apiserver, which waits for etcd."""
    state = layout.state
    return [
        Component(
            name="dockerd",
            argv=["dockerd", f"--config-file={state}/dockerd.json"],
            probe=Probe(url="http://docker/_ping", unix_socket=str(layout.docker_socket)),
        ),
        Component(
            name="docker-registry",
            argv=["docker-registry", "serve", f"{state}/registry.json"],
            probe=Probe(url=f"http://{instance.registry}/v2/"),
        ),
        Component(
            name="etcd",
            argv=_etcd(state=str(state)),
            probe=Probe(url="http://etcd/health", unix_socket=f"{state}/etcd:0"),
        ),
        Component(
            name="kube-apiserver",
            argv=_apiserver(state=str(state), ports=instance.ports),
            probe=Probe(
                url=f"https://{LOOPBACK}:{instance.ports.apiserver}/readyz", token=instance.admin_token
            ),
        ),
    ]


def kubernetes(layout: Layout, instance: Instance) -> list[Component]:
    """Return what needs kube-apiserver and dockerd."""
    state, ports = layout.state, instance.ports
    client = [f"--kubeconfig={layout.kubeconfig}"]
    control = [*client, "--leader-elect=false", "--profiling=false", "--port=0", f"--bind-address={LOOPBACK}"]
    keys = [f"--service-account-private-key-file={state}/service-account.key"]
    keys += [f"--root-ca-file={state}/apiserver/apiserver.crt"]
    speed = ["--kube-api-qps=200", "--kube-api-burst=400"]
    return [
        Component(
            name="kube-controller-manager",
            argv=[
                *("kube-controller-manager", *control, *keys, *speed),
                *(f"--secure-port={ports.controller_manager}", f"--cert-dir={state}/controller-manager"),
            ],
            probe=Probe(url=f"https://{LOOPBACK}:{ports.controller_manager}/healthz"),
        ),
        Component(
            name="kube-scheduler",
            argv=[
                *("kube-scheduler", *control, *speed),
                *(f"--secure-port={ports.scheduler}", f"--cert-dir={state}/scheduler"),
            ],
            probe=Probe(url=f"https://{LOOPBACK}:{ports.scheduler}/healthz"),
        ),
        Component(
            name="kubelet",
            argv=_kubelet(layout, client),
            probe=Probe(url=f"http://{LOOPBACK}:{ports.kubelet_health}/healthz"),
        ),
    ]


def _etcd(*, state: str) -> list[str]:
    # A Unix socket named `etcd:0` in the state directory, where both sides have their working directory: whoever
    # reaches etcd can make a privileged pod, so no port of the machine may lead there. etcd wants a host and port.
    listen = [f"--{role}-urls=unix://etcd:0" for role in ("listen-client", "advertise-client")]
    listen += ["--listen-peer-urls=unix://etcd-peer:0", "--initial-advertise-peer-urls=http://localhost:2380"]
    return ["etcd", "--name=default", f"--data-dir={state}/etcd", "--logger=zap", *listen]


def _apiserver(*, state: str, ports: Ports) -> list[str]:
    service_account = f"{state}/service-account.key"
    return [
        "kube-apiserver",
        "--etcd-servers=unix://etcd:0",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={ports.apiserver}",
        f"--advertise-address={LOOPBACK}",
        "--endpoint-reconciler-type=none",  # a loopback address can't be an endpoint
        f"--cert-dir={state}/apiserver",
        f"--token-auth-file={state}/tokens.csv",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={service_account}",
        f"--service-account-key-file={service_account}",
        f"--service-cluster-ip-range={_SERVICE_NETWORK}",
        f"--kubelet-client-certificate={state}/kubelet-client.crt",
        f"--kubelet-client-key={state}/kubelet-client.key",
        "--profiling=false",
    ]


def _kubelet(layout: Layout, client: Sequence[str]) -> list[str]:
    return [
        "kubelet",
        *client,
        f"--config={layout.state}/kubelet.json",
        f"--root-dir={layout.state}/kubelet",
        f"--cert-dir={layout.state}/kubelet-certificates",
        f"--hostname-override={NODE}",
        "--container-runtime=docker",
        f"--docker-endpoint=unix://{layout.docker_socket}",
        f"--pod-infra-container-image={PAUSE_IMAGE}",
        "--network-plugin=cni",
        "--cni-bin-dir=/usr/lib/cni",
        f"--cni-conf-dir={layout.state}/cni",
        "--image-pull-progress-deadline=5m",
    ]


def configuration_files(layout: Layout, instance: Instance) -> Mapping[str, object]:
    """Return the daemons' files by path in the state directory: text as it is, the rest to be written as JSON."""
    tokens = f'{instance.admin_token},{ADMIN},1,"system:masters"\n{instance.developer_token},{DEVELOPER},2\n'
    return {
        "tokens.csv": tokens,
        "dockerd.json": _dockerd_configuration(layout),
        "registry.json": _registry_configuration(layout, instance),
        "kubelet.json": _kubelet_configuration(layout, instance.ports),
        "cni/pods.conflist": cni_configuration(instance.network),
    }


def _dockerd_configuration(layout: Layout) -> object:
    state = layout.state
    return {
        "hosts": [f"unix://{layout.docker_socket}"],
        "group": "root",
        "data-root": f"{state}/docker",
        "exec-root": f"{state}/docker-run",
        "pidfile": f"{state}/docker.pid",
        "deprecated-key-path": f"{state}/docker-key.json",
        "bridge": "none",
        "iptables": False,
        "ip6tables": False,
        "ip-forward": False,
        "ip-masq": False,
        "oom-score-adjust": 0,
        "cgroup-parent": f"/{layout.name}",
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "default-runtime": "pod",
        "runtimes": {
            "pod": {"path": "/usr/local/bin/pod-runtime"},
            "runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--network=host", "--ignore-cgroups"]},
        },
    }


def _registry_configuration(layout: Layout, instance: Instance) -> object:
    return {
        "version": "0.1",
        "log": {"accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": f"{layout.state}/registry"}, "delete": {"enabled": True}},
        "http": {"addr": instance.registry},
    }


def _kubelet_configuration(layout: Layout, ports: Ports) -> object:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": LOOPBACK,
        "port": ports.kubelet,
        "readOnlyPort": 0,
        "healthzBindAddress": LOOPBACK,
        "healthzPort": ports.kubelet_health,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": f"{layout.state}/kubelet-client.crt"},
        },
        "authorization": {"mode": "AlwaysAllow"},  # of those who hold that certificate: kube-apiserver
        "volumePluginDir": f"{layout.state}/kubelet-plugins",
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "cgroupRoot": f"/{layout.name}",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "evictionHard": {"memory.available": "10Mi"},
        "imageGCHighThresholdPercent": 100,  # never: images are all that dockerd has, and there is no other source
        "clusterDNS": [LOOPBACK],  # nobody is there, so a lookup fails at once rather than after its timeout
        "serializeImagePulls": False,
        "syncFrequency": "5s",
        "nodeStatusUpdateFrequency": "1s",
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    }
