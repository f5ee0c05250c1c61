"""Introduction: telling a network where a guest's MAC is now. Bridges send to where they last saw it, until the guest sends by itself.

QEMU does so after a migration; of the two halves of a teaming pair, which share a MAC, the kernel leaves it to the hypervisor
(Documentation/networking/net_failover.rst).
"""

from __future__ import annotations

from virtnetplug.errors import ConnectionLost, VirtnetplugError
from virtnetplug.hotplug import guest
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.request import partner_of
from virtnetplug.hotplug.transaction import Transaction
from virtnetplug.hotplug.view import describe
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Domain


def introduce(host: Host, net: Interface, tx: Transaction) -> None:
    """Have the NIC's bridge, and all beyond it, know that it is there, before the guest sends by itself; a failure is only said.

    Not for a half of a teaming pair, whose MAC may be in use behind the other half.
    """
    if net.teaming is None:
        _introduce(host, net, tx)


def hand_on(host: Host, domain: Domain, left: Interface, tx: Transaction) -> None:
    """Where the transient half of a teaming pair has left: the network knows at once that the persistent one has the traffic again.

    Nothing for any other NIC; a failure is only said.
    """
    partner = partner_of(left)
    if partner is None or not host.hypervisor.is_local:
        return
    try:
        there = guest.net_of(domain, partner, Half.LIVE)
    except ConnectionLost:
        raise
    except VirtnetplugError as error:
        tx.warn(_unheard(partner, error))
        return
    if there is not None:
        _introduce(host, there, tx)


def _introduce(host: Host, net: Interface, tx: Transaction) -> None:
    if net.link_state == "down" or net.mac is None or net.target_dev is None:
        return
    try:
        host.links.introduce(net.target_dev, str(net.mac))
    except VirtnetplugError as error:
        tx.warn(_unheard(describe(net), error))


def _unheard(name: str, error: VirtnetplugError) -> str:
    return f"{name} may not be heard of in its network until the guest sends something: {error.message}"
