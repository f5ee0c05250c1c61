"""A domain of libvirt's Xen driver with its dom0, all in memory: it fails as the real ones were seen to."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from virtnetplug.adapters.xen.domain import Dom0, XenDomain
from virtnetplug.adapters.xen.tools import Done, Toolstack
from virtnetplug.errors import DeviceMissing, DomainNotRunning, HostDeviceFailed, HypervisorFailed, XenStoreFailed
from virtnetplug.lifecycle import State
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import GuestEvent
from virtnetplug.ports.xen import Vif

MACS = {f"ua-{number}": f"00:16:3e:08:00:0{number}" for number in range(4)}


def net(number: int, extra: str = "") -> str:
    """The NIC ``ua-N``."""
    mac, alias = MACS[f"ua-{number}"], f"ua-{number}"
    return f"<interface type='bridge'><mac address='{mac}'/><source bridge='br0'/>{extra}<alias name='{alias}'/></interface>"


def vif(number: int, **more: object) -> Vif:
    """The vif of ``ua-N``, connected."""
    made = Vif(
        domain_id=7,
        number=number,
        backend=State.CONNECTED,
        frontend=State.CONNECTED,
        is_recorded=True,
        mac=MACS[f"ua-{number}"],
    )
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


@dataclass
class Guest:
    """libvirt's domain, xenstore, dom0's drivers and xl in one."""

    live: list[str] | None = field(default_factory=list)
    config: list[str] = field(default_factory=list)
    vifs_there: list[Vif] = field(default_factory=list)
    unbound: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    events: list[GuestEvent] = field(default_factory=list)
    kind: str = "linux"
    is_readable: bool = True
    cannot_bind: bool = False
    changes: int = 0
    name: str = "web"
    uuid: str = "00000000-0000-4000-8000-000000000001"

    @property
    def domain(self) -> XenDomain:
        return XenDomain(self, Dom0(self, self, Toolstack(self.xl)))  # type: ignore[arg-type]

    state = metadata = set_metadata = travelling = set_travelling = None  # of libvirt's domain, and not asked for here
    saved_image = packets_sent = await_idle = has_removed = forget = None

    # -- libvirt ----------------------------------------------------------------------------------

    def xml(self, half: Half) -> str:
        nets = self.live if half is Half.LIVE else self.config
        if nets is None:
            raise DomainNotRunning("it is not running")
        run = " id='7'" if half is Half.LIVE else ""
        return f"<domain type='xen'{run}><name>web</name><os><type>{self.kind}</type></os><devices>{''.join(nets)}</devices></domain>"

    def attach(self, element: str, half: Half) -> None:
        self.calls.append(f"attach {half}")
        if "refused" in element:
            raise HypervisorFailed("libvirt says: no")
        (self.config if half is Half.CONFIG else self.live or []).append(element)

    def detach_element(self, element: str, half: Half = Half.CONFIG) -> None:
        self.calls.append(f"detach {half}")
        nets = self.config if half is Half.CONFIG else self.live or []
        if element not in nets:
            raise DeviceMissing("device not found")
        if half is Half.LIVE:
            self._remove(element)
        nets.remove(element)

    def _remove(self, element: str) -> None:
        """``libxl_mac_to_device_nic`` looks at the records; then a backend without a driver is waited for in vain, and its areas go."""
        found = next((one for one in self.vifs_there if one.is_recorded and f"'{one.mac}'" in element), None)
        if found is None:
            raise HypervisorFailed("libvirt says: An error occurred, but the cause is unknown")
        self.vifs_there = [one for one in self.vifs_there if one.mac != found.mac]
        if found.name in self.unbound:
            self.unbound.discard(found.name)
            raise HypervisorFailed("libvirt says: internal error: libxenlight failed to detach network device")

    @contextmanager
    def _watching(self) -> Iterator[Guest]:
        yield self

    def next(self, timeout: float) -> GuestEvent | bool | None:
        if timeout == 0.0:
            return self.events.pop(0) if self.events else None
        self.changes += 1
        return True

    # -- xenstore and the drivers -----------------------------------------------------------------

    def vifs(self, domain_id: int) -> Sequence[Vif]:
        self.calls.append("xenstore")
        if not self.is_readable:
            raise XenStoreFailed("run this as root")
        return [one for one in self.vifs_there if one.domain_id == domain_id]

    def watch(self, domain_id: int | None = None) -> object:
        return self._watching()

    def is_bound(self, name: str) -> bool:
        return name not in self.unbound

    def bind(self, name: str) -> None:
        self.calls.append(f"bind {name}")
        if self.cannot_bind:
            raise HostDeviceFailed("the kernel says no")
        self.unbound.discard(name)

    # -- xl ---------------------------------------------------------------------------------------

    def xl(self, words: Collection[str]) -> Done:
        _, command, domain_id, *rest = words
        self.calls.append(" ".join((command, *rest)))
        if command == "network-attach":
            mac = rest[0].removeprefix("mac=")
            number = max([one.number for one in self.vifs_there if one.is_recorded], default=0) + 1
            self.vifs_there.append(Vif(domain_id=int(domain_id), number=number, is_recorded=True, mac=mac))
        else:
            self.vifs_there = [one for one in self.vifs_there if str(one.number) != rest[0]]
        return Done(list(words), 0, "", "")
