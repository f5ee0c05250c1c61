"""Show and forget what domains remember of their emulated NICs."""

from __future__ import annotations

from collections.abc import Iterator

from virtnetplug.errors import DomainMissing, IdentityMissing, Refused, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.remembering import FORGET, amend
from virtnetplug.hotplug.check.reserved import unsettled
from virtnetplug.hotplug.engine.prepared import refuse
from virtnetplug.hotplug.identity import handback, handover
from virtnetplug.hotplug.identity.known import KnownDomain
from virtnetplug.hotplug.look.recognition import emulated_of, is_out, twin_of
from virtnetplug.model.identity import Identity, IdentityView
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
            found += _seen(KnownDomain.of(host, domain))
        except DomainMissing:
            if domain_name is not None:
                raise
    return tuple(found)


def forget(host: Host, domain: Domain, emulated: str, *, force: bool = False) -> Outcome:
    """Delete what is remembered of that NIC, and its marker. The caller holds the domain's lock.

    Raises `Refused` (``identity-only-copy``), unless `force`, if no definition has the NIC, so that nothing else could restore the NIC.
    """
    known = KnownDomain.of(host, domain)
    identity = _identity(known, emulated)
    refuse(tuple(unsettled(host, known.view, known.called(identity.alias), identity.alias)))
    is_only = emulated_of(known.view, identity, known.rows) == (None, None)
    if is_only and (identity.live or identity.config) is not None and not force:
        raise Refused(
            f"{identity.alias} of domain {domain.name} is out, and what is remembered of it is the only copy: forgotten, it could never be "
            f"restored. {call('handback', domain.name, identity.alias)} restores it first; `force=True` forgets it all the same.",
            reason="identity-only-copy",
        )
    message = f"{domain.name} remembers {identity.alias} no more"
    if identity.vif:
        message += f", and {identity.vif} has no claim on its identity"
    return amend(host, known.view, FORGET, message, known.change(identity.alias, None))


def _identity(known: KnownDomain, emulated: str) -> Identity:
    """The remembered identity. If somebody else removed the record, only the name is left to forget."""
    try:
        return known.identity_of(emulated)
    except IdentityMissing:
        for record in known.host.journal.newest(known.host.hypervisor.key, HANDED):
            is_its = record.domain_uuid == known.view.domain.uuid and emulated in record.remembers
            if is_its and record.operation == handover.NAME:
                return Identity(alias=emulated)
        raise


def _seen(known: KnownDomain) -> Iterator[IdentityView]:
    view = known.view
    for identity in known.metadata.identities:
        emulated = emulated_of(view, identity, known.rows)
        fast = twin_of(view, identity.vif, known.rows, identity)
        yield IdentityView(
            domain=view.domain.name,
            domain_uuid=view.domain.uuid,
            alias=identity.alias,
            vif=identity.vif,
            live=emulated.live is not None,
            config=emulated.config is not None,
            vif_live=fast.live is not None,
            vif_config=fast.config is not None,
            is_out=identity.is_out and is_out(view, identity, known.rows),
            live_element=identity.live,
            config_element=identity.config,
        )
