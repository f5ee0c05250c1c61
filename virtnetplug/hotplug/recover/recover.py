"""Recover: finish or undo what a crash, a lost connection or a stubborn guest left open. Safe at any time, and twice."""

from __future__ import annotations

from contextlib import suppress

from virtnetplug.errors import DomainBusy, DomainMissing, JournalMoved
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import DomainLock
from virtnetplug.hotplug.recover import arrivals, settling
from virtnetplug.hotplug.recover.forgetting import forget as forget_operation
from virtnetplug.hotplug.recover.forgetting import plan_forget
from virtnetplug.hotplug.recover.returns import return_devices
from virtnetplug.model.operation import Outcome, Plan


def recover(
    host: Host,
    domain_name: str | None = None,
    *,
    seconds: float = 0.0,
    allow_taint: bool = False,
    any_address: bool = False,
    forget: str = "",
) -> tuple[Outcome, ...]:
    """Settle every open operation that no living call owns. `seconds` bounds each wait by itself: for a guest, for a lock, for a call that owns one.

    `allow_taint` removes a NIC that the hypervisor does not know any more through the emulator's own monitor. `any_address` allows another guest address
    for a NIC whose address somebody has taken (``place-taken``). `forget` is the id of an operation: only that operation is closed (see `forgetting`).
    """
    if forget:
        return forget_operation(host, domain_name, forget, seconds)
    wanted = settling.wanted_uuids(host, domain_name)
    outcomes: list[Outcome] = []
    for domain in host.hypervisor.domains() if wanted is None else settling.domains_of(host, wanted):
        if arrivals.are_there(host, domain):  # a domain that is busy is left for the next time
            with suppress(DomainBusy, DomainMissing), DomainLock(host, domain, 0.0, least=0.0):
                arrivals.take_over(host, domain)
    if wanted is None:
        arrivals.forget_departed(host)
    try:
        for record in settling.open_records(host, wanted):
            outcome = settling.settle(host, record, seconds, allow_taint=allow_taint, any_address=any_address)
            outcomes += [outcome] if outcome is not None else []
        for uuid in (None,) if wanted is None else wanted:
            outcomes += return_devices(host, uuid, seconds=seconds)
    except JournalMoved:
        if not outcomes:
            raise
    return tuple(outcomes)


def plan_recover(host: Host, domain_name: str | None = None, *, forget: str = "") -> tuple[Plan, ...]:
    """What `recover` would do, one plan for each open operation, and for each that guests have brought with them."""
    if forget:
        return (plan_forget(host, domain_name, forget),)
    wanted = settling.wanted_uuids(host, domain_name)
    domains = [domain for domain in settling.domains_of(host, wanted) if arrivals.are_there(host, domain)]
    came = [plan for domain in domains for plan in arrivals.coming(host, domain)]
    return (*came, *(settling.plan(host, record) for record in settling.open_records(host, wanted)))
