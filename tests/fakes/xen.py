"""A dom0 in memory, which behaves as a real dom0 was seen to: vifs in xenstore, netback, and netback's links."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from virtnetplug.errors import Failed, HostDeviceFailed
from virtnetplug.lifecycle import State
from virtnetplug.model.host_device import NetdevState
from virtnetplug.ports.host import Link
from virtnetplug.ports.xen import Vif

NEW_PORT, ISOLATED_PORT = "00", "01"
"""Flags of a bridge's port, which the kernel packs otherwise."""


@dataclass
class Seat:
    """A vif. `state` is the state of its link, None while the vif has no driver."""

    vif: Vif
    rings: dict[str, str]
    state: NetdevState | None = None
    moves: int = 0


class _Quiet:
    def next(self, timeout: float) -> bool:
        return False


@dataclass
class _Frontends:
    seats: Sequence[Seat]
    before: Sequence[int]

    def moved(self) -> frozenset[str]:
        pairs = zip(self.seats, self.before, strict=True)
        return frozenset(seat.vif.name for seat, moves in pairs if seat.moves != moves)


@dataclass
class FakeXen:
    """`ports.xen.VifStore`, `ports.xen.VifDrivers`, and those parts of `ports.host.HostLinks` that vifs need."""

    bridges: dict[str, str] = field(default_factory=lambda: {"br0": "bridge", "br1": "bridge"})
    seats: dict[str, Seat] = field(default_factory=dict)
    is_loaded: bool = True
    loads: int = 0
    obstacle: str | None = None
    boot: str = "boot"
    left: set[int] = field(default_factory=set)
    """Ids of ended domains for whose vifs xenstore has something."""
    on_bind: Callable[[str], None] = lambda name: None
    """What happens in the middle of each `bind`; it may raise."""
    _channels: Iterator[int] = field(default_factory=lambda: itertools.count(5))

    def add(self, domain_id: int, number: int, mac: str, *, bridge: str = "br0", **more: object) -> Seat:
        """A vif whose guest is connected and whose script has put the link into its bridge."""
        vif = Vif(
            domain_id=domain_id, number=number, backend=State.CONNECTED, frontend=State.CONNECTED, is_recorded=True,
            is_online=True, mac=mac, bridge=bridge, script="/etc/xen/scripts/vif-bridge", hotplug_status="connected",
        )  # fmt: skip
        name = str(more.get("link_name") or f"vif{domain_id}.{number}")
        state = NetdevState(
            name=name, mac="fe:ff:ff:ff:ff:ff", mtu=1500, is_up=True, master=bridge, port=NEW_PORT, queue_length=1000
        )
        seat = self.seats[vif.name] = Seat(replace(vif, **more), self._ring(), state)  # type: ignore[arg-type]
        return seat

    def connect_anew(self, name: str) -> None:
        """What a guest's driver does that is loaded anew."""
        seat = self.seats[name]
        seat.moves += 4
        seat.rings = self._ring()
        is_ready = seat.vif.hotplug_status == "connected"
        seat.vif = replace(seat.vif, frontend=State.CONNECTED, backend=State.CONNECTED if is_ready else State.INIT_WAIT)

    def let_go(self, name: str) -> None:
        """A guest's driver lets go of the vif."""
        seat = self.seats[name]
        seat.moves += 2
        seat.vif = replace(seat.vif, frontend=State.CLOSED, backend=State.CLOSED if seat.state else seat.vif.backend)

    def _ring(self) -> dict[str, str]:
        return {"tx-ring-ref": "8", "rx-ring-ref": "9", "event-channel": str(next(self._channels))}

    # -- VifStore -----------------------------------------------------------------------------------

    def vifs(self, domain_id: int) -> list[Vif]:
        found = (seat.vif for seat in self.seats.values() if seat.vif.domain_id == domain_id)
        return sorted(found, key=lambda vif: vif.number)

    def vif(self, domain_id: int, number: int) -> Vif | None:
        return next((vif for vif in self.vifs(domain_id) if vif.number == number), None)

    def process(self, domain_id: int) -> str:
        return f"{self.boot} {domain_id} 1.00"

    def remains(self) -> frozenset[int]:
        return frozenset(self.left)

    def clear(self, domain_id: int) -> None:
        self.left.discard(domain_id)

    def rings(self, vif: Vif) -> Mapping[str, str]:
        return dict(self.seats[vif.name].rings) if vif.name in self.seats else {}

    @contextmanager
    def watch(self, domain_id: int) -> Iterator[_Quiet]:
        yield _Quiet()

    @contextmanager
    def watch_frontends(self, vifs: Sequence[Vif]) -> Iterator[_Frontends]:
        seats = [self.seats[vif.name] for vif in vifs]
        yield _Frontends(seats, [seat.moves for seat in seats])

    def set_plumbed(self, vif: Vif) -> None:
        seat = self.seats[vif.name]
        is_both = seat.state is not None and seat.vif.frontend is State.CONNECTED
        backend = State.CONNECTED if is_both else seat.vif.backend
        seat.vif = replace(seat.vif, hotplug_status="connected", backend=backend)

    # -- VifDrivers ---------------------------------------------------------------------------------

    def rebind_obstacle(self) -> str | None:
        return self.obstacle

    def bound(self) -> frozenset[str]:
        return frozenset(name for name, seat in self.seats.items() if seat.state is not None)

    def is_bound(self, name: str) -> bool:
        return name in self.bound()

    def link(self, name: str) -> str | None:
        seat = self.seats.get(name)
        return seat.state.name if seat is not None and seat.state is not None else None

    def unbind(self, name: str) -> None:
        """Both ends stay as they are; the script's status goes."""
        seat = self.seats.get(name)
        if seat is not None and seat.state is not None:
            seat.state = None
            seat.vif = replace(seat.vif, hotplug_status=None)

    def bind(self, name: str) -> None:
        if not self.is_loaded:
            raise HostDeviceFailed(f"{name} cannot be bound (xen-netback is not loaded)")
        if name not in self.seats:
            raise HostDeviceFailed(f"{name} cannot be bound (the kernel knows no such vif)")
        if self.seats[name].state is None:
            self.on_bind(name)
            self._probe(self.seats[name])

    def _probe(self, seat: Seat) -> None:
        name = f"vif{seat.vif.domain_id}.{seat.vif.number}"
        seat.state = NetdevState(name=name, mac="fe:ff:ff:ff:ff:ff", mtu=1500, queue_length=32)
        is_open = seat.vif.frontend is State.CONNECTED
        seat.vif = replace(seat.vif, backend=State.INIT_WAIT if is_open else State.CLOSED)

    def load(self) -> None:
        if not self.is_loaded:
            self.is_loaded = True
            self.loads += 1
            for seat in self.seats.values():
                if seat.state is None:
                    self._probe(seat)

    def reload(self) -> None:
        if self.bound():
            raise HostDeviceFailed("modprobe: FATAL: Module xen_netback is in use.")
        self.is_loaded = False
        self.load()

    # -- HostLinks ----------------------------------------------------------------------------------

    def link_of(self, name: str) -> Link | None:
        """`HostLinks.link`, whose name is taken; see `links`."""
        if name in self.bridges:
            return Link(name=name, index=1, kind=self.bridges[name], up=True, mtu=1500)
        state = self.state(name)
        if state is None:
            return None
        is_isolated = state.port == ISOLATED_PORT if state.master is not None else None
        return Link(
            name=name, index=2, kind="vif", master=state.master, up=state.is_up, mtu=state.mtu, isolated=is_isolated
        )

    def state(self, name: str) -> NetdevState | None:
        return next((seat.state for seat in self.seats.values() if seat.state and seat.state.name == name), None)

    def restore(self, name: str, wanted: NetdevState) -> None:
        for seat in self.seats.values():
            if seat.state is not None and seat.state.name == name:
                if wanted.master is not None and wanted.master not in self.bridges:
                    raise Failed(f"Link '{name}' was restored without being in {wanted.master}", reason="link-not-set")
                port = wanted.port or (NEW_PORT if wanted.master is not None else "")
                queue_length = wanted.queue_length or seat.state.queue_length
                seat.state = replace(wanted, port=port, queue_length=queue_length)
                return
        raise Failed(f"There is no link '{name}' on this host, which was '{wanted.name}'.", reason="link-missing")

    def set_port(self, name: str, *, isolated: bool, only_mac: str | None = None) -> None:
        for seat in self.seats.values():
            if seat.state is not None and seat.state.name == name:
                seat.state = replace(seat.state, port=ISOLATED_PORT if isolated else NEW_PORT)

    @property
    def links(self) -> _Links:
        """This host as `ports.host.HostLinks`."""
        return _Links(self)


class _Links:
    def __init__(self, xen: FakeXen) -> None:
        self.link, self.state, self.restore, self.set_port = xen.link_of, xen.state, xen.restore, xen.set_port

    def taps_by_domain(self) -> dict[str, frozenset[str]]:
        return {}

    def taps_of(self, domain_uuid: str) -> frozenset[str]:
        return frozenset()

    def links(self) -> dict[str, Link]:
        return {}

    def is_bridge(self, name: str) -> bool:
        return True
