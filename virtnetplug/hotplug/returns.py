"""Returning host devices that nobody uses any more: a domain that ended with them, a quarantine that can be lifted."""

from __future__ import annotations

from contextlib import suppress

from virtnetplug import xml
from virtnetplug.backends.candidates import devices_of, users_of_devices
from virtnetplug.backends.returning import Returned, give_back
from virtnetplug.backends.vf_identity import loss_of
from virtnetplug.errors import DomainMissing, DomainNotRunning, VfChanged, VirtnetplugError
from virtnetplug.hotplug import guest, travel
from virtnetplug.hotplug.host import Host
from virtnetplug.model.holding import Holding
from virtnetplug.model.interface import is_lasting
from virtnetplug.model.operation import Half, Outcome, Result
from virtnetplug.model.run import Run
from virtnetplug.model.travelling import KnownNic
from virtnetplug.ports.domain import Domain


def return_devices(
    host: Host, domain_uuid: str | None = None, *, domain: Domain | None = None, seconds: float = 0.0
) -> list[Outcome]:
    """Give back, with proof, every device of this connection (or domain) that no running domain has and no open operation works on.

    One `Outcome` for each: ``done``, ``incomplete`` with the reason it is (still) quarantined, or ``pending`` where another call gives it back,
    which is waited for `seconds`. With `domain`, whose devices those are, the
    others are looked at only if it does not have them all. A device whose address another VF has by now is let go, whoever has that VF:
    ``done``, with the reason ``vf-changed``.
    """
    key = host.hypervisor.key
    held = [one for one in host.journal.holdings() if one.hypervisor == key and domain_uuid in (None, one.domain_uuid)]
    changed = {one.address for one in held if (loss := loss_of(host, one)) is not None and not loss.is_gone}
    over = {one.address for one in held if domain is not None and _is_over(host, domain, one)}
    settled = changed | over
    if not held or (domain is not None and not settled and {one.address for one in held} <= devices_of(domain)):
        return []
    busy = {nic for record in host.journal.open_operations(key) for nic in record.touched}
    users = users_of_devices(host)
    outcomes = []
    for holding in held:
        user = users.get(holding.address)
        is_used, is_over = user is not None, user is not None and _is_over(host, user, holding)
        stays = is_used and holding.address not in changed and not is_over
        if stays or (holding.domain_uuid, holding.alias) in busy:
            continue
        returned = give_back(host, holding, seconds=seconds, is_over=is_over)
        if returned.was_taken:
            continue  # another call gave it back
        if returned.busy is not None:
            outcomes.append(_outcome(holding, Result.PENDING, "device-busy", returned.busy))
            continue
        if not is_used:  # its row, and not that of another NIC which has its alias by now
            host.journal.drop_nic(key, holding.domain_uuid, holding.alias, mac=holding.mac, source=str(holding.address))
            with suppress(VirtnetplugError):
                its = domain or host.hypervisor.domain(holding.domain_uuid)
                travel.forget(its, (), [KnownNic(holding.alias, holding.mac, "")])
        outcomes.append(_returned(holding, returned))
    return outcomes


def _is_over(host: Host, user: Domain, holding: Holding) -> bool:
    """Whether the domain that has the device does not have it as the row says: libvirt has lent it since, for another NIC or in a later run.

    A NIC of a lasting alias is the same in every run that has it on that device.
    """
    try:
        nets = xml.devices(user.xml(Half.LIVE)).nets
    except (DomainMissing, DomainNotRunning):
        return False
    net = next((net for net in nets if net.source_pci == holding.address), None)
    if net is None:
        return False
    if user.uuid != holding.domain_uuid or holding.mac not in ("", str(net.mac or "")):
        return True
    record = None if is_lasting(holding.alias) else host.journal.operation(holding.operation_id)
    is_its = record is not None and record.domain_uuid == user.uuid
    run = record.run if record is not None and is_its else Run(holding.domain_id)
    return not is_lasting(holding.alias) and not guest.goes_on(user, run)


def _returned(holding: Holding, returned: Returned) -> Outcome:
    if returned.fault is not None:
        return _outcome(holding, Result.INCOMPLETE, "quarantined", returned.fault)
    if returned.loss is not None:
        reason = "" if returned.loss.is_gone else VfChanged.reason
        return _outcome(holding, Result.DONE, reason, returned.loss.told)
    back = f"host device {holding.address} is back as it was before {holding.alias} had it"
    return _outcome(holding, Result.DONE, "", back)


def _outcome(holding: Holding, result: Result, reason: str, message: str) -> Outcome:
    return Outcome(
        operation="return",
        domain=holding.domain_name,
        result=result,
        operation_id=holding.operation_id,
        reason=reason,
        message=message,
    )
