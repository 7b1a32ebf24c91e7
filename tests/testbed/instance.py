"""One testbed as its record says: what it runs and where, kept as JSON in the state directory."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from tests.testbed import network
from tests.testbed.credentials import ADMIN, DEVELOPER
from tests.testbed.errors import TestbedError
from tests.testbed.processes import ProcessId, boot_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.testbed.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What has to be known of a testbed to take it down, whichever version of this program brought it up."""

    boot_id: str
    """The machine's, since processes are only identified while it runs."""
    pod_network: str
    first: ProcessId | None = None
    """The process that all others end with."""

    @property
    def running(self) -> bool:
        """Tell whether any process of it still runs."""
        return self.boot_id == boot_id() and self.first is not None and self.first.alive

    @property
    def network(self) -> IPv4Network:
        """Where pods have their addresses."""
        return IPv4Network(self.pod_network)

    @property
    def links(self) -> frozenset[str]:
        """The names of the links to pods that there are now."""
        return network.links_into(self.network, network.routes()) if self.running else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What listens on the loopback address."""

    apiserver: int
    controller_manager: int
    scheduler: int
    kubelet: int
    registry: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance(Remains):
    """A testbed that goes up or is up."""

    ports: Ports
    tokens: Mapping[str, str]
    """By user."""
    components: Mapping[str, ProcessId] = field(default_factory=dict)
    """By name, as far as they have been started; each is an ``nsenter`` that ends when its daemon does."""

    @classmethod
    def new(cls, layout: Layout) -> Instance:
        """Choose ports, a pod network and tokens."""
        names = Ports.__dataclass_fields__
        return cls(
            boot_id=boot_id(),
            pod_network=str(network.pod_network(layout.digest, network.routes())),
            ports=Ports(**dict(zip(names, network.free_ports(len(names)), strict=True))),
            tokens={user: secrets.token_hex() for user in (ADMIN, DEVELOPER)},
        )

    @property
    def registry(self) -> str:
        """The registry's address."""
        return f"{network.LOOPBACK}:{self.ports.registry}"


def save(instance: Instance, layout: Layout) -> None:
    """Write the record, all at once, readable by root alone."""
    fresh = layout.record.with_suffix(".new")
    with open(fresh, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        json.dump(asdict(instance), file, indent=2)
    fresh.replace(layout.record)


def load(layout: Layout) -> Instance | Remains | None:
    """Read the record; no more than remains when another version wrote it, None when there is no testbed.

    Raises:
        TestbedError: It is another user's, and what it says about processes is not to be trusted.
    """
    try:
        if layout.state.lstat().st_uid != os.geteuid():
            raise TestbedError(
                f"{layout.state} is another user's.", remedy="Use sudo if it is root's testbed."
            )
        record = json.loads(layout.record.read_text())
    except FileNotFoundError:
        return None
    first = ProcessId(**record["first"]) if record["first"] else None
    remains = Remains(boot_id=record["boot_id"], pod_network=record["pod_network"], first=first)
    try:
        return Instance(
            boot_id=remains.boot_id,
            pod_network=remains.pod_network,
            first=first,
            ports=Ports(**record["ports"]),
            tokens=record["tokens"],
            components={name: ProcessId(**process) for name, process in record["components"].items()},
        )
    except (KeyError, TypeError):
        return remains
