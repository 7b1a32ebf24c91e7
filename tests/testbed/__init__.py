"""A private Docker, registry and Kubernetes with gVisor, made of Debian's packages and source package alone.

    python -m tests.testbed up      bring it up: six minutes the first time, ten seconds after that
    python -m tests.testbed down    take it down, without a trace but the cache

Everything runs below one process in mount and PID namespaces of its own, with a root directory of unpacked
packages: nothing is installed on the machine, none of its files, sysctls or firewall rules change, and when
that process ends the kernel takes the rest with it.

Variables:
    PDWATCH_TESTBED=external: use the cluster in ``KUBECONFIG``, the Docker in ``DOCKER_HOST`` and the
        registry in ``PDWATCH_TESTBED_REGISTRY``; nothing is started.
    PDWATCH_TESTBED_KEEP=1: tests leave a testbed up that they have brought up.
    PDWATCH_TESTBED_STATE: the state directory (``/var/tmp/pdwatch-testbed``); another one is another testbed.
    PDWATCH_TESTBED_CACHE: the cache (``~/.cache/pdwatch-testbed``); remove it when no testbed is up.
"""

from tests.testbed.client import Testbed

__all__ = ["Testbed"]
