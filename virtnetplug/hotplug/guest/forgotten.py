"""Host devices that a guest has and that libvirt, killed inside an attach, does not know of any more."""

from __future__ import annotations

from collections.abc import Collection

from virtnetplug.backends.candidates import users_of_devices
from virtnetplug.backends.lending import held_for
from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.model.interface import Interface
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain
from virtnetplug.retry import until_true

SETTLING = 1.0
"""Seconds QEMU may take to close the device of a NIC that has just been removed."""


def forgotten_devices(host: Host, domain: Domain, nets: Collection[Interface]) -> frozenset[str]:
    """The devices held for `nets` that some process has open through VFIO, and that no live definition has: one that another domain has is its."""
    until_true(lambda: not _look(host, domain, nets), seconds=SETTLING)
    return _look(host, domain, nets)


def _look(host: Host, domain: Domain, nets: Collection[Interface]) -> frozenset[str]:
    aliases = {net.alias for net in nets}
    held = [one for alias in aliases for one in held_for(host, domain, alias or "")]
    opened = {one.address for one in held if _is_open(host, one.address)}
    return frozenset(map(str, opened.difference(users_of_devices(host)))) if opened else frozenset()


def _is_open(host: Host, address: PciAddress) -> bool:
    try:
        return bool(host.host_devices.vfio_users(address))
    except VirtnetplugError:
        return False  # gone, or not to be seen: then it is not returned either
