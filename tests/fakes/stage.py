"""A host of which every view is set by hand, so that a test can make any two of them disagree."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.fakes.host_devices import FakeHostDevices
from virtnetplug.errors import BridgeMissing, DomainMissing, DomainNotRunning, DomainTransient, NetworkMissing
from virtnetplug.hotplug.call.host import Host
from virtnetplug.model.holding import Holding
from virtnetplug.model.interface import Interface, Vlan
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.operation import Half, NicRecord, OperationRecord, OperationState
from virtnetplug.ports.domain import DomainState, Ends, Lack, PowerState, Stray
from virtnetplug.ports.host import Link, SwitchPort
from virtnetplug.ports.store import OwnerProcess

URI = "stage:///"
KEY = "stage:socket=/run/libvirt"


def nic(
    number: int, *, kind: str = "bridge", source: str = "bridge='br0'", target: str | None = "", extra: str = ""
) -> str:
    """An ``<interface>`` called ``ua-N`` with MAC ``…:0N`` and, by default, the target ``vnetN``."""
    name = f"vnet{number}" if target == "" else target
    return (
        f"<interface type='{kind}'><mac address='52:54:00:00:00:{number:02x}'/><source {source}/>"
        + (f"<target dev='{name}'/>" if name else "")
        + f"<model type='virtio'/><alias name='ua-{number}'/>{extra}</interface>"
    )


def at(slot: int, bus: int = 0) -> str:
    """A guest PCI address."""
    return f"<address type='pci' domain='0x0000' bus='{bus:#04x}' slot='{slot:#04x}' function='0x0'/>"


PC = "<controller type='pci' index='0' model='pci-root'/>"


def q35(ports: int, *, bridge: bool = False) -> str:
    """Controllers of a q35 machine: so many empty root ports, and perhaps a conventional bridge."""
    numbers = range(1, ports + 1)
    each = "".join(f"<controller type='pci' index='{number}' model='pcie-root-port'/>" for number in numbers)
    more = f"<controller type='pci' index='{ports + 1}' model='pcie-to-pci-bridge'/>" if bridge else ""
    return "<controller type='pci' index='0' model='pcie-root'/>" + each + more


@dataclass
class StageDomain:
    """A domain with two texts, either of which may be missing."""

    name: str
    live: str | None
    config: str | None
    gone: bool = False
    job: str = ""
    looks: int = 0
    hidden: list[Stray] = field(default_factory=list)
    states: dict[str, Ends] | None = None

    @property
    def uuid(self) -> str:
        return f"00000000-0000-4000-8000-{sum(self.name.encode()):012d}"

    def state(self) -> DomainState:
        if self.gone:
            raise DomainMissing(f"no domain {self.name}")
        power = PowerState.RUNNING if self.live is not None else PowerState.SHUTOFF
        return DomainState(power=power, persistent=self.config is not None, job=self.job)

    def process(self) -> str:
        return ""

    def process_began(self) -> float | None:
        return None

    def travelling(self) -> str | None:
        return None

    def packets_sent(self, target: str) -> int:
        return 0

    changes_in_place = True

    def strays(self) -> list[Stray]:
        return self.hidden

    def ends(self, mac: object, target: object = None) -> Ends | None:
        return None if self.states is None else self.states.get(str(mac), Ends(None, None))

    def lacks(self, net: Interface, actual_type: str) -> list[Lack]:
        return []

    def xml(self, half: Half) -> str:
        self.looks += 1
        self.state()
        text = self.live if half is Half.LIVE else self.config
        if text is None:
            raise (DomainNotRunning if half is Half.LIVE else DomainTransient)("it has none")
        return text


def definition(name: str, *nics: str, hardware: str = PC) -> str:
    """A ``<domain>`` with these NICs."""
    return (
        f"<domain type='qemu'><name>{name}</name><os><type arch='x86_64' machine='pc'>hvm</type></os>"
        f"<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{hardware}{''.join(nics)}</devices></domain>"
    )


@dataclass
class Stage:
    """Hypervisor, networks, links and journal in one, all of it plain values."""

    uri: str = URI
    key: str = KEY
    is_local: bool = True
    models: frozenset[str] | None = frozenset({"virtio", "e1000", "e1000e", "rtl8139"})
    all: dict[str, StageDomain] = field(default_factory=dict)
    nets: dict[str, Network] = field(default_factory=dict)
    net_ports: list[NetworkPort] = field(default_factory=list)
    there: dict[str, Link] = field(default_factory=dict)
    held: dict[str, frozenset[str]] = field(default_factory=dict)
    records: list[NicRecord] = field(default_factory=list)
    open: list[OperationRecord] = field(default_factory=list)
    past: list[OperationRecord] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    lent: list[Holding] = field(default_factory=list)
    devices: FakeHostDevices = field(default_factory=FakeHostDevices)

    def host(self) -> Host:
        return Host(
            hypervisor=self,  # type: ignore[arg-type]
            networks=self,
            links=self,
            host_devices=self.devices,
            nodedevs=self.devices,
            journal=self,  # type: ignore[arg-type]
            clock=self,
            publish=lambda event: None,
        )

    def add(self, name: str, *nics: str, config: tuple[str, ...] | None = None, hardware: str = PC) -> StageDomain:
        """A running domain; its config is the same as its live definition unless given. Its QEMU holds its taps."""
        live = definition(name, *nics, hardware=hardware)
        saved = live if config is None else definition(name, *config, hardware=hardware)
        domain = self.all[name] = StageDomain(name, live, saved)
        self.held[domain.uuid] = frozenset(part.split("'")[1] for part in live.split("<target dev=")[1:])
        return domain

    def link(self, name: str) -> Link | None:
        return self.there.get(name)

    def bridge(self, name: str, *taps: str, kind: str = "bridge") -> None:
        self.there[name] = Link(name=name, index=1, kind=kind)
        self.there.update({tap: Link(name=tap, index=2, kind="tun", master=name, up=True) for tap in taps})

    def holdings(self, hypervisor: str | None = None, domain_uuid: str | None = None) -> list[Holding]:
        its = (one for one in self.lent if hypervisor in (None, one.hypervisor))
        return [one for one in its if domain_uuid in (None, one.domain_uuid)]

    # -- hypervisor, networks, links, journal, clock ------------------------------------------------

    def domain(self, name: str) -> StageDomain:
        for domain in self.all.values():
            if name in (domain.name, domain.uuid) and not domain.gone:
                return domain
        raise DomainMissing(f"no domain {name}")

    def running(self) -> list[StageDomain]:
        return [domain for domain, state in self.definitions() if state.is_active]

    def definitions(self) -> list[tuple[StageDomain, DomainState]]:
        return [(each, StageDomain(each.name, each.live, each.config).state()) for each in self.all.values()]

    def nic_models(self, domain_xml: str) -> frozenset[str] | None:
        self.calls.append("nic_models")
        return self.models

    def network(self, name: str) -> Network:
        self.calls.append(f"network {name}")
        if name not in self.nets:
            raise NetworkMissing(f"there is no network called '{name}'")
        return self.nets[name]

    def names(self) -> list[str]:
        return list(self.nets)

    def ports(self, name: str) -> list[NetworkPort]:
        self.calls.append(f"ports {name}")
        return [port for port in self.net_ports if port.network == name]

    def port_uuids(self, name: str) -> frozenset[str]:
        return frozenset(port.uuid for port in self.net_ports if port.network == name)

    def port(self, network: str, uuid: str) -> NetworkPort | None:
        return next((port for port in self.net_ports if (port.network, port.uuid) == (network, uuid)), None)

    def restore_port(self, net: Interface, *, owner_uuid: str, owner_name: str) -> NetworkPort:
        name, uuid = net.source_network or "", net.source_portid or ""
        port = NetworkPort(uuid=uuid, network=name, owner_uuid=owner_uuid, owner_name=owner_name, mac=net.mac)
        self.net_ports.append(port)
        return port

    def delete_port(self, network: str, uuid: str) -> None:
        self.net_ports = [port for port in self.net_ports if port.uuid != uuid]

    def links(self) -> dict[str, Link]:
        self.calls.append("links")
        return dict(self.there)

    def is_bridge(self, name: str) -> bool:
        return name in self.there and self.there[name].kind in ("bridge", "openvswitch")

    def set_master(self, name: str, master: str | None) -> None:
        if master is not None and not self.is_bridge(master):
            raise BridgeMissing(f"no bridge {master}")
        flags = None if master is None else False
        self.there[name] = Link(
            name=name, index=2, kind="tun", master=master, isolated=flags, learning=master is not None or None, up=True
        )

    def join_switch(self, name: str, bridge: str, port: SwitchPort) -> None:
        self.there[name] = Link(name=name, index=2, kind="tun", master=bridge, up=True)

    def leave_switch(self, name: str) -> None:
        self.there[name] = replace(self.there[name], master=None)

    def set_port(self, name: str, *, isolated: bool, only_mac: str | None = None) -> None:
        self.there[name] = replace(self.there[name], isolated=isolated, learning=only_mac is None)

    def set_vlans(self, name: str, vlan: Vlan) -> None:
        self.calls.append(f"VLANs {name} {','.join(str(tag.id) for tag in vlan.tags)}")

    def introduce(self, name: str, mac: str) -> None:
        self.calls.append(f"introduce {name} {mac}")

    def learned(self, name: str, mac: str) -> str | None:
        return None

    def forget(self, name: str, mac: str) -> None:
        self.calls.append(f"forget {name} {mac}")

    def taps_of(self, domain_uuid: str) -> frozenset[str]:
        return self.held.get(domain_uuid, frozenset())

    def taps_by_domain(self) -> dict[str, frozenset[str]]:
        return dict(self.held)

    def nics(self, hypervisor: str | None = None, domain_uuid: str | None = None) -> list[NicRecord]:
        return [each for each in self.records if domain_uuid in (None, each.domain_uuid)]

    def open_operations(self, hypervisor: str, *domain_uuids: str) -> list[OperationRecord]:
        return [each for each in self.open if not domain_uuids or each.domain_uuid in domain_uuids]

    def history(self, *, hypervisor: str, domain: str, limit: int) -> list[OperationRecord]:
        return [each for each in self.past if each.domain_uuid == domain][:limit]

    def newest(self, hypervisor: str, names: Collection[str]) -> list[OperationRecord]:
        found = {each.domain_uuid: each for each in self.past if each.operation in names}
        return list(found.values())

    def is_owner_alive(self, record: OperationRecord) -> bool:
        return record.id in self.alive

    def drop_nic(self, hypervisor: str, domain_uuid: str, alias: str, **_: Any) -> None:
        self.records = [each for each in self.records if (each.domain_uuid, each.alias) != (domain_uuid, alias)]

    def begin(self, record: OperationRecord) -> None:
        self.open.append(record)

    def step(self, *_: Any, **__: Any) -> None:
        return

    def finish(self, operation_id: str, state: OperationState, **_: Any) -> None:
        self.past += [replace(each, state=state) for each in self.open if each.id == operation_id]
        self.open = [each for each in self.open if each.id != operation_id]

    def operation(self, operation_id: str) -> OperationRecord | None:
        return next((each for each in (*self.open, *self.past) if each.id == operation_id), None)

    @contextmanager
    def batch(self, *, is_durable: bool = True) -> Iterator[None]:
        yield

    @contextmanager
    def call(self) -> Iterator[str]:
        yield "this call"

    def adopt(self, operation_id: str, owner: str) -> bool:
        return any(each.id == operation_id for each in self.open)

    def expect_owner(self, operation_id: str, owner: str) -> None:
        return

    def process_of(self, record: OperationRecord) -> OwnerProcess | None:
        return None

    @contextmanager
    def lock(
        self, hypervisor: str, domain_uuid: str, *, on_wait: Any = None, seconds: float | None = None
    ) -> Iterator[None]:
        self.calls.append(f"lock {domain_uuid}")
        yield

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
