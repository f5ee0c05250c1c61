"""Returning host devices that nobody uses any more: a domain that ended with them, a quarantine that can be lifted."""

from __future__ import annotations

import enum
from contextlib import suppress
from functools import partial

from virtnetplug.backends.returning import Returned, return_to_host
from virtnetplug.backends.vf_identity import live_with, loss_of, users_of_devices
from virtnetplug.errors import ClaimTaken, VfChanged, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.guest import travel
from virtnetplug.hotplug.guest.assigned import carried_over, is_of_run
from virtnetplug.lifecycle import GONE
from virtnetplug.model.holding import Holding
from virtnetplug.model.interface import is_lasting
from virtnetplug.model.operation import Outcome, Result
from virtnetplug.model.travelling import KnownNic
from virtnetplug.ports.domain import Domain


def return_devices(
    host: Host, domain_uuid: str | None = None, *, domain: Domain | None = None, seconds: float = 0.0
) -> list[Outcome]:
    """Return, with proof, every device of this connection (or domain) that its NIC does not have and no open operation works on.

    Each device gets an `Outcome`: ``done``; ``incomplete``, with the reason why it is quarantined; or ``pending`` while another call returns it. That
    call is waited for `seconds`. If `domain` has all its devices, the other domains are not looked at.
    A row of a device that its NIC has in a later run is carried over to that run.
    libvirt may have lent the device anew. Then the device is released, and only what libvirt does not set is undone. A device whose address another
    VF has by now is released, whoever has that VF: ``done``, with the reason ``vf-changed``.
    """
    key = host.hypervisor.key
    held = host.journal.holdings(key, domain_uuid)
    changed = {one.address for one in held if (loss := loss_of(host, one)) is not None and not loss.is_gone}
    if not held or (domain is not None and not changed and all(_how(host, domain, one) is _Has.STILL for one in held)):
        return []
    busy = {nic for record in host.journal.open_operations(key) for nic in record.touched}
    users = users_of_devices(host)
    outcomes = []
    for holding in held:
        if (holding.domain_uuid, holding.alias) in busy:
            continue
        user = users.get(holding.address)
        has = _Has.NOT if user is None else _how(host, user, holding)
        is_used = has is not _Has.NOT
        if user is not None and is_used and holding.address not in changed:
            if has is _Has.LATER:
                with suppress(ClaimTaken):  # another call has written it since
                    host.journal.amend_holding(carried_over(host, user, holding), holding)
            continue
        returned = return_to_host(host, holding, seconds=seconds, is_over=user is not None)
        if returned.was_taken:
            continue  # another call returned it
        if not is_used and returned.busy is None:
            _drop_nic(host, holding)
            with suppress(VirtnetplugError):
                its = domain or host.hypervisor.domain(holding.domain_uuid)
                travel.forget(its, (), [KnownNic(holding.alias, holding.mac, "")])
        outcomes.append(_outcome(holding, returned))
    return outcomes


def _drop_nic(host: Host, holding: Holding) -> None:
    """Drop the row of the NIC that had the device. Rows of another NIC with that alias stay, and so does a row that stands for the definition."""
    rows = host.journal.nics(holding.hypervisor, holding.domain_uuid)
    if any(row.alias == holding.alias and (row.frontend, row.backend) != GONE for row in rows):
        address = str(holding.address)
        host.journal.drop_nic(holding.hypervisor, holding.domain_uuid, holding.alias, mac=holding.mac, source=address)


class _Has(enum.Enum):
    """Whether a domain has a device behind the NIC that its row says."""

    NOT = enum.auto()
    STILL = enum.auto()  # in the run that the row was last written in
    LATER = enum.auto()  # in a later run, which has the NIC on that device as well


def _how(host: Host, domain: Domain, holding: Holding) -> _Has:
    """How the domain has the device. If libvirt made the alias, a later run has another NIC, as libvirt has lent the device anew."""
    live = live_with(domain, holding) if domain.uuid == holding.domain_uuid else None
    if live is None:
        return _Has.NOT
    if is_of_run(host, domain, holding, live):
        return _Has.STILL
    return _Has.LATER if is_lasting(holding.alias) else _Has.NOT


def _outcome(holding: Holding, returned: Returned) -> Outcome:
    outcome = partial(Outcome, operation="return", domain=holding.domain_name, operation_id=holding.operation_id)
    if returned.busy is not None:
        return outcome(result=Result.PENDING, reason="device-busy", message=returned.busy)
    if returned.fault is not None:
        return outcome(result=Result.INCOMPLETE, reason="quarantined", message=returned.fault)
    if returned.loss is not None:
        reason = "" if returned.loss.is_gone else VfChanged.reason
        return outcome(result=Result.DONE, reason=reason, message=returned.loss.told)
    address, its = holding.address, f"{holding.alias} of {holding.domain_name}"
    message = f"host device {address} is back as it was before {holding.alias} had it"
    if returned.user is not None:
        message = (
            f"libvirt has given host device {address} to a NIC of {returned.user} since {its} had it. What virtnetplug had set of it, "
            "and libvirt does not set itself, was undone; it is no longer held"
        )
    return outcome(result=Result.DONE, message=message)
