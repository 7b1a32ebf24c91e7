"""One testbed as its record says: what it runs and where, kept as JSON in the state directory."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field, replace
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from tests.testbed import network
from tests.testbed.processes import ProcessId, boot_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.testbed.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What listens on the loopback address."""

    apiserver: int
    controller_manager: int
    scheduler: int
    kubelet: int
    kubelet_health: int
    registry: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A testbed that goes up, is up, or has left remains."""

    boot_id: str
    """The machine's, since processes are only identified while it runs."""
    ports: Ports
    pod_network: str
    admin_token: str
    developer_token: str
    first: ProcessId | None = None
    """The process that all others end with."""
    components: Mapping[str, ProcessId] = field(default_factory=dict)

    @classmethod
    def new(cls, layout: Layout) -> Instance:
        """Choose ports, a pod network and tokens."""
        names = Ports.__dataclass_fields__
        return cls(
            boot_id=boot_id(),
            ports=Ports(**dict(zip(names, network.free_ports(len(names)), strict=True))),
            pod_network=str(network.pod_network(layout.digest, network.routes())),
            admin_token=secrets.token_hex(),
            developer_token=secrets.token_hex(),
        )

    @property
    def registry(self) -> str:
        """The registry's address."""
        return f"{network.LOOPBACK}:{self.ports.registry}"

    @property
    def network(self) -> IPv4Network:
        """Where pods have their addresses."""
        return IPv4Network(self.pod_network)

    @property
    def links(self) -> frozenset[str]:
        """The names of the pods' links, as far as there are pods."""
        return network.links_into(self.network, network.routes())

    @property
    def running(self) -> bool:
        """Tell whether any process of it still runs."""
        return self.boot_id == boot_id() and self.first is not None and self.first.alive


def save(instance: Instance, layout: Layout) -> None:
    """Write the record, all at once, readable by root alone."""
    fresh = layout.record.with_suffix(".new")
    with open(fresh, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:  # noqa: PTH123
        json.dump(asdict(instance), file, indent=2)
    fresh.replace(layout.record)


def load(layout: Layout) -> Instance | None:
    """Read the record; None when there is no testbed."""
    try:
        document = json.loads(layout.record.read_text())
    except FileNotFoundError:
        return None
    instance = Instance(**document)
    return replace(
        instance,
        ports=Ports(**document["ports"]),
        first=ProcessId(**document["first"]) if document["first"] else None,
        components={name: ProcessId(**process) for name, process in document["components"].items()},
    )
