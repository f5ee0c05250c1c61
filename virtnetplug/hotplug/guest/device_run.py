"""The run of its domain that a host device was last lent, or set, in. What libvirt sets of a device itself is of one run."""

from __future__ import annotations

import dataclasses

from virtnetplug.backends.vf_settings import of_ours
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.guest import guest
from virtnetplug.model.holding import Holding
from virtnetplug.model.run import NO_RUN, Run
from virtnetplug.ports.domain import Domain


def is_of_run(host: Host, domain: Domain, holding: Holding, live_xml: str) -> bool:
    """Whether the domain's run, which has that live definition, is the one that the row was last written in."""
    return guest.is_run(domain, _run(host, holding), live_xml)


def as_in_run(host: Host, domain: Domain, holding: Holding) -> Holding:
    """The row as it stands for the run there is: in a later run libvirt sets VLAN and MAC as that run's definition says."""
    ours = of_ours(holding.settings)
    if len(ours) == len(holding.settings) or guest.goes_on(domain, _run(host, holding)):
        return holding
    return dataclasses.replace(holding, settings=ours)


def carried_over(host: Host, domain: Domain, holding: Holding) -> Holding:
    """The row of a NIC that a later run has on the same device, as a row of that run."""
    now = guest.run_of(domain)
    if now == NO_RUN:
        return holding
    return dataclasses.replace(holding, settings=of_ours(holding.settings), domain_id=now.id, since=host.clock.now())


def set_in_run(host: Host, domain: Domain, holding: Holding) -> Holding:
    """Write into the row of a device that the present run has it set as the row says. Return the row as it is now."""
    if guest.goes_on(domain, _run(host, holding)):
        return holding
    now = dataclasses.replace(holding, domain_id=guest.run_of(domain).id, since=host.clock.now())
    host.journal.amend_holding(now, holding)
    return now


def _run(host: Host, holding: Holding) -> Run:
    """The run of the operation that wrote the row. A row that was carried over has only the domain's id and the moment: libvirt may reuse an id."""
    record = host.journal.operation(holding.operation_id)
    known = (holding.domain_uuid, holding.domain_id)
    if (
        record is None
        or (record.domain_uuid, record.domain_id) != known
        or (record.ended or holding.since) < holding.since
    ):
        return Run(holding.domain_id, seen=holding.since)
    return record.run
