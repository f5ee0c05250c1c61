"""The policies of a domain, or a host's default: set, cleared, explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from virtnetplug.errors import NicMissing, NotSupported, UsageError, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.change.remembering import POLICY, PolicyChange, amend, halves_of, name_of
from virtnetplug.hotplug.identity import enforcement
from virtnetplug.hotplug.identity.known import KnownDomain
from virtnetplug.hotplug.identity.serving import candidates, stranger, twins_of, why_not
from virtnetplug.hotplug.look.find import find
from virtnetplug.hotplug.look.view import DomainView, describe
from virtnetplug.model.identity import CandidateView, DomainMetadata, PolicyView, UnplugPolicy
from virtnetplug.model.operation import Outcome, Result
from virtnetplug.policy.forced_unplug import parse
from virtnetplug.ports.domain import Domain


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
