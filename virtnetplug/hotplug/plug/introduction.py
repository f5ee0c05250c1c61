"""Introduction: announcing to a network where a guest's MAC is now. Bridges send to where they last saw it, until the guest sends by itself.

QEMU does so after a migration. For the halves of a teaming pair, which share a MAC, the kernel leaves this to the hypervisor
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
"""The time for a guest's driver to take a new device, and again for its traffic to go there. A card's driver looks for its link every 2 s."""


def introduce(host: Host, net: Interface, tx: Transaction) -> None:
    """Announce the NIC to its bridge, and to all beyond it, before the guest sends by itself. A failure is only a warning.

    Not for a half of a teaming pair, whose MAC may be in use behind the other half.
    """
    if net.teaming is None:
        _introduce(host, net, tx)


def hand_on(host: Host, domain: Domain, left: Interface, tx: Transaction) -> None:
    """Where the transient half of a teaming pair has left: the network knows at once that the persistent one has the traffic again.

    Nothing for any other NIC. A failure is only a warning.
    """
    partner = partner_of(left)
    if partner is None or not host.hypervisor.is_local:
        return
    with _only_said(tx, partner):
        there = guest.net_of(domain, partner)
        if there is not None:
            _introduce(host, there, tx)


def make_way(host: Host, domain: Domain, came: Iterable[Interface], tx: Transaction) -> None:
    """Where transient halves of teaming pairs have come: the network finds them as soon as their guest uses them.

    Until then the guest sends through the persistent half, and its bridge learns that place again. From then on the guest takes nothing through that
    half, and the bridge does not know. So what the bridge has learnt is deleted until it has learnt the new place, for some seconds at most. Nothing
    for a guest that was not heard of, and for any other NIC. A failure is only a warning; a signal or a lost connection ends this.
    """
    pairs = {net.alias or "": partner for net in came if (partner := partner_of(net)) is not None}
    if not host.hypervisor.is_local:
        return
    with suppress(KeyboardInterrupt, ConnectionLost), interruption.shortened():  # what it was all about is done
        for alias, partner in pairs.items():
            with _only_said(tx, alias):
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


def _introduce(host: Host, net: Interface, tx: Transaction) -> None:
    if net.link_state == "down" or net.mac is None or net.target_dev is None:
        return
    with _only_said(tx, describe(net)):
        host.links.introduce(net.target_dev, str(net.mac))


@contextmanager
def _only_said(tx: Transaction, name: str) -> Iterator[None]:
    """What fails inside stops nothing; only without a connection there is no going on."""
    try:
        yield
    except ConnectionLost:
        raise
    except VirtnetplugError as error:
        tx.warn(f"{name} may not be heard of in its network until the guest sends something: {error.message}")
