"""What callers ask of a domain's metadata: show and forget identities of emulated NICs; set, clear and explain policies, and a host's default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from virtnetplug.errors import (
    DomainMissing,
    IdentityMissing,
    NicMissing,
    NotSupported,
    Refused,
    UsageError,
    VirtnetplugError,
    call,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.change.remembering import FORGET, POLICY, PolicyChange, amend, halves_of, name_of
from virtnetplug.hotplug.check.reserved import unsettled
from virtnetplug.hotplug.engine.prepared import refuse
from virtnetplug.hotplug.identity import enforcement, handback, handover
from virtnetplug.hotplug.identity.known import KnownDomain, candidates, stranger, twins_of, why_not
from virtnetplug.hotplug.look.find import find
from virtnetplug.hotplug.look.recognition import emulated_of, is_out, twin_of
from virtnetplug.hotplug.look.view import DomainView, describe
from virtnetplug.model.identity import CandidateView, DomainMetadata, Identity, IdentityView, PolicyView, UnplugPolicy
from virtnetplug.model.operation import Outcome, Result
from virtnetplug.policy.forced_unplug import parse
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


def asked(unplug: UnplugPolicy | None, force_unplug: str | None) -> UnplugPolicy | None:
    """The unplug policy that a caller named in one of two ways. Raises what `parse` raises."""
    if force_unplug is None:
        return unplug
    if unplug is not None:
        raise UsageError("`force_unplug='NICS'` is `unplug='present'`: use one of them")
    return parse(force_unplug)


def set_policy(
    host: Host,
    domain: Domain,
    lock: Lock,
    *,
    unplug: UnplugPolicy | None = None,
    serve: Sequence[str] | None = None,
) -> Outcome:
    """Write the policy into the domain's metadata. From then on its changes are due (`enforcement`). The domain's lock is held.

    `serve` names the NICs of a group, of which one serves. The group replaces every group that has one of these NICs.
    """
    if unplug is None and serve is None:
        raise UsageError("name the policy: `unplug`, `force_unplug='NICS'` or `serve`")
    known = KnownDomain.of(host, domain)
    after = known.metadata if unplug is None else replace(known.metadata, unplug=unplug)
    return _change(known, lock, after if serve is None else _with_group(known.view, after, serve))


def clear_policy(host: Host, domain: Domain, lock: Lock, *, unplug: bool = True, serve: bool = True) -> Outcome:
    """Delete the policy of unplugging, the groups, or both. The host's default holds again, and no link is held down."""
    known = KnownDomain.of(host, domain)
    after = replace(known.metadata, unplug=None) if unplug else known.metadata
    return _change(known, lock, replace(after, activation=()) if serve else after)


def set_host_policy(host: Host, unplug: UnplugPolicy) -> Outcome:
    """Set the default for domains without a policy. Guests that run get it with their next operation, or by `recover`."""
    if host.journal.host_policy() is unplug:
        message = f"the host's unplug policy is {unplug} already; nothing was changed"
        return Outcome(operation=POLICY, domain="", result=Result.ALREADY, reason="already", message=message)
    host.journal.set_host_policy(unplug)
    message = f"the host's unplug policy is {unplug}; `recover()` applies it to the guests that run now"
    return Outcome(operation=POLICY, domain="", result=Result.DONE, message=message)


def explain_policy(host: Host, domain: Domain) -> PolicyView:
    """What every policy wants of the domain as it is now, and why. Nothing is touched."""
    known = KnownDomain.of(host, domain)
    return PolicyView(
        domain=domain.name,
        unplug=known.policy,
        own=known.metadata.unplug,
        host=host.journal.host_policy(),
        twins=tuple(twin.view for twin in twins_of(known)),
        groups=tuple(tuple(_explained_group(known, group)) for group in known.metadata.activation),
    )


def _explained_group(known: KnownDomain, group: Sequence[str]) -> Iterator[CandidateView]:
    for each in candidates(known, group):
        yield each if each.is_held else replace(each, obstacle="")
    for alias in group:
        if why := why_not(known, alias):
            yield CandidateView(alias=alias, why=why)


def _change(known: KnownDomain, lock: Lock, after: DomainMetadata) -> Outcome:
    host, view, before, name = known.host, known.view, known.metadata, known.view.domain.name
    then = KnownDomain(host, view, after)
    if after == before:
        return Outcome(
            operation=POLICY,
            domain=name,
            result=Result.ALREADY,
            reason="already",
            message=f"{_summary(name, after)} already; nothing was changed",
            warnings=tuple(_left(then)),
        )
    loose = set[str]().union(*before.activation).difference(*after.activation).intersection(known.nets)
    released = enforcement.release(host, view.domain, lock, loose) if loose else []
    try:
        change = PolicyChange(before=before, after=after, halves=halves_of(view))
        outcome = amend(host, view, POLICY, _summary(name, after), change)
    except VirtnetplugError:
        if released:
            enforcement.restore(host, view.domain, lock)
        raise
    until = [] if view.state.persistent else [f"domain {name} is transient: this is kept for as long as it runs"]
    return enforcement.telling(outcome, released, (*until, *_left(then)))


def _left(known: KnownDomain) -> Iterator[str]:
    """A sentence for each NIC that has only the alias of a NIC of a policy: no policy is applied to it."""
    if known.policy is not UnplugPolicy.KEEP:
        for twin in twins_of(known):
            yield from (f"{text}: no policy is applied to it" for text in twin.others)
    for name in known.nets:
        if any(name in group for group in known.metadata.activation) and (text := stranger(known, name)):
            yield f"{text}: its link is left as it is"


def _summary(name: str, metadata: DomainMetadata) -> str:
    parts = [] if metadata.unplug is None else [f"unplug {metadata.unplug}"]
    parts += [f"one of {', '.join(group)} serves" for group in metadata.activation]
    return f"policy of {name}: {'; '.join(parts) or 'the default of the host'}"


def _with_group(view: DomainView, metadata: DomainMetadata, names: Sequence[str]) -> DomainMetadata:
    group = tuple(_lasting_name(view, name) for name in names)
    if len(group) < 2 or len(set(group)) < len(group):
        raise UsageError("`serve` takes at least two NICs, each once, of which one is to serve")
    if any(set(each) == set(group) for each in metadata.activation):
        return metadata
    others = tuple(each for each in metadata.activation if not set(each).intersection(group))
    return replace(metadata, activation=(*others, group))


def _lasting_name(view: DomainView, name: str) -> str:
    """The lasting name of a NIC of a group. The NIC is there, or it is an alias of a NIC that comes later."""
    try:
        net = find(view, name).net
    except NicMissing:
        if name.startswith("ua-"):
            return name
        raise
    if net.teaming is not None:
        raise NotSupported(
            f"{describe(net)} is half of a teaming pair, and which half serves is the guest's own choice. A half whose link is held down "
            "could not take over. Leave it out."
        )
    return name_of(net)
