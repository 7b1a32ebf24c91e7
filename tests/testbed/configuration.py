"""The daemons' configuration files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.testbed.credentials import CERTIFICATE, KEY, token_file
from tests.testbed.network import LOOPBACK, cni_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.testbed.instance import Instance, Ports
    from tests.testbed.layout import Layout


def configuration_files(layout: Layout, instance: Instance) -> Mapping[str, object]:
    """Return every file by its path in the state directory: text as it is, other documents to be JSON."""
    return {
        "dockerd.json": _dockerd(layout),
        "registry.json": _registry(layout, instance),
        "kubelet.json": _kubelet(layout, instance.ports),
        "cni/pods.conflist": cni_configuration(instance.network),
        "tokens.csv": token_file(instance.tokens),
    }


def _dockerd(layout: Layout) -> object:
    state = layout.state
    return {
        "hosts": [f"unix://{layout.docker_socket}"],
        "group": "root",
        "data-root": f"{state}/docker",
        "exec-root": f"{state}/docker-run",
        "pidfile": f"{state}/docker.pid",
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


def _registry(layout: Layout, instance: Instance) -> object:
    return {
        "version": "0.1",
        "log": {"accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": f"{layout.state}/registry"}, "delete": {"enabled": True}},
        "http": {"addr": instance.registry},
    }


def _kubelet(layout: Layout, ports: Ports) -> object:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": LOOPBACK,
        "port": ports.kubelet,
        "readOnlyPort": 0,
        "healthzPort": 0,
        "tlsCertFile": f"{layout.state}/{CERTIFICATE}",
        "tlsPrivateKeyFile": f"{layout.state}/{KEY}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": f"{layout.state}/{CERTIFICATE}"},
        },
        "authorization": {"mode": "AlwaysAllow"},  # of who holds the key: kube-apiserver
        "volumePluginDir": "/var/lib/kubelet-plugins",
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "cgroupRoot": f"/{layout.name}",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "clusterDNS": [LOOPBACK],  # nobody is there, so a lookup fails at once instead of after its timeout
        "evictionHard": {"memory.available": "10Mi"},
        "imageGCHighThresholdPercent": 100,  # never: there is nowhere to pull the base image from again
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        "syncFrequency": "5s",
        "nodeStatusUpdateFrequency": "1s",
        "eventRecordQPS": 0,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    }
