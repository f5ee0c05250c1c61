"""The assigned device behind a NIC of a running guest, and what an update changes of it through its PF.

libvirt updates nothing of such a NIC (``qemuDomainChangeNet``: "cannot modify network device of type 'hostdev'"). So its live
definition goes on saying what the NIC was attached with. The journal has what was set since, in the row of the device. What libvirt
sets itself is of one run of the domain. So the row says in which run the device was last lent, or set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from virtnetplug.backends import backend_of, vf_settings
from virtnetplug.backends.lending import held
from virtnetplug.backends.vf_identity import live_with
from virtnetplug.backends.vf_settings import Settings
from virtnetplug.errors import (
    HostDeviceBusy,
    HostDeviceMissing,
    HostDeviceUnfit,
    NetworkMissing,
    NicMissing,
    NotSupported,
    VfChanged,
    VirtnetplugError,
    VlanInvalid,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.look.view import describe
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VfSettings
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Refusal
from virtnetplug.model.pci import PciAddress
from virtnetplug.model.run import NO_RUN, Run
from virtnetplug.ports.domain import Domain


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """A device of this host that a guest has: the pool it came from, how it is set, and what the journal holds of it."""

    address: PciAddress
    network: str | None
    now: VfSettings
    holding: Holding | None

    @property
    def snapshot(self) -> Settings:
        """Its settings before it was lent; nothing for one that another program attached."""
        return self.holding.snapshot if self.holding is not None else {}

    @property
    def settings(self) -> Settings:
        """What was set of it for this NIC so far, beyond what libvirt set."""
        return self.holding.settings if self.holding is not None else {}


def assigned_to(host: Host, domain: Domain, live: Interface | None, config: Interface | None) -> Assigned | None:
    """The device behind the NIC; None if it has none, or on another host. Raises what looking at the device raises."""
    if live is None or not backend_of(live).is_lent or live.source_pci is None or not host.hypervisor.is_local:
        return None
    holding = held(host, domain, live.alias or "", live.mac, live.source_pci)
    holding = None if holding is None else as_in_run(host, domain, holding)
    of_config = config.source_network if config is not None and not backend_of(config).is_lent else None
    return Assigned(
        address=live.source_pci,
        network=(holding.network or None) if holding is not None else of_config,
        now=host.host_devices.settings(live.source_pci),
        holding=holding,
    )


def lending_pool(host: Host, domain: Domain, address: PciAddress) -> str | None:
    """The network in which the domain has a port for that device; None if there is none."""
    for name in host.networks.names():
        try:
            ports = host.networks.ports(name) if host.networks.network(name).is_pool else ()
        except NetworkMissing:
            continue  # it is gone since it was listed
        if any((port.host_address, port.owner_uuid) == (address, domain.uuid) for port in ports):
            return name
    return None


def lost_by_hand(
    host: Host, domain: Domain, net: Interface, kept: Settings | None = None, *, name: str = ""
) -> tuple[str, ...]:
    """A sentence if somebody set the device behind the NIC by hand: the device that comes in its place is not set so. `kept` is what that is set to."""
    device = None
    with suppress(VirtnetplugError):  # what cannot be seen, or is there no more, loses nothing
        device = assigned_to(host, domain, net, None)
    if device is None:
        return ()
    wanted = vf_settings.of_lent(net, device.holding)
    missed = vf_settings.drift({**wanted, **(kept or {})}, device.now)
    by_hand = {setting: value for setting, value in missed.items() if wanted.get(setting) == value}
    if not by_hand:
        return ()
    who = "neither libvirt nor virtnetplug set that for this NIC, and the device that it gets now need not be set so"
    if device.holding is not None:
        who = "somebody set that by hand, and the device that it gets now is not set so"
    what = f"{name or describe(net)} has host device {device.address}, whose {vf_settings.told(by_hand, device.now)}"
    return (f"{what}: {who}. `update()` sets it again",)


def refusals(nic: str, device: Assigned, net: Interface, settings: Settings) -> Iterator[Refusal]:
    """What speaks against setting `settings` of the device, as `net` asks."""
    its = f"{device.address}, which {nic} is, cannot be set"
    if device.holding is not None and device.holding.unreadable:
        message = f"{its}: {device.holding.unreadable}."
        yield Refusal(reason=HostDeviceUnfit.reason, nic=nic, message=message)
    if (fault := vf_settings.vlan_fault(net.vlan)) is not None:
        yield Refusal(reason=VlanInvalid.reason, nic=nic, message=f"{nic} {fault}.")
    if (why := vf_settings.unfit(settings, device.now)) is not None:
        message = f"{its} as asked: {why}. Leave that out."
        yield Refusal(reason=HostDeviceUnfit.reason, nic=nic, message=message)
    if device.holding is None and not net.managed:
        yield Refusal(
            reason=NotSupported.reason,
            nic=nic,
            message=f"{nic} was attached by another program, which drives {device.address} itself (managed='no'), so what it "
            "was before cannot be restored in the end. Detach it, and attach it with virtnetplug.",
        )


def request_of(net: Interface, device: Assigned, settings: Settings, kept: Settings) -> dict[str, Any]:
    """What the journal keeps of a change: `settings` to make, and `kept`, which the device is to have from now on."""
    return {
        "address": str(device.address),
        "mac": str(net.mac or ""),
        "before": {name: value for name, value in dataclasses.asdict(device.now).items() if name in settings},
        "after": dict(settings),
        "kept": dict(kept),
        "kept_before": None if device.holding is None else dict(device.settings),
    }


def change(host: Host, domain: Domain, alias: str, asked: Mapping[str, Any], *, operation_id: str, run: Run) -> None:
    """Remember, then set, then read back; raises `HostDeviceFailed` where the device does not have it then.

    Raises `NicMissing` where the guest does not have the device behind that NIC any more, and what `vf_identity.expect_ours` raises.
    """
    address = PciAddress.parse(asked["address"])
    before = vf_settings.of_ours(asked["before"])  # libvirt restores its own
    known = held(host, domain, alias, asked["mac"], address)
    holding = known or Holding(
        address=address,
        uri=host.hypervisor.uri,
        hypervisor=host.hypervisor.key,
        domain_uuid=domain.uuid,
        domain_name=domain.name,
        domain_id=run.id,
        alias=alias,
        mac=asked["mac"],
        managed=True,
        operation_id=operation_id,
        since=host.clock.now(),
        identity=host.host_devices.identity(address),
    )
    if live_with(domain, holding) is None:
        raise NicMissing(
            f"{alias} of domain {domain.name} does not have host device {address} any more: nothing was set"
        )
    changed = dataclasses.replace(holding, settings=asked["kept"], snapshot={**before, **holding.snapshot})
    if known is not None:
        host.journal.amend_holding(changed)
    else:  # another program attached it: from now on it is ours to return
        changed = host.journal.hold(changed)
    vf_settings.put(host, changed, asked["after"])


def change_back(host: Host, domain: Domain, alias: str, asked: Mapping[str, Any]) -> None:
    """Undo `change`: what somebody set of the device since stays.

    A device that was returned is as it was before all that. If another NIC has the device by now, `return_devices` ends its row, as any other row.
    """
    holding = held(host, domain, alias, asked["mac"], PciAddress.parse(asked["address"]))
    if holding is None:
        return
    try:
        now = host.host_devices.settings(holding.address)
        vf_settings.put(host, holding, vf_settings.back_to(asked["before"], asked["after"], now))
    except (HostDeviceMissing, HostDeviceBusy, VfChanged):
        return
    if asked["kept_before"] is None:
        host.journal.let_go(holding)
    else:
        host.journal.amend_holding(dataclasses.replace(holding, settings=asked["kept_before"]))


def is_of_run(host: Host, domain: Domain, holding: Holding, live_xml: str) -> bool:
    """Whether the row was last written in the domain's run that has this live definition."""
    return guest.is_run(domain, _run(host, holding), live_xml)


