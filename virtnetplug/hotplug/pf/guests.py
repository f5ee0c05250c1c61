"""The guests of a PF: how they release their VFs and get VFs again. Meanwhile nobody else can get a VF of the PF."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

from virtnetplug import xml
from virtnetplug.backends.lending import held_for
from virtnetplug.backends.returning import HOST_DRIVER_SECONDS, return_to_host
from virtnetplug.backends.vf_identity import live_with, loss_of, taker_of, users_of_devices
from virtnetplug.backends.vf_settings import Settings, differences, of_ours
from virtnetplug.errors import DomainMissing, Failed, HostDeviceBusy, VfChanged, VfHeld, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import LEAST, named_lock
from virtnetplug.hotplug.engine.operation import Site
from virtnetplug.hotplug.engine.transaction import Transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.ending import how
from virtnetplug.hotplug.guest.guest import Answer
from virtnetplug.hotplug.guest.nic_rows import nic_record
from virtnetplug.hotplug.look.view import places_of
from virtnetplug.hotplug.pf.users import PfNic
from virtnetplug.hotplug.plug.plugging import restore
from virtnetplug.lifecycle import ATTACHED
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER, PciDevice, VfIdentity
from virtnetplug.model.interface import is_lasting
from virtnetplug.model.operation import OperationRecord
from virtnetplug.model.pci import PciAddress
from virtnetplug.model.run import Run
from virtnetplug.retry import until_true

_KEPT = ("alias", "element", "index", "old", "managed")
"""What the journal keeps of a NIC under the same names."""


def pf_lock(host: Host, pf: PciAddress, seconds: float, *, least: float = LEAST) -> AbstractContextManager[None]:
    """The lock of the PF, which is held to the end of the operation; raises `DomainBusy`."""
    return named_lock(host, str(pf), "", f"pf {pf}", max(seconds, least))


def entry_of(nic: PfNic, index: int) -> dict[str, Any]:
    """What the journal keeps of a NIC. `index` is the VF that the NIC gets in the end."""
    return {
        "domain_uuid": nic.domain.uuid,
        "domain_name": nic.domain.name,
        "run": nic.run.request,
        "label": nic.label,
        **({} if nic.net.alias == nic.alias else {"mac": str(nic.net.mac or ""), "places": places_of([nic.net])}),
        "address": str(nic.address),
        "target": index,
        **{name: getattr(nic, name) for name in _KEPT},
    }


def key_of(entry: Mapping[str, Any]) -> tuple[str, str]:
    """What tells a NIC of the journal from all others (`PfNic.key`)."""
    return entry["domain_uuid"], entry["alias"]


def nic_from(host: Host, entry: Mapping[str, Any]) -> PfNic | None:
    """The NIC that the journal has; None if its domain is no more."""
    try:
        domain = host.hypervisor.domain(entry["domain_uuid"])
    except DomainMissing:
        return None
    run = Run.from_request(entry.get("run", entry.get("domain_id")))
    # No guest is saved with an assigned device: a guest that was restored since lacks the NIC, and gets it.
    is_restored = not guest.goes_on(domain, run) and how(domain, run).is_active
    return PfNic(
        domain=domain,
        run=guest.run_of(domain) if is_restored else run,
        address=PciAddress.parse(entry["address"]),
        **{name: entry[name] for name in _KEPT},
    )


def keep(host: Host, pf: PciAddress, vfs: Sequence[PciAddress], operation_id: str) -> None:
    """Hold VFs that nobody has, so that nobody gets them; raises `ClaimTaken` naming who was faster."""
    nobody = {"domain_uuid": "", "domain_name": str(pf), "domain_id": -1, "mac": "", "managed": True}
    for vf in vfs:
        host.journal.hold(_row(host, vf, operation_id, alias=str(vf), **nobody))


def _row(host: Host, vf: PciAddress, operation_id: str, **its: Any) -> Holding:
    key, uri, now, identity = host.hypervisor.key, host.hypervisor.uri, host.clock.now(), host.host_devices.identity(vf)
    return Holding(address=vf, uri=uri, hypervisor=key, operation_id=operation_id, since=now, identity=identity, **its)


def keep_new(host: Host, pf: PciAddress, tx: Transaction) -> None:
    """Hold the VFs that the PF has made since."""
    known = {holding.address for holding in host.journal.holdings()}
    new = [vf.address for vf in host.host_devices.vfs(pf) if vf.address not in known]
    if new:
        tx.amend(nics=[*tx.record.request["nics"], *(entry_of_free(vf) for vf in new)])
        keep(host, pf, new, tx.record.id)
    renew(host, pf, tx)


def renew(host: Host, pf: PciAddress, tx: Transaction) -> None:
    """Write into the journal which VFs the PF has now (`made`, and the rows that the operation holds): the operation has made them."""
    made = identities(host, pf)
    tx.amend(made=made)
    for holding in host.journal.holdings():
        if holding.operation_id == tx.record.id and str(holding.address) in made:
            identity = VfIdentity(**made[str(holding.address)])
            host.journal.amend_holding(dataclasses.replace(holding, identity=identity), holding)


def identities(host: Host, pf: PciAddress) -> dict[str, Any]:
    """Which VFs the PF has, by address, as the journal keeps it."""
    vfs = host.host_devices.vfs(pf)
    return {str(vf.address): dataclasses.asdict(host.host_devices.identity(vf.address)) for vf in vfs}


def entry_of_free(vf: PciAddress) -> dict[str, Any]:
    """What the journal keeps of a VF that no guest has, and that is kept from all."""
    return {"domain_uuid": "", "alias": str(vf)}


def let_go(host: Host, operation_id: str) -> None:
    """Release what `keep` held."""
    for holding in host.journal.holdings():
        if holding.operation_id == operation_id and not holding.domain_uuid:
            host.journal.let_go(holding)


def untaken(host: Host, nic: PfNic, vfs: Sequence[PciDevice], target: int, tx: Transaction) -> int:
    """The index of the VF that a NIC gets: `target`, or another VF if somebody else has that one.

    The other VF is the lowest that is held for nobody, or that is kept for no other NIC. The journal has it before this returns, and a warning names it.
    Raises `VfHeld` if there is none.
    """
    users = users_of_devices(host)
    rows = {holding.address: holding for holding in host.journal.holdings()}

    def is_kept(vf: PciAddress) -> bool:
        return vf in rows and rows[vf].operation_id == tx.record.id and not rows[vf].domain_uuid

    def is_its(vf: PciAddress) -> bool:
        return vf in rows and rows[vf].domain_uuid == nic.domain.uuid and rows[vf].alias in nic.names

    vf = vfs[target].address
    if vf not in users and (vf not in rows or is_kept(vf) or is_its(vf)):
        return target
    who = f"domain {users[vf].name} has" if vf in users else f"{rows[vf].alias} of domain {rows[vf].domain_name} holds"
    entries = tx.record.request["nics"]
    others = {entry.get("target") for entry in entries}
    for index, other in sorted(enumerate(vfs), key=lambda each: not is_its(each[1].address)):
        is_held = is_its(other.address) and not rows[other.address].quarantine  # since an earlier try
        is_free = other.address not in rows or (is_kept(other.address) and index not in others)
        if (is_held or is_free) and other.address not in users:
            tx.amend(nics=[{**entry, "target": index} if key_of(entry) == nic.key else entry for entry in entries])
            tx.warn(f"{nic.label} has VF {index} ({other.address}): {who} VF {target} ({vf}) by now")
            return index
    raise VfHeld(
        f"{nic.label} cannot have VF {target} ({vf}): {who} it by now, and no other VF of that PF is free. Detach it there, then run `recover()`."
    )


def take_back(host: Host, nic: PfNic, operation_id: str) -> None:
    """Restore the VF that the guest has released, and keep it held for that NIC. Raises `Failed` without proof that the VF is as it was before."""
    holding = next((one for one in host.journal.holdings() if one.address == nic.address), None)
    kept = _held_for(host, nic, nic.address, operation_id, {} if holding is None else holding.snapshot)
    if holding is None:  # another program had attached it, and libvirt returns it to its host driver
        host.journal.hold(kept)
        is_back = until_true(
            lambda: host.host_devices.device(nic.address).driver != VFIO_DRIVER, seconds=HOST_DRIVER_SECONDS
        )
        fault = None if is_back else f"host device {nic.address} is not back on its host driver"
    else:
        returned = return_to_host(host, holding, dataclasses.replace(kept, identity=holding.identity))
        if returned.loss is not None:
            raise Failed(f"{returned.loss.told}.", reason=VfChanged.reason)
        if returned.user is not None and returned.fault is None:
            raise Failed(f"domain {returned.user} runs with {nic.address} by now", reason=HostDeviceBusy.reason)
        fault = returned.fault or returned.busy
    if fault is not None:
        raise Failed(fault, reason="quarantined")


def _return(host: Host, nic: PfNic, vfs: Collection[PciAddress]) -> None:
    """Return those VFs that are held for a NIC whose guest has ended. Raises `Failed` without proof.

    A VF stays held if the next run has it behind the same NIC, by a lasting alias, with the same settings (see `return_devices`).
    """
    for holding in held_for(host, nic.domain, nic.alias):
        if holding.address in vfs and not _goes_on(host, nic, holding):
            returned = return_to_host(host, holding, is_over=True)
            if (fault := returned.fault or returned.busy) is not None:
                raise Failed(fault, reason="quarantined")


def _goes_on(host: Host, nic: PfNic, holding: Holding) -> bool:
    if not is_lasting(holding.alias) or live_with(nic.domain, holding) is None:
        return False
    return not differences(of_ours(holding.settings), host.host_devices.settings(holding.address))


def put_in(
    host: Host,
    nic: PfNic,
    operation: OperationRecord,
    address: PciAddress | None = None,
    snapshot: Settings | None = None,
) -> None:
    """Attach the NIC again, on its own VF or on the VF at `address`. Does nothing if the guest has the NIC.

    If the guest has ended, its VFs are returned to the host. `snapshot` has the settings of the VF at `address` before it is lent.
    """
    address = nic.address if address is None else address
    if address != nic.address:
        _leave_to_taker(host, nic)
        _hold_instead(host, nic, address, operation.id, snapshot or {})
    for holding in (one for name in nic.names - {nic.alias} for one in held_for(host, nic.domain, name)):
        if holding.address == nic.address:
            host.journal.amend_holding(dataclasses.replace(holding, alias=nic.alias), holding)
    element = xml.edit(nic.element, {"source_pci": address, "alias": nic.alias})
    try:
        restore(Site(host=host, domain=nic.domain, run=nic.run), operation, element, nic.old)
    except VirtnetplugError:
        _keep_for(host, nic, address, operation.id)
        raise
    if guest.look_for(nic.domain, xml.interface(element), run=nic.run) is Answer.ENDED:
        _return(host, nic, {nic.address, address})


def _leave_to_taker(host: Host, nic: PfNic) -> None:
    """Release the VF that the NIC had, if another NIC has it by now, and undo what was set of it. Raises `Failed` if that cannot be undone."""
    for holding in (one for name in nic.names for one in held_for(host, nic.domain, name)):
        if holding.address == nic.address and loss_of(host, holding) is None and taker_of(host, holding) is not None:
            returned = return_to_host(host, holding)
            if returned.fault is not None:
                raise Failed(returned.fault, reason="quarantined")


def _keep_for(host: Host, nic: PfNic, address: PciAddress, operation_id: str) -> None:
    """Hold the VF of a NIC that could not be attached, so that nobody else gets it before the next try. Does nothing if somebody has the VF."""
    with suppress(VirtnetplugError):  # that the NIC could not be attached is what is reported
        host.host_devices.device(address)
        if address not in users_of_devices(host):
            host.journal.hold(_held_for(host, nic, address, operation_id, {}))


def remember(host: Host, nics: Sequence[PfNic]) -> None:
    """Write the rows of the NICs into the journal, as the guests have them now."""
    for nic in nics:
        net = guest.net_of(nic.domain, nic.alias)
        if net is not None:
            host.journal.put_nic(nic_record(host, nic.domain, net, nic.old["network"] or None, *ATTACHED))


def _held_for(host: Host, nic: PfNic, address: PciAddress, operation_id: str, snapshot: Settings) -> Holding:
    """The row of a device that is held for the NIC. Its port is not made yet. `snapshot` has the settings that it gets in the end."""
    network = nic.old["network"]
    return _row(
        host,
        address,
        operation_id,
        domain_uuid=nic.domain.uuid,
        domain_name=nic.domain.name,
        domain_id=nic.run.id,
        alias=nic.alias,
        mac=str(xml.interface(nic.element).mac or ""),
        managed=nic.managed,
        network=network,
        port=str(uuid.uuid4()) if network else "",
        snapshot=dict(snapshot),
        settings=dict(nic.old["settings"]),
    )


def _hold_instead(host: Host, nic: PfNic, address: PciAddress, operation_id: str, snapshot: Settings) -> None:
    """Hold the VF at `address` for the NIC, in the place of the VF that it had, or that an earlier try chose.

    Other rows under the NIC's name stay, such as a VF in quarantine.
    """
    its = host.hypervisor.key, nic.domain.uuid, nic.alias
    with host.journal.batch():
        for holding in host.journal.holdings():
            is_its = (holding.hypervisor, holding.domain_uuid, holding.alias) == its
            is_kept = holding.address == address and not holding.domain_uuid
            if is_kept and loss_of(host, holding) is not None:
                snapshot = {}  # of the VF that was there before: that of this one is taken when it is lent
            is_moved = holding.address != address and (
                holding.address == nic.address or holding.operation_id == operation_id
            )
            if (is_its and is_moved) or is_kept:
                host.journal.let_go(holding)
        if all((one.address, one.alias) != (address, nic.alias) for one in host.journal.holdings()):
            host.journal.hold(_held_for(host, nic, address, operation_id, snapshot))
