"""Writing to a VF that was lent: each write first looks who has the VF and which VF it is, and none goes to another NIC's VF or to another VF.

A look and a write cannot be one call to the kernel, so a VF that is exchanged or taken between the two is still written to. The look comes
immediately before each write, and not once before several. Nothing else writes to a lent VF.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from virtnetplug.backends import Ground
from virtnetplug.backends.candidates import has_for, users_of_devices
from virtnetplug.errors import (
    DomainMissing,
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
from virtnetplug.ports.domain import Domain

GONE = "is gone from the host, so there was nothing to give back; change sriov_numvfs only while no VF is held"
"""What is to be said of a device that the host has no more."""


class User(enum.Enum):
    """Who may have a VF at the moment of a write to it."""

    NOBODY = enum.auto()
    ITS_NIC = enum.auto()
    """The NIC that the VF is held for, or nobody."""
    ANYBODY = enum.auto()


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a VF that was lent is there no more, in words: it `is_gone` or just going, or another VF has its address."""

    message: str
    is_gone: bool = False

    @property
    def told(self) -> str:
        """The same of a VF that has just been let go."""
        return self.message if self.is_gone else f"{self.message}. Nothing was written to it, and it is no longer held"


def expect_same(ground: Ground, holding: Holding) -> None:
    """Raise `HostDeviceMissing` if the VF that was lent is gone, and `VfChanged` if the VF at its address is, or may be, another one."""
    now = ground.host_devices.identity(holding.address)
    if (why := _change(ground, holding, now)) is not None:
        raise VfChanged(
            f"{_other(holding)}: {why}. Nothing is written to it. "
            "Run `recover()`, which lets it go; then detach the NIC and attach it again."
        )


def loss_of(ground: Ground, holding: Holding) -> Loss | None:
    """Why the VF that was lent is there no more; None if it is there, or cannot be looked at.

    The kernel removes no VF that VFIO still has open (``vfio_unregister_group_dev`` waits), and makes VFs anew with nothing set.
    """
    try:
        why = _change(ground, holding, ground.host_devices.identity(holding.address))
    except HostDeviceMissing:
        return Loss(f"host device {holding.address} {GONE}", is_gone=True)
    except HostDeviceUnfit:  # the kernel unlinks a VF from its PF first, and then waits until nobody has it
        return Loss(f"host device {holding.address} is being taken from the host", is_gone=True)
    except VirtnetplugError:
        return None  # one that cannot be looked at may well be there
    return None if why is None else Loss(f"{_other(holding)}: {why}")


def expect_ours(ground: Ground, holding: Holding, user: User) -> None:
    """Raise what `expect_same` raises, and `HostDeviceBusy` if a NIC has the VF that is not to have it."""
    if (domain := _taker(ground, holding, user)) is not None:
        raise HostDeviceBusy(
            f"domain {domain.name} runs with host device {holding.address}, which was free or had another user a moment ago. "
            "Nothing is written to it."
        )
    expect_same(ground, holding)


def taker_of(ground: Ground, holding: Holding) -> Domain | None:
    """The domain that runs with the VF behind another NIC than the one that it is held for; None if there is none. Raises what looking raises."""
    return _taker(ground, holding, User.ITS_NIC)


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


def _taker(ground: Ground, holding: Holding, user: User) -> Domain | None:
    """All domains are read only where a guest can have the VF, for that takes long."""
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
        return bool(holding.domain_uuid) and has_for(ground.hypervisor.domain(holding.domain_uuid), holding)
    except DomainMissing:
        return False


def _other(holding: Holding) -> str:
    whose = f"{holding.alias} of {holding.domain_name} had" if holding.domain_uuid else "was there"
    return f"host device {holding.address} is not the VF that {whose}"


def _change(ground: Ground, holding: Holding, now: VfIdentity) -> str | None:
    """A row that an older version wrote does not say which VF it is of: of another one if it was written before this boot."""
    if holding.identity is not None:
        return holding.identity.change(now)
    return "this host was started anew since" if holding.since < ground.host_devices.boot().began else None
