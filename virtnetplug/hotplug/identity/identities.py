"""Show and forget what domains remember of their emulated NICs."""

from __future__ import annotations

from collections.abc import Iterator

from virtnetplug import xml
from virtnetplug.errors import DomainMissing, IdentityMissing, Refused, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.amendment import FORGET, Amendment, amend
from virtnetplug.hotplug.check.reserved import unsettled
from virtnetplug.hotplug.engine.prepared import refuse
from virtnetplug.hotplug.identity import handback, handover
from virtnetplug.hotplug.look.recognition import emulated_of, is_out, plugged_rows, twin_of
from virtnetplug.hotplug.look.view import BOTH, DomainView, look
from virtnetplug.hotplug.plug.remembering import Remembered, halves_of, metadata_of
from virtnetplug.model.identity import DomainMetadata, Identity, IdentityView
from virtnetplug.model.operation import Outcome
from virtnetplug.ports.domain import Domain

HANDED = (handover.NAME, handback.NAME, FORGET)
"""The operations of which the newest one tells whether a NIC of a domain is handed over."""


def identities(host: Host, domain_name: str | None = None) -> tuple[IdentityView, ...]:
    """The emulated NICs that one domain remembers, or all domains. Raises what `xml.metadata` raises."""
    domains = [host.hypervisor.domain(domain_name)] if domain_name is not None else list(host.hypervisor.domains())
    found: list[IdentityView] = []
    for domain in sorted(domains, key=lambda domain: domain.name):
        try:
            found += _seen(host, look(domain, BOTH))
        except DomainMissing:
            if domain_name is not None:
                raise
    return tuple(found)


def forget(host: Host, domain: Domain, emulated: str, *, force: bool = False) -> Outcome:
    """Delete what is remembered of that NIC, and its marker. The caller holds the domain's lock.

    Raises `Refused` (``identity-only-copy``), unless `force`, where no definition has the NIC, so that nothing else could restore it.
    """
    view = look(domain, BOTH)
    metadata = metadata_of(view)
    known = _known(host, view, metadata, emulated)
    there = handover.pairs_called(view, known.alias)
    refuse(tuple(unsettled(host, view, there, known.alias)))
    is_only = emulated_of(view, known, plugged_rows(host, view)) == (None, None)
    if is_only and (known.live or known.config) is not None and not force:
        raise Refused(
            f"{known.alias} of domain {domain.name} is out, and what is remembered of it is the only copy: forgotten, it could never be "
            f"restored. {call('handback', domain.name, known.alias)} restores it first; `force=True` forgets it all the same.",
            reason="identity-only-copy",
        )
    before = metadata.identity(known.alias)
    change = Remembered(name=known.alias, before=before, after=None, halves=halves_of(view))
    message = f"{domain.name} remembers {known.alias} no more"
    if known.vif:
        message += f", and {known.vif} has no claim on its identity"
    return amend(host, view, Amendment(operation=FORGET, message=message, remembered=(change,)))


def _known(host: Host, view: DomainView, metadata: DomainMetadata, emulated: str) -> Identity:
    """The remembered identity. If somebody else removed the record, only the name is left to forget."""
    try:
        return handback.identity_of(view, metadata, emulated)
    except IdentityMissing:
        for record in host.journal.newest(host.hypervisor.key, HANDED):
            is_its = record.domain_uuid == view.domain.uuid and emulated in record.remembers
            if is_its and record.operation == handover.NAME:
                return Identity(alias=emulated)
        raise


def _seen(host: Host, view: DomainView) -> Iterator[IdentityView]:
    if all(xml.NAMESPACE not in (text or "") for text in (view.live_xml, view.config_xml)):
        return
    rows = plugged_rows(host, view)
    for known in metadata_of(view).identities:
        emulated, fast = emulated_of(view, known, rows), twin_of(view, known.vif, rows, known)
        yield IdentityView(
            domain=view.domain.name,
            domain_uuid=view.domain.uuid,
            alias=known.alias,
            vif=known.vif,
            live=emulated[0] is not None,
            config=emulated[1] is not None,
            vif_live=fast[0] is not None,
            vif_config=fast[1] is not None,
            is_out=known.is_out and is_out(view, known, rows),
            live_element=known.live,
            config_element=known.config,
        )
