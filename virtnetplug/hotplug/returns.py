"""Returning host devices that nobody uses any more: a domain that ended with them, a quarantine that can be lifted."""

from __future__ import annotations

from contextlib import suppress

from virtnetplug.backends.candidates import has_for, users_of_devices
from virtnetplug.backends.returning import Returned, give_back
from virtnetplug.backends.vf_identity import loss_of
from virtnetplug.errors import ClaimTaken, VfChanged, VirtnetplugError
from virtnetplug.hotplug import travel
from virtnetplug.hotplug.device_run import carried_over, is_of_run
from virtnetplug.hotplug.host import Host
from virtnetplug.model.holding import Holding
from virtnetplug.model.interface import is_lasting
from virtnetplug.model.operation import Outcome, Result
from virtnetplug.model.travelling import KnownNic
from virtnetplug.ports.domain import Domain


def return_devices(
    host: Host, domain_uuid: str | None = None, *, domain: Domain | None = None, seconds: float = 0.0
) -> list[Outcome]:
    """Give back, with proof, every device of this connection (or domain) that its NIC does not have and no open operation works on.

    One `Outcome` for each: ``done``, ``incomplete`` with the reason it is (still) quarantined, or ``pending`` where another call gives it back,
    which is waited for `seconds`. With `domain`, whose devices those are, the others are looked at only if it does not have them all.
    A row of a device that its NIC has in a later run is carried over to that run.
    A device that libvirt has lent anew meanwhile is let go: only what was set of it beyond libvirt's own settings is taken back. One whose address
    another VF has by now is let go, whoever has that VF: ``done``, with the reason ``vf-changed``.
    """
    key = host.hypervisor.key
    held = [one for one in host.journal.holdings() if one.hypervisor == key and domain_uuid in (None, one.domain_uuid)]
    changed = {one.address for one in held if (loss := loss_of(host, one)) is not None and not loss.is_gone}
    if not held or (domain is not None and not changed and all(_has_it_still(host, domain, one) for one in held)):
        return []
    busy = {nic for record in host.journal.open_operations(key) for nic in record.touched}
    users = users_of_devices(host)
    outcomes = []
    for holding in held:
        if (holding.domain_uuid, holding.alias) in busy:
            continue
        user = users.get(holding.address)
        is_used = user is not None and _has_it(host, user, holding)
        if user is not None and is_used and holding.address not in changed:
            _carry_over(host, user, holding)
            continue
        returned = give_back(host, holding, seconds=seconds, is_over=user is not None)
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


def _has_it(host: Host, user: Domain, holding: Holding) -> bool:
    """Whether that domain has the device as the row says: behind that NIC and, where the alias is libvirt's own, in that run of it.

    A NIC of a lasting alias is the same in every run that has it on that device; else libvirt has lent the device anew.
    """
    return _is_behind(user, holding) and (is_lasting(holding.alias) or is_of_run(host, user, holding))


def _has_it_still(host: Host, domain: Domain, holding: Holding) -> bool:
    """Whether it has the device in the run that the row was written in."""
    return _is_behind(domain, holding) and is_of_run(host, domain, holding)


def _is_behind(user: Domain, holding: Holding) -> bool:
    return user.uuid == holding.domain_uuid and has_for(user, holding)


def _carry_over(host: Host, user: Domain, holding: Holding) -> None:
    """The NIC has the device in a later run: what libvirt sets itself was of the run before."""
    if not is_of_run(host, user, holding):
        with suppress(ClaimTaken):  # another call has written it since
            host.journal.amend_holding(carried_over(host, user, holding), holding)


def _returned(holding: Holding, returned: Returned) -> Outcome:
    if returned.fault is not None:
        return _outcome(holding, Result.INCOMPLETE, "quarantined", returned.fault)
    if returned.loss is not None:
        reason = "" if returned.loss.is_gone else VfChanged.reason
        return _outcome(holding, Result.DONE, reason, returned.loss.told)
    if returned.user is not None:
        return _outcome(
            holding,
            Result.DONE,
            "",
            f"libvirt has given host device {holding.address} to a NIC of {returned.user} since {holding.alias} of {holding.domain_name} had it: "
            "what virtnetplug had set of it, and libvirt does not set itself, was taken back, and it is no longer held",
        )
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
