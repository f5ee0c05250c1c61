"""Assigned PCI devices: a VF of a pool or one named by address, held in the journal, bound to VFIO, given back with proof.

The order is that of libvirt commit cf90342: the actual device first, the PCI device next, the guest after both; and backwards
the guest first, the PCI device then, the actual device last. Each part is a module: `candidates`, `hostdev_refusals`, `lending`, `returning`.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug.backends import ATTACH_ASSIGNED, RELEASE_ASSIGNED, Ground, Order, Steps
from virtnetplug.backends.hostdev_refusals import device_refusals
from virtnetplug.backends.lending import changes_before_attach, claim, element_for, held_for, prepare
from virtnetplug.backends.returning import give_back
from virtnetplug.errors import VirtnetplugError
from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.host_device import VFIO_DRIVER
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase, Refusal
from virtnetplug.ports.domain import Domain

__all__ = ["AssignedDevice", "element_for", "give_back"]


class AssignedDevice:
    """Actual type ``hostdev``."""

    plug_steps: Sequence[tuple[str, Phase]] = (("claim_device", Phase.ALLOCATE), ("plug_device", Phase.PLUG))
    attach_step = ATTACH_ASSIGNED
    release_step = RELEASE_ASSIGNED

    def serves(self, actual: ActualDevice) -> bool:
        """Assigned PCI devices alone."""
        return actual.is_hostdev

    def refusals(
        self, ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None = None
    ) -> Sequence[Refusal]:
        """What the request asks that a VF cannot hold, or that no device of this host can give."""
        return tuple(device_refusals(ground, net, actual, leaving))

    def plug(self, ground: Ground, order: Order, steps: Steps) -> Interface:
        """Hold a device, make its port, bind it to VFIO where libvirt is not to, set it; the net names it by address."""
        alias = order.net.alias or ""
        holding = steps.effect("claim_device", alias, lambda: claim(ground, order), half=Half.LIVE)
        # what libvirt binds inside attach, and is set by nothing before, takes no intent of its own
        plug = steps.effect if changes_before_attach(holding) else steps.note
        plug("plug_device", alias, lambda: prepare(ground, holding), half=Half.LIVE)
        return element_for(order.net, order.actual, holding)

    def unplug(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[str]:
        """Give the device that the net names back, or quarantine it and say why; of a net that names none, whatever is held for it."""
        said = []
        for holding in held_for(ground, domain, net.alias or ""):
            if net.source_pci not in (None, holding.address):
                continue  # the device that a NIC of this alias has, or had, before or after this one
            returned = give_back(ground, holding)
            if returned.busy is not None:
                said.append(returned.busy)
            if returned.fault is not None:
                said.append(returned.fault)
            elif returned.loss is not None:
                said.append(returned.loss.told)
        return said

    def probe(self, ground: Ground, net: Interface) -> State | None:
        """Connected while VFIO has the device."""
        if net.source_pci is None or not ground.hypervisor.is_local:
            return None
        try:
            device = ground.host_devices.device(net.source_pci)
        except VirtnetplugError:
            return None
        return State.CONNECTED if device.driver == VFIO_DRIVER else State.INITIALISED