def as_in_run(host: Host, domain: Domain, holding: Holding) -> Holding:
    """The row as it counts in the present run: in a later run libvirt sets VLAN and MAC as that run's definition says."""
    ours = vf_settings.of_ours(holding.settings)
    if len(ours) == len(holding.settings) or guest.goes_on(domain, _run(host, holding)):
        return holding
    return dataclasses.replace(holding, settings=ours)


def carried_over(host: Host, domain: Domain, holding: Holding) -> Holding:
    """The row as a row of the present run, whose NIC has the same device."""
    now = guest.run_of(domain)
    if now == NO_RUN:
        return holding
    return dataclasses.replace(
        holding, settings=vf_settings.of_ours(holding.settings), domain_id=now.id, since=host.clock.now()
    )


def set_in_run(host: Host, domain: Domain, holding: Holding) -> Holding:
    """Write the row as a row of the present run, where the device has the settings of the row."""
    if guest.goes_on(domain, _run(host, holding)):
        return holding
    now = dataclasses.replace(holding, domain_id=guest.run_of(domain).id, since=host.clock.now())
    host.journal.amend_holding(now, holding)
    return now


def _run(host: Host, holding: Holding) -> Run:
    """The run of the operation that wrote the row. A row that was carried over since has the domain's id and the moment: libvirt reuses ids."""
    record = host.journal.operation(holding.operation_id)
    known = (holding.domain_uuid, holding.domain_id)
    if (
        record is None
        or (record.domain_uuid, record.domain_id) != known
        or (record.ended or holding.since) < holding.since
    ):
        return Run(holding.domain_id, seen=holding.since)
    return record.run
