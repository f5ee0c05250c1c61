"""The driver of a vif (xen-netback) unbound and bound, its link put where it belongs, and its connection verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from virtnetplug.errors import HostDeviceFailed, NicChanged, VifNotConnected
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.vif.nics import VifNic, as_its_script_made_it, ends_of, xen
from virtnetplug.ports.xen import Vif
from virtnetplug.retry import until_true

LOOK_AGAIN = 2.0
"""Seconds after which xenstore is read again even if nothing changed."""

ORPHAN_SECONDS = 15.0
"""Seconds that a ``modprobe -r`` may outlive the process that began it. Until then it may unload what was loaded."""


PLUMBED = "connected"
"""What a vif's hotplug script writes into xenstore once the link is where it belongs. The kernel removes that at unbind."""


def unbind(host: Host, nic: VifNic) -> None:
    """Unbind the driver from the vif. Does nothing if the vif is gone: another run, or another NIC, may have its name.

    Raises `NicChanged` if somebody has moved its link since it was looked at, and `HostDeviceFailed`.
    """
    store, drivers = xen(host)
    if is_gone(host, nic):
        return
    if texts := moved(host, [nic]):
        raise NicChanged(f"{texts[0]}. Nothing was done to it")
    drivers.unbind(nic.vif.name)
    other = store.vif(nic.vif.domain_id, nic.vif.number) if is_gone(host, nic) else None
    if other is None or other.backend is None or drivers.is_bound(nic.vif.name):
        return
    complete(host, as_its_script_made_it(host, other), 0.0)
    raise HostDeviceFailed(
        f"{nic.vif.name} became another vif just when {nic.label} was unbound: that one has its driver again, and is in {other.bridge or 'no bridge'}"
    )


def bind(host: Host, nic: VifNic) -> None:
    """Bind the driver to the vif, which gives it a link. Does nothing if it has its driver, or is gone. Raises `HostDeviceFailed`."""
    if nic.process and is_gone(host, nic):
        return  # another vif may have its name by now
    try:
        xen(host)[1].bind(nic.vif.name)
    except HostDeviceFailed:
        if not is_gone(host, nic):
            raise


def bind_surely(host: Host, nic: VifNic) -> None:
    """Bind the driver even if it is not loaded, or if a ``modprobe -r`` that was left behind unloads it."""
    if nic.process and is_gone(host, nic):
        return
    faults: list[HostDeviceFailed] = []

    def is_bound() -> bool:
        try:
            xen(host)[1].load()
            bind(host, nic)
        except HostDeviceFailed as error:
            faults.append(error)
            return False
        return True

    if not until_true(is_bound, seconds=ORPHAN_SECONDS):
        raise faults[-1]


def plumb(host: Host, nic: VifNic) -> None:
    """Restore the vif's link, put it into its bridge, and tell the backend, as its hotplug script does. Does nothing if the link was in no bridge.

    A link that somebody has put into a bridge since the vif was bound stays there (see `moved`).
    What netback reads of xenstore itself, the rate, is not set here. Each write looks again first: another vif may have the name by now.
    """
    if nic.wanted is None or (seen := _seen(host, nic)) is None:
        return
    store, drivers = xen(host)
    name = drivers.link(nic.vif.name)
    if name is None:
        raise HostDeviceFailed(f"{nic.vif.name} has no link to be put into {nic.wanted.master}")
    link = host.links.link(name)
    master = link.master if link is not None else None
    if master is None or (master == nic.wanted.master and seen.hotplug_status != PLUMBED):
        host.links.restore(name, nic.wanted)
        has_flags = bool(nic.wanted.port)  # this flag is one of them
        if nic.isolated and not has_flags and not is_gone(host, nic):
            host.links.set_port(nic.wanted.name, isolated=True)
    if not is_gone(host, nic):
        store.set_plumbed(nic.vif)


def moved(host: Host, nics: Sequence[VifNic]) -> list[str]:
    """A sentence for each vif whose link somebody has put into another bridge; it is left there."""
    found = []
    for nic in nics:
        name = None if nic.wanted is None or is_gone(host, nic) else xen(host)[1].link(nic.vif.name)
        link = host.links.link(name) if name is not None else None
        if nic.wanted is not None and link is not None and link.master not in (None, nic.wanted.master):
            found.append(
                f"{nic.label} was in {nic.wanted.master}, and somebody has put its link {link.name} into {link.master} meanwhile: it is left there"
            )
    return found


def check(host: Host, nic: VifNic, deadline: float) -> None:
    """Wait until both ends are connected, or nothing is left to connect. Raises `VifNotConnected`, with both states, at `deadline` (monotonic seconds)."""
    if nic.rings is None or _is_well(_seen(host, nic)):
        return
    with xen(host)[0].watch(nic.vif.domain_id) as changes:
        while not _is_well(seen := _seen(host, nic)):
            left = deadline - host.clock.monotonic()
            if left <= 0:
                raise VifNotConnected(f"{nic.label} ({nic.vif.name}) is not connected again: {ends_of(seen)}")
            changes.next(min(left, LOOK_AGAIN))


def complete(host: Host, nic: VifNic, seconds: float) -> None:
    """Bind the vif, put its link into its bridge, and wait for its connection, however far it was. Raises `VifNotConnected` after `seconds`."""
    bind_surely(host, nic)
    plumb(host, nic)
    check(host, nic, host.clock.monotonic() + seconds)


def renewed(host: Host, nics: Sequence[VifNic], moved: frozenset[str] = frozenset()) -> list[str]:
    """A sentence for each vif whose guest connected anew, so that its ring was not taken over. `moved` has the vifs of which a watch saw that."""
    found = []
    for nic in nics:
        if nic.rings is None or is_gone(host, nic):
            continue
        rings = xen(host)[0].rings(nic.vif)
        if nic.vif.name in moved or rings != nic.rings:
            found.append(
                f"the guest of {nic.label} ({nic.vif.name}) connected anew meanwhile, so what was on its ring is lost: "
                f"{_said(nic.rings)} before, {_said(rings)} now"
            )
    return found


def is_gone(host: Host, nic: VifNic) -> bool:
    """Whether nothing is left to bind: the guest has ended, or the NIC was detached. Another vif may have the name (see `is_replaced`)."""
    return _seen(host, nic) is None


def is_replaced(host: Host, nic: VifNic) -> bool:
    """Whether the guest goes on, and has another NIC under the vif's number, or the same NIC in another bridge."""
    return (now := _of_number(host, nic)) is not None and not _is_same(now, nic)


def _seen(host: Host, nic: VifNic) -> Vif | None:
    now = _of_number(host, nic)
    return now if now is not None and _is_same(now, nic) else None


def _of_number(host: Host, nic: VifNic) -> Vif | None:
    store, _ = xen(host)
    if nic.process and store.process(nic.vif.domain_id) != nic.process:
        return None  # that id is another run's by now
    vif = store.vif(nic.vif.domain_id, nic.vif.number)
    return vif if vif is not None and vif.backend is not None else None


def _is_same(now: Vif, nic: VifNic) -> bool:
    """Compare MAC and bridge. libxl writes them when libvirt attaches a NIC, and nobody changes them later. Records of earlier versions have neither."""
    return nic.vif.mac in (None, now.mac) and nic.vif.bridge in (None, now.bridge)


def _is_well(vif: Vif | None) -> bool:
    return vif is None or vif.is_connected


def _said(rings: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in rings.items()) or "nothing"
