"""Announcing to a network where a guest's MAC is now. Bridges send to where they last saw a MAC, until the guest sends by itself.

QEMU announces a guest after a migration. The two halves of a teaming pair share a MAC, and the kernel leaves their announcement to the hypervisor
(Documentation/networking/net_failover.rst).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from virtnetplug import interruption
from virtnetplug.errors import ConnectionLost, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check.request import partner_of
from virtnetplug.hotplug.engine.transaction import Transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.look.view import describe
from virtnetplug.model.interface import Interface
from virtnetplug.ports.domain import Domain
from virtnetplug.retry import until_true

SECONDS = 3.0
"""How long a guest's driver may need for a new device, and then for its traffic to go there. A network card's driver looks for its link every two seconds."""


def announce(host: Host, net: Interface, tx: Transaction) -> None:
    """Make the NIC's bridge, and all beyond the bridge, learn where the NIC is before the guest sends by itself. A failure becomes a warning.

    A half of a teaming pair is not announced: its MAC may be in use behind the other half.
    """
    if net.teaming is None:
        _announce(host, net, tx)


def announce_partner(host: Host, domain: Domain, left: Interface, tx: Transaction) -> None:
    """Announce the persistent half of a teaming pair whose transient half `left` has left: the persistent half has the traffic again.

    Does nothing for any other NIC. A failure becomes a warning.
    """
    partner = partner_of(left)
    if partner is None or not host.hypervisor.is_local:
        return
    with _as_warning(tx, partner):
        there = guest.net_of(domain, partner)
        if there is not None:
            _announce(host, there, tx)


def make_way(host: Host, domain: Domain, came: Iterable[Interface], tx: Transaction) -> None:
    """Make the network find transient halves of teaming pairs that have come, as soon as their guest uses them.

    Until then the guest sends through the persistent half, and its bridge learns the MAC there again. From then on the bridge drops what comes from the
    transient half. So the bridge is made to forget the MAC until it learns the MAC elsewhere, for some seconds at most.
    Does nothing for a guest that the bridge has not learned, and for any other NIC. A failure becomes a warning; a signal or a broken connection ends
    the work.
    """
    pairs = {net.alias or "": partner for net in came if (partner := partner_of(net)) is not None}
    if not pairs or not host.hypervisor.is_local:
        return
    with suppress(KeyboardInterrupt, ConnectionLost), interruption.shortened():  # the operation itself is done
        for alias, partner in pairs.items():
            with _as_warning(tx, alias):
                net, standby = (guest.net_of(domain, each) for each in (alias, partner))
                if net is not None and standby is not None and standby.target_dev is not None:
                    _make_way(host, net, standby.target_dev)


def _make_way(host: Host, net: Interface, tap: str) -> None:
    mac, since, is_driven = str(net.mac), host.clock.monotonic(), False

    def is_over() -> bool:
        nonlocal since, is_driven
        place, now = host.links.learned(tap, mac), host.clock.monotonic()
        if place == tap:
            host.links.forget(tap, mac)
        if not is_driven and net.source_pci is not None and host.host_devices.is_msix_enabled(net.source_pci):
            since, is_driven = now, True
        return place not in (None, tap) or now > since + SECONDS

    if host.links.learned(tap, mac) is not None:
        until_true(is_over, seconds=2 * SECONDS)


def _announce(host: Host, net: Interface, tx: Transaction) -> None:
    if net.link_state == "down" or net.mac is None or net.target_dev is None:
        return
    with _as_warning(tx, describe(net)):
        host.links.introduce(net.target_dev, str(net.mac))


@contextmanager
def _as_warning(tx: Transaction, name: str) -> Iterator[None]:
    """Turn a failure inside into a warning; only a broken connection is raised."""
    try:
        yield
    except ConnectionLost:
        raise
    except VirtnetplugError as error:
        tx.warn(f"{name} may not be heard of in its network until the guest sends something: {error.message}")
