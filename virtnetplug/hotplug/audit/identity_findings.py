"""What an audit finds of identities and policies: a record that is lost, two that differ, a policy that asks for what is not so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from virtnetplug import xml
from virtnetplug.errors import Failed, VirtnetplugError
from virtnetplug.hotplug.audit.findings import finding
from virtnetplug.hotplug.audit.survey import Seen, Survey
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import LEAST, Lock
from virtnetplug.hotplug.change.remembering import Remembered, halves_of
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.identity import handover
from virtnetplug.hotplug.identity.enforcement import dues, enforce
from virtnetplug.hotplug.identity.known import KnownDomain
from virtnetplug.hotplug.identity.metadata import HANDED
from virtnetplug.hotplug.look.recognition import emulated_of, plugged_rows
from virtnetplug.hotplug.look.view import BOTH, DomainView, look
from virtnetplug.model.audit import Finding
from virtnetplug.model.identity import DomainMetadata, Identity
from virtnetplug.model.operation import Half, OperationRecord, Result
from virtnetplug.ports.domain import HowBegan

PATIENCE = 30.0
"""Seconds a repair waits for a guest that a NIC is to leave."""

Kept = Mapping[Half, DomainMetadata]


def identity_findings(host: Host, whole: Survey) -> Iterator[Finding]:
    """The findings of every domain that has virtnetplug metadata, or that had some by the journal. Other domains cost nothing."""
    busy = {record.domain_uuid for record in whole.operations if record.id in whole.alive}
    kept: dict[str, Kept] = {}
    for seen in whole.domains.values():
        if seen.uuid in busy or all(xml.NAMESPACE not in (text or "") for text in (seen.live_xml, seen.config_xml)):
            continue
        try:
            kept[seen.uuid] = _kept(seen)
            yield from _differing(seen, kept[seen.uuid])
            yield from _unmet(host, seen, kept[seen.uuid])
        except VirtnetplugError as error:
            yield finding("metadata-unread", seen.owner, "", why=error.message)
    for record in _handed_over(host):
        found = whole.domains.get(record.domain_uuid)
        if found is not None and found.uuid not in busy:
            yield from _lost(found, record, kept.get(found.uuid, {}))


def remember_again(host: Host, finding: Finding) -> None:
    """The repair: write into both definitions what the journal says was remembered, with the NIC as out as it is."""
    domain = host.hypervisor.domain(finding.domain_uuid)
    view = look(domain, BOTH)
    for record in _handed_over(host):
        for known in _remembered(record) if record.domain_uuid == domain.uuid else ():
            if known.alias == finding.nic:
                is_out = known.is_out and emulated_of(view, known, plugged_rows(host, view)) == (None, None)
                for half in halves_of(view):
                    now = xml.metadata(domain.metadata(half))
                    if now.identity(known.alias) is None:
                        again = now.with_identity(dataclasses.replace(known, is_out=is_out))
                        domain.set_metadata(half, xml.metadata_text(again))
                return
    raise Failed(f"the journal does not say any more what {finding.domain} remembered of {finding.nic}; audit again.")


def copy_to_config(host: Host, finding: Finding) -> None:
    """The repair: the definition keeps what the running guest does."""
    domain = host.hypervisor.domain(finding.domain_uuid)
    domain.set_metadata(Half.CONFIG, xml.metadata_text(xml.metadata(domain.metadata(Half.LIVE))))


def do_what_is_due(host: Host, finding: Finding) -> None:
    """The repair: have the domain's policies so, as `recover` does. It takes the domain's lock itself, to let it go while a guest is waited for."""
    domain = host.hypervisor.domain(finding.domain_uuid)
    with Lock(host, [domain], LEAST) as lock:
        done, _ = enforce(host, domain, lock, seconds=PATIENCE)
    if left := [each.sentence for each in done if each.enforced.result not in (Result.DONE, Result.ALREADY)]:
        raise Failed("; ".join(left))


def _kept(seen: Seen) -> Kept:
    there = {Half.LIVE: seen.live_xml, Half.CONFIG: seen.config_xml}
    return {
        half: xml.metadata(seen.domain.metadata(half)) if xml.NAMESPACE in text else DomainMetadata()
        for half, text in there.items()
        if text is not None
    }


def _differing(seen: Seen, kept: Kept) -> Iterator[Finding]:
    if len(kept) < len(BOTH) or kept[Half.LIVE] == kept[Half.CONFIG]:
        return
    live, config = kept[Half.LIVE], kept[Half.CONFIG]
    names = {each.alias for each in (*live.identities, *config.identities)}
    nics = sorted(name for name in names if live.identity(name) != config.identity(name))
    why = "Somebody replaced or edited one of them"
    if seen.domain.state().began is not HowBegan.BOOTED:
        why = (
            "Perhaps nobody edited either: a guest that was restored or came from another host has the metadata of the save or the migration. "
            "Later changes are in the definition alone"
        )
    what = ", ".join(nics) if nics else "its policies"
    yield finding("identity-differs", seen.owner, ", ".join(nics), what=what, why=why)


def _unmet(host: Host, seen: Seen, kept: Kept) -> Iterator[Finding]:
    view = DomainView(domain=seen.domain, state=seen.domain.state(), live_xml=seen.live_xml, config_xml=seen.config_xml)
    metadata = kept[Half.LIVE] if Half.LIVE in kept else kept[Half.CONFIG]
    for due in dues(KnownDomain(host, view, metadata)):
        if not due.obstacle:
            yield finding("policy-unmet", seen.owner, due.nic, device=due.deed.value, why=due.sentence)


def _handed_over(host: Host) -> Iterator[OperationRecord]:
    """The hand-overs that no hand-back or forgetting of the same NIC followed, and whose record can be read."""
    records = host.journal.newest(host.hypervisor.key, HANDED)
    return (each for each in records if each.operation == handover.NAME and handover.Handover.knows(each))


def _remembered(record: OperationRecord) -> Iterator[Identity]:
    changes = map(Remembered.from_request, record.request.get("remembered", ()))
    return (change.after for change in changes if change.after is not None)


def _lost(seen: Seen, record: OperationRecord, kept: Kept) -> Iterator[Finding]:
    if seen.config_xml is None and not guest.is_run(seen.domain, record.run, seen.live_xml or ""):
        return  # a transient domain keeps nothing over its end, and neither the NICs
    for known in _remembered(record):
        if all(metadata.identity(known.alias) is None for metadata in kept.values()):
            yield finding("identity-lost", seen.owner, known.alias, vif=known.vif)
