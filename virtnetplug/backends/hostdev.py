"""Assigned PCI devices: a VF of a pool or one named by address, held in the journal, bound to VFIO, given back with proof.

The order is that of libvirt commit cf90342: the actual device first, the PCI device next, the guest after both; and backwards
the guest first, the PCI device then, the actual device last.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator, Mapping, Sequence

from virtnetplug import xml
from virtnetplug.backends import Ground, Order, Steps
from virtnetplug.backends.choice import Pool, obstacle, rank
from virtnetplug.backends.vf_settings import before_attach, of_request, put, unfit, vlan_fault
from virtnetplug.errors import (
    ClaimTaken,
    DomainMissing,
    DomainNotRunning,
    Failed,
    HostDeviceBusy,
    PoolExhausted,
    VirtnetplugError,
    VlanInvalid,
)
from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER, PciDevice, VfSettings
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase, Refusal
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain
from virtnetplug.retry import until_true

LIBVIRT_SECONDS = 3.0
"""How long libvirt, which gives a managed device back after DEVICE_REMOVED, is left to do so."""

HOST_DRIVER_SECONDS = 10.0
"""How long a VF may take to be back on its host driver (seen: 0.1 to 0.6 s after DEVICE_REMOVED)."""

_NOT_OF_A_VF = (
    "source_network",
    "source_portgroup",
    "source_portid",
    "bandwidth_inbound",
    "bandwidth_outbound",
    "model",
)


class AssignedDevice:
    """Actual type ``hostdev``."""

    plug_steps: Sequence[tuple[str, Phase]] = (("claim_device", Phase.ALLOCATE), ("plug_device", Phase.PLUG))
    attach_step = "attach_hostdev"
    release_step = "pci_reattach"

    def serves(self, actual: ActualDevice) -> bool:
        """Assigned PCI devices alone."""
        return actual.is_hostdev

    def refusals(
        self, ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None = None
    ) -> Sequence[Refusal]:
        """What the request asks that a VF cannot hold, or that no device of this host can give."""
        return tuple(_refusals(ground, net, actual, leaving))

    def plug(self, ground: Ground, order: Order, steps: Steps) -> Interface:
        """Hold a device, make its port, bind it to VFIO where libvirt is not to, set it; the net names it by address."""
        alias = order.net.alias or ""

        def undo() -> None:
            ours = [one for one in _held(ground, order.domain, alias) if one.operation_id == order.operation_id]
            if failures := [text for one in ours if (text := give_back(ground, one)) is not None]:
                raise Failed("; ".join(failures), reason="quarantined")

        holding = steps.effect("claim_device", alias, lambda: _claim(ground, order), undo, half=Half.LIVE)
        steps.effect("plug_device", alias, lambda: _prepare(ground, holding), half=Half.LIVE)
        return element_for(order.net, order.actual, holding)

    def unplug(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[str]:
        """Give the device back, or quarantine it and say why."""
        held = _held(ground, domain, net.alias or "")
        return [text for holding in held if (text := give_back(ground, holding)) is not None]

    def probe(self, ground: Ground, net: Interface) -> State | None:
        """Connected while VFIO has the device."""
        if net.source_pci is None or not ground.hypervisor.is_local:
            return None
        try:
            device = ground.host_devices.device(net.source_pci)
        except VirtnetplugError:
            return None
        return State.CONNECTED if device.driver == VFIO_DRIVER else State.INITIALISED


# -- taking ------------------------------------------------------------------------------------------


def _claim(ground: Ground, order: Order) -> Holding:
    """The best device nobody has: a durable row first, then the port; the loser of a race gets the next one."""
    if (kept := _kept(ground, order)) is not None:
        return kept
    pool = _pool(ground, order.net, order.actual, order.domain)
    lost: dict[PciAddress, str] = {}
    for device in _best(pool, order):
        if order.settings and (why := unfit(order.settings, ground.host_devices.settings(device.address))) is not None:
            lost[device.address] = why
            continue
        holding = _holding(ground, order, device)
        try:
            ground.journal.hold(holding)
        except ClaimTaken as error:
            lost[device.address] = error.message
            continue
        try:
            _make_port(ground, holding)
        except ClaimTaken as error:
            ground.journal.let_go(holding.address)
            lost[device.address] = error.message
            continue
        holding = _with_snapshot(ground, holding)
        ground.journal.amend_holding(holding)
        return holding
    raise PoolExhausted(_exhausted(order.actual, pool, lost))


def _best(pool: Pool, order: Order) -> Sequence[PciDevice]:
    """By rank; the one that the NIC had before them, even where the link of its PF went down meanwhile."""
    again = [one for one in pool.devices if one.address == order.again and one.address not in pool.taken]
    return (*again, *(one for one in rank(pool) if one not in again))


def _kept(ground: Ground, order: Order) -> Holding | None:
    """The device that the NIC had a moment ago, where it is held for it still: also one that was quarantined on its way back."""
    for one in _held(ground, order.domain, order.net.alias or ""):
        if one.address == order.again:
            kept = dataclasses.replace(
                one, operation_id=order.operation_id, settings=dict(order.settings), quarantine=""
            )
            if not kept.snapshot:
                kept = _with_snapshot(ground, kept)
            ground.journal.amend_holding(kept)
            _make_port(ground, kept)
            return kept
    return None


def _held(ground: Ground, domain: Domain, alias: str) -> Sequence[Holding]:
    return [one for one in ground.journal.holdings() if (one.domain_uuid, one.alias) == (domain.uuid, alias)]


def _holding(ground: Ground, order: Order, device: PciDevice) -> Holding:
    network = order.actual.network or ""
    return Holding(
        address=device.address,
        uri=ground.hypervisor.uri,
        domain_uuid=order.domain.uuid,
        domain_name=order.domain.name,
        domain_id=order.domain_id,
        alias=order.net.alias or "",
        mac=str(order.net.mac or ""),
        managed=_is_managed(ground, order.net, order.actual),
        network=network,
        port=str(uuid.uuid4()) if network else "",
        operation_id=order.operation_id,
        settings=dict(order.settings),
        since=ground.clock.now(),
    )


def _with_snapshot(ground: Ground, holding: Holding) -> Holding:
    return dataclasses.replace(holding, snapshot=dataclasses.asdict(ground.host_devices.settings(holding.address)))


def _make_port(ground: Ground, holding: Holding) -> None:
    if holding.network:
        ground.networks.create_port(
            holding.network,
            uuid=holding.port,
            owner_uuid=holding.domain_uuid,
            owner_name=holding.domain_name,
            mac=holding.mac,
            host_address=holding.address,
            managed=holding.managed,
        )


def _prepare(ground: Ground, holding: Holding) -> None:
    """With ``managed='no'`` the binding is ours, as libvirt defines it; else libvirt binds inside attach.

    What is set here the guest never sees otherwise; libvirt sets MAC and VLAN.
    """
    if not holding.managed:
        ground.nodedevs.detach(holding.address)
    put(ground, holding.address, before_attach(holding.settings))


def element_for(net: Interface, actual: ActualDevice, holding: Holding) -> Interface:
    """The net as it is given to the guest: by address, with what a VF can hold."""
    changes: dict[str, object] = {name: None for name in _NOT_OF_A_VF if getattr(net, name) is not None}
    changes |= {"type": "hostdev", "source_pci": holding.address, "managed": holding.managed}
    if actual.vlan is not None:
        changes["vlan"] = actual.vlan
    if actual.virtualport is not None:
        changes["virtualport"] = actual.virtualport
    return xml.interface(xml.edit(net.element, changes))


# -- giving back -------------------------------------------------------------------------------------


def give_back(ground: Ground, holding: Holding) -> str | None:
    """Make the device as it was and prove it, then let it go; else quarantine it and return the reason, a sentence.

    A device that another domain got meanwhile is that domain's: it is let go as it is.
    """
    try:
        user = users_of_devices(ground).get(holding.address)
        is_ours = user is None or user.uuid == holding.domain_uuid
        fault = _restore(ground, holding, user) if is_ours else None
    except VirtnetplugError as error:
        fault = error.message
    if fault is not None:
        ground.journal.amend_holding(dataclasses.replace(holding, quarantine=fault))
        return (
            f"host device {holding.address} is quarantined: {fault}. It is lent to nobody; "
            "'virtnetplug recover' tries again to give it back."
        )
    if holding.network and holding.port:
        ground.networks.delete_port(holding.network, holding.port)
    ground.journal.let_go(holding.address)
    return None


def _restore(ground: Ground, holding: Holding, user: Domain | None) -> str | None:
    """Driver, then settings, then proof; what is missing of the proof, or None."""
    if user is not None:
        return f"domain {user.name} still has it"
    if users := ground.host_devices.vfio_users(holding.address):
        return f"process {min(users)} still has its VFIO group open"
    if not holding.managed:
        ground.nodedevs.reattach(holding.address)
    elif not until_true(lambda: _is_back(ground, holding), seconds=LIBVIRT_SECONDS):
        ground.nodedevs.reattach(holding.address)  # libvirt should have; it may have died at it
    if not until_true(lambda: _is_back(ground, holding), seconds=HOST_DRIVER_SECONDS):
        driver = ground.host_devices.device(holding.address).driver
        return f"it is on driver {driver or 'none'}, and not back on its host's with its network interface"
    if not holding.snapshot:
        return None  # it was never changed
    now = ground.host_devices.settings(holding.address)
    before = dataclasses.replace(now, **holding.snapshot)  # type: ignore[arg-type]
    if before.differences(now):
        ground.host_devices.apply(holding.address, before)
    return _difference(before, ground.host_devices.settings(holding.address))


def _is_back(ground: Ground, holding: Holding) -> bool:
    """On its host driver, and with its interface if it had one: only then can its own MAC and MTU be seen."""
    device = ground.host_devices.device(holding.address)
    is_on_host = device.driver is not None and device.driver != VFIO_DRIVER
    return is_on_host and (holding.snapshot.get("mac") is None or device.netdev is not None)


def _difference(before: VfSettings, now: VfSettings) -> str | None:
    """What is not as it was, with both values; None if all is."""
    found = [
        f"its {name.replace('_', ' ')} is {getattr(now, name)}, and was {getattr(before, name)}"
        for name in before.differences(now)
    ]
    return ", ".join(found) or None


# -- looking -----------------------------------------------------------------------------------------


def users_of_devices(ground: Ground) -> Mapping[PciAddress, Domain]:
    """Every host device that some running domain has, and which.

    A domain that ended since the list was made has none; one that cannot be looked at raises: "not seen" is no proof.
    """
    found: dict[PciAddress, Domain] = {}
    for domain, state in ground.hypervisor.definitions():
        if not state.is_active:
            continue
        try:
            devices = xml.devices(domain.xml(Half.LIVE))
        except (DomainMissing, DomainNotRunning):
            continue
        found.update(dict.fromkeys((hostdev.host_address for hostdev in devices.hostdevs), domain))
    return found


def _pool(
    ground: Ground, net: Interface, actual: ActualDevice, domain: Domain | None, leaving: Interface | None = None
) -> Pool:
    devices = tuple(_candidates(ground, net, actual))
    taken = {address: f"domain {user.name} has it" for address, user in users_of_devices(ground).items()}
    for holding in ground.journal.holdings():
        state = f"quarantined ({holding.quarantine})" if holding.quarantine else f"held for {holding.domain_name}"
        taken[holding.address] = state
    if actual.network:
        for port in ground.networks.ports(actual.network):
            if port.host_address is not None:
                taken.setdefault(port.host_address, f"lent by its network to {port.owner_name or 'another domain'}")
    if leaving is not None and leaving.source_pci is not None:
        taken.pop(leaving.source_pci, None)
    load: dict[PciAddress, int] = {}
    for device in devices:
        if device.pf is not None and device.address in taken:
            load[device.pf] = load.get(device.pf, 0) + 1
    links = {pf: ground.host_devices.is_link_up(pf) for pf in {device.pf for device in devices} if pf is not None}
    nodes = xml.memory_nodes(domain.xml(Half.LIVE)) if domain is not None else ()
    return Pool(devices=devices, taken=taken, load=load, links=links, nodes=nodes)


def _candidates(ground: Ground, net: Interface, actual: ActualDevice) -> Iterator[PciDevice]:
    if net.source_pci is not None:
        yield ground.host_devices.device(net.source_pci)
        return
    network = ground.networks.network(actual.network or "")
    wanted = set(network.addresses)
    for device in ground.host_devices.devices():
        if network.pf is not None and device.is_pf and device.netdev == network.pf:
            yield from ground.host_devices.vfs(device.address)
        elif device.address in wanted:
            yield device


def _is_managed(ground: Ground, net: Interface, actual: ActualDevice) -> bool:
    if actual.network:
        return ground.networks.network(actual.network).managed
    return bool(net.managed)


def _exhausted(actual: ActualDevice, pool: Pool, lost: Mapping[PciAddress, str]) -> str:
    what = f"network {actual.network}" if actual.network else "the host device asked for"
    reasons = [f"{device.address} ({lost.get(device.address) or obstacle(pool, device)})" for device in pool.devices]
    listed = "; ".join(reasons) or "it has no device at all"
    return f"{what} has no device left to lend: {listed}. Detach one that is in use, or mend what is quarantined."


# -- refusing ----------------------------------------------------------------------------------------


def _refusals(ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None) -> Iterator[Refusal]:
    name = net.alias or str(net.mac or "the NIC")

    def refusal(reason: str, why: str) -> Refusal:
        return Refusal(reason=reason, nic=name, message=f"{name} {why}")

    if not ground.hypervisor.is_local:
        yield refusal("not-local", "is an assigned PCI device, whose host is not this one. Run virtnetplug there.")
        return
    if net.filterref is not None:
        yield refusal(
            "not-supported",
            "has a filter, which libvirt silently drops on an assigned PCI device. Leave it out, or use an emulated NIC.",
        )
    for field, what in (("mtu", "an MTU"), ("port_isolated", "port isolation")):
        if getattr(net, field) is not None:
            yield refusal(
                "not-supported", f"asks for {what}, which libvirt refuses for an assigned PCI device. Leave it out."
            )
    if (fault := vlan_fault(actual.vlan)) is not None:
        yield refusal(VlanInvalid.reason, f"{fault}.")
    try:
        pool = _pool(ground, net, actual, None, leaving)
        faults = [why for device in pool.devices if (why := _unfit(ground, device)) is not None]
        unset = [] if faults else [_unsettable(ground, net, device) for device in pool.devices]
    except VirtnetplugError as error:
        yield refusal(error.reason, f"cannot get a device: {error.message}")
        return
    if net.source_pci is not None and faults:
        yield refusal("host-device-unfit", f"cannot get {net.source_pci}: {faults[0]}")
    elif unset and None not in unset:
        yield refusal(
            "host-device-unfit", f"cannot be set as asked: {unset[0]}. Leave that out, or use another device."
        )
    elif not rank(pool):
        kind = HostDeviceBusy if net.source_pci is not None else PoolExhausted
        yield refusal(kind.reason, f"cannot get a device: {_exhausted(actual, pool, {})}")


def _unsettable(ground: Ground, net: Interface, device: PciDevice) -> str | None:
    """Why this device could not be set as the NIC asks; None if it could, or nothing is asked."""
    wanted = of_request(net)
    return unfit(wanted, ground.host_devices.settings(device.address)) if wanted else None


def _unfit(ground: Ground, device: PciDevice) -> str | None:
    """Why no guest could be given this device, whoever has it; None if one could."""
    if device.is_pf:
        return "it is a PF; name one of its VFs"
    if not device.is_vf:
        return "it is no VF of an SR-IOV device"
    if device.iommu_group is None:
        return "it is in no IOMMU group; switch the IOMMU on (intel_iommu=on or amd_iommu=on in the kernel's arguments)"
    company = [one for one in ground.host_devices.group(device.address) if one.address != device.address]
    in_use = [str(one.address) for one in company if not one.allows_company]
    if in_use:
        return f"its IOMMU group {device.iommu_group} also has {', '.join(in_use)}, which the host uses"
    return None
