"""Who has a VF, which VF it is, and all writes to a lent VF. No write goes to the VF of another NIC, or to another VF.

A look and a write cannot be one call to the kernel: a VF that is taken between the two is still written to. So the look comes
immediately before each write, and not once before several writes. Nothing else writes to a lent VF.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from virtnetplug import xml
from virtnetplug.backends import Ground
from virtnetplug.errors import (
    DomainMissing,
    DomainNotRunning,
    HostDeviceBusy,
    HostDeviceFailed,
    HostDeviceMissing,
    HostDeviceUnfit,
    VfChanged,
    VirtnetplugError,
)
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER, VfIdentity, VfSettings
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import NetworkPort
from virtnetplug.model.operation import Half
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain


class User(enum.Enum):
    """Who may have a VF at the moment of a write to it."""

    NOBODY = enum.auto()
    ITS_NIC = enum.auto()
    """The NIC that the VF is held for, or nobody."""
    ANYBODY = enum.auto()


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a lent VF no longer exists, in words: it `is_gone` or just going, or another VF has its address."""

    message: str
    is_gone: bool = False

    @property
    def told(self) -> str:
        """The same sentence, once the VF is no longer held."""
        return self.message if self.is_gone else f"{self.message}. Nothing was written to it, and it is no longer held"


def users_of_devices(ground: Ground) -> Mapping[PciAddress, Domain]:
    """Every host device that a running domain has, with that domain.

    A domain that has ended since the list was made has none. A domain that cannot be looked at raises: "not seen" is no proof.
    """
    found: dict[PciAddress, Domain] = {}
    for domain in ground.hypervisor.running():
        found.update(dict.fromkeys(devices_of(domain), domain))
    return found


def devices_of(domain: Domain) -> frozenset[PciAddress]:
    """The host devices that a domain has, none if it does not run; raises what looking at it raises."""
    text = _live_xml(domain)
    return xml.host_addresses(text) if text is not None else frozenset()


def live_with(domain: Domain, holding: Holding) -> str | None:
    """The live definition, if it has that device behind the NIC that the device is held for, or None. Raises what looking at it raises."""
    text = _live_xml(domain)
    nets = xml.glimpse(text) if text is not None else ()
    return text if any(holding.is_behind(net.alias, net.mac, net.host_address) for net in nets) else None


def _live_xml(domain: Domain) -> str | None:
    """The live definition if it may have a host device. Most have none, and to parse each would take longer than to get the text."""
    try:
        text = domain.xml(Half.LIVE)
    except (DomainMissing, DomainNotRunning):
        return None
    return text if "hostdev" in text else None


def loss_of(ground: Ground, holding: Holding) -> Loss | None:
    """Why the lent VF no longer exists; None if it exists, or cannot be looked at.

    The kernel removes no VF that VFIO still has open (``vfio_unregister_group_dev`` waits), and makes VFs anew with nothing set.
    """
    try:
        why = _change(ground, holding, ground.host_devices.identity(holding.address))
    except HostDeviceMissing:
        why = "so there was nothing to return; change sriov_numvfs only while no VF is held"
        return Loss(f"host device {holding.address} is gone from the host, {why}", is_gone=True)
    except HostDeviceUnfit:  # the kernel unlinks a VF from its PF first, and then waits until nobody has it
        return Loss(f"host device {holding.address} is being taken from the host", is_gone=True)
    except VirtnetplugError:
        return None
    return None if why is None else Loss(f"{_other(holding)}: {why}")


def expect_ours(ground: Ground, holding: Holding, user: User) -> None:
    """Raise `HostDeviceBusy` if a NIC has the VF that must not have it, and `HostDeviceMissing` if the lent VF is gone.

    Raises `VfChanged` if the VF at its address is, or may be, another VF.
    """
    if (domain := taker_of(ground, holding, user)) is not None:
        raise HostDeviceBusy(
            f"domain {domain.name} runs with host device {holding.address}, which was free or had another user a moment ago. "
            "Nothing is written to it."
        )
    now = ground.host_devices.identity(holding.address)
    if (why := _change(ground, holding, now)) is not None:
        raise VfChanged(
            f"{_other(holding)}: {why}. Nothing is written to it. "
            "Run `recover()`, which ends its row; then detach the NIC and attach it again."
        )


def apply(ground: Ground, holding: Holding, settings: VfSettings, *, user: User) -> None:
    """`HostDevices.apply`; raises what `expect_ours` raises, too."""
    expect_ours(ground, holding, user)
    ground.host_devices.apply(holding.address, settings)


def detach(ground: Ground, holding: Holding) -> None:
    """`NodeDevices.detach` of a VF that nobody has; raises what `expect_ours` raises, too."""
    expect_ours(ground, holding, User.NOBODY)
    ground.nodedevs.detach(holding.address)


def reattach(ground: Ground, holding: Holding) -> None:
    """`NodeDevices.reattach` of a VF that nobody has; raises what `expect_ours` raises, too."""
    expect_ours(ground, holding, User.NOBODY)
    ground.nodedevs.reattach(holding.address)


def make_port(ground: Ground, holding: Holding) -> None:
    """Reserve the VF in the network it came from, if from any; again is no error. Raises what `create_port` and `expect_ours` raise."""
    if holding.network:
        expect_ours(ground, holding, User.ITS_NIC)
        ground.networks.create_port(
            NetworkPort(
                uuid=holding.port,
                network=holding.network,
                owner_uuid=holding.domain_uuid,
                owner_name=holding.domain_name,
                mac=Mac(holding.mac),
                managed=holding.managed,
                host_address=holding.address,
            )
        )


def taker_of(ground: Ground, holding: Holding, user: User = User.ITS_NIC) -> Domain | None:
    """The domain that runs with the VF, although only `user` may have it; None if there is none. Raises what looking raises.

    All domains are read only where a guest can have the VF, for that takes long.
    """
    if user is User.ANYBODY:
        return None
    device = ground.host_devices.device(holding.address)
    if device.driver is None or device.netdev is not None:
        return None  # no guest has what has no driver, or a network interface on the host
    if user is User.ITS_NIC and _has_its_nic(ground, holding):
        return None
    if device.driver == VFIO_DRIVER and not _is_open(ground, holding):
        return None
    return users_of_devices(ground).get(holding.address)


def _is_open(ground: Ground, holding: Holding) -> bool:
    """Whether some process may have it: QEMU has the VFIO device of each device of its guest open."""
    try:
        return bool(ground.host_devices.vfio_users(holding.address))
    except HostDeviceFailed:
        return True  # not to be seen


def _has_its_nic(ground: Ground, holding: Holding) -> bool:
    try:
        domain = ground.hypervisor.domain(holding.domain_uuid) if holding.domain_uuid else None
    except DomainMissing:
        return False
    return domain is not None and live_with(domain, holding) is not None


def _other(holding: Holding) -> str:
    whose = f"{holding.alias} of {holding.domain_name} had" if holding.domain_uuid else "was there"
    return f"host device {holding.address} is not the VF that {whose}"


def _change(ground: Ground, holding: Holding, now: VfIdentity) -> str | None:
    """How the VF differs from the VF of the row. An older version did not write that down: then a row from before this boot is of another VF."""
    if holding.identity is not None:
        return holding.identity.change(now)
    return "this host was started anew since" if holding.since < ground.host_devices.boot().began else None
