"""Writing to a VF that was lent: each write first compares which VF it is, and none goes to another one.

A look and a write cannot be one call to the kernel, so a VF that is exchanged between the two is still written to. The look comes immediately
before each write, and not once before several. Nothing else writes to a lent VF.
"""

from __future__ import annotations

from dataclasses import dataclass

from virtnetplug.backends import Ground
from virtnetplug.errors import HostDeviceMissing, HostDeviceUnfit, VfChanged, VirtnetplugError
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VfSettings
from virtnetplug.model.vf_identity import VfIdentity

GONE = "is gone from the host, so there was nothing to give back; change sriov_numvfs only while no VF is held"
"""What is to be said of a device that the host has no more."""


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
            "Run 'virtnetplug recover', which lets it go; then detach the NIC and attach it again."
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


def apply(ground: Ground, holding: Holding, settings: VfSettings) -> None:
    """`HostDevices.apply`; raises what `expect_same` raises, too."""
    expect_same(ground, holding)
    ground.host_devices.apply(holding.address, settings)


def detach(ground: Ground, holding: Holding) -> None:
    """`NodeDevices.detach`; raises what `expect_same` raises, too."""
    expect_same(ground, holding)
    ground.nodedevs.detach(holding.address)


def reattach(ground: Ground, holding: Holding) -> None:
    """`NodeDevices.reattach`; raises what `expect_same` raises, too."""
    expect_same(ground, holding)
    ground.nodedevs.reattach(holding.address)


def make_port(ground: Ground, holding: Holding) -> None:
    """Reserve the VF in the network it came from, if from any; again is no error. Raises what `create_port` and `expect_same` raise."""
    if holding.network:
        expect_same(ground, holding)
        ground.networks.create_port(
            holding.network,
            uuid=holding.port,
            owner_uuid=holding.domain_uuid,
            owner_name=holding.domain_name,
            mac=holding.mac,
            host_address=holding.address,
            managed=holding.managed,
        )


def _other(holding: Holding) -> str:
    whose = f"{holding.alias} of {holding.domain_name} had" if holding.domain_uuid else "was there"
    return f"host device {holding.address} is not the VF that {whose}"


def _change(ground: Ground, holding: Holding, now: VfIdentity) -> str | None:
    """A row that an older version wrote does not say which VF it is of: of another one if it was written before this boot."""
    if holding.identity is not None:
        return holding.identity.change(now)
    return "this host was started anew since" if holding.since < ground.host_devices.boot().began else None
