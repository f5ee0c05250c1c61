"""A vif bound, put where it belongs and seen to be connected, by whoever needs it so: a rebind, its undo, or what finishes it after a crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from virtnetplug.errors import HostDeviceFailed, VifNotConnected
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.vif_nics import VifNic, xen
from virtnetplug.ports.xen import Vif
from virtnetplug.retry import until_true

LOOK_AGAIN = 2.0
"""Seconds after which xenstore is read even without a change."""

ORPHAN_SECONDS = 15.0
"""How long a ``modprobe -r`` may go on that outlived the process which had begun it, and keep what is loaded from staying."""


def bind(host: Host, nic: VifNic) -> None:
    """It has its driver again, and with it a link; nothing if it has it, or is gone with its guest. Raises `HostDeviceFailed`."""
    _, drivers = xen(host)
    if nic.process and is_gone(host, nic):
        return  # another vif may have its name by now
    try:
        drivers.bind(nic.vif.name)
    except HostDeviceFailed:
        if not is_gone(host, nic):
            raise


def bind_surely(host: Host, nic: VifNic) -> None:
    """The same where the driver may not be loaded, or be going to be unloaded by what somebody left behind."""
    _, drivers = xen(host)
    if nic.process and is_gone(host, nic):
        return
    faults: list[HostDeviceFailed] = []

    def is_bound() -> bool:
        try:
            drivers.load()
            bind(host, nic)
        except HostDeviceFailed as error:
            faults.append(error)
            return False
        return True

    if not until_true(is_bound, seconds=ORPHAN_SECONDS):
        raise faults[-1]


def plumb(host: Host, nic: VifNic, warn: Callable[[str], None]) -> None:
    """Its link is as it was and in its bridge, and the backend knows that, as from its hotplug script; nothing for one that was nowhere.

    A new link is in no bridge. One that somebody has put into another bridge since stays there, and `warn` is told.
    What netback reads of xenstore itself, the rate, is not set here.
    """
    if nic.wanted is None or is_gone(host, nic):
        return  # another vif may have its name by now
    store, drivers = xen(host)
    link = drivers.link(nic.vif.name) or nic.wanted.name
    wanted, now = nic.wanted, host.links.state(link)
    if now is not None and now.master not in (None, wanted.master):
        warn(f"{nic.label} ({nic.vif.name}) is in {now.master} by now, where somebody has put it: it stays there")
        wanted = replace(wanted, master=now.master, port=now.port)
    host.links.restore(link, wanted)
    if nic.isolated and not wanted.port:  # else the port's flags are known, this one with them
        host.links.set_port(nic.wanted.name, isolated=True)
    store.set_plumbed(nic.vif)


def check(host: Host, nic: VifNic, deadline: float) -> None:
    """Both ends are connected, or there is nothing left to connect; else `VifNotConnected` with both states, at `deadline` (monotonic seconds)."""
    store, _ = xen(host)
    if nic.rings is None or _is_well(_seen(host, nic)):
        return
    with store.watch(nic.vif.domain_id) as changes:
        while not _is_well(seen := _seen(host, nic)):
            left = deadline - host.clock.monotonic()
            if left <= 0:
                raise VifNotConnected(f"{nic.label} ({nic.vif.name}) is not connected again: {_states(seen)}")
            changes.next(min(left, LOOK_AGAIN))


def complete(host: Host, nic: VifNic, seconds: float, warn: Callable[[str], None]) -> None:
    """All of it, however far it was; raises what kept it from that, `VifNotConnected` at the end of `seconds`."""
    bind_surely(host, nic)
    plumb(host, nic, warn)
    check(host, nic, host.clock.monotonic() + seconds)


def renewed(host: Host, nics: Sequence[VifNic], moved: frozenset[str] = frozenset()) -> list[str]:
    """A sentence for each that is connected, but whose guest began anew instead of being taken as it was found; `moved` is what a watch saw of that."""
    store, _ = xen(host)
    found = []
    for nic in nics:
        if nic.rings is None or is_gone(host, nic):
            continue
        rings = store.rings(nic.vif)
        if nic.vif.name in moved or rings != nic.rings:
            found.append(
                f"the guest of {nic.label} ({nic.vif.name}) connected anew meanwhile, so what was on its ring is lost: "
                f"{_said(nic.rings)} before, {_said(rings)} now"
            )
    return found


def is_gone(host: Host, nic: VifNic) -> bool:
    """Whether there is nothing left to bind: its guest has ended, or it was detached."""
    return _seen(host, nic) is None


def _seen(host: Host, nic: VifNic) -> Vif | None:
    store, _ = xen(host)
    if nic.process and store.process(nic.vif.domain_id) != nic.process:
        return None  # that id is another run's by now
    vif = store.vif(nic.vif.domain_id, nic.vif.number)
    if vif is None or vif.backend is None:
        return None
    return vif if None in (vif.mac, nic.vif.mac) or vif.mac == nic.vif.mac else None  # else another NIC has its number


def _is_well(vif: Vif | None) -> bool:
    return vif is None or vif.is_connected


def _states(vif: Vif | None) -> str:
    ends = ("gone", "gone") if vif is None else (vif.backend or "gone", vif.frontend or "gone")
    return "backend {}, frontend {}".format(*ends)


def _said(rings: object) -> str:
    return " ".join(f"{key}={value}" for key, value in dict(rings).items()) or "nothing"  # type: ignore[call-overload]
