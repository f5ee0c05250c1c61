"""The policies of a domain, or a host's default: set, cleared, explained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from virtnetplug.errors import NicMissing, NotSupported, UsageError, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import DomainLock
from virtnetplug.hotplug.change.amendment import POLICY, Amendment, amend
from virtnetplug.hotplug.identity import enforcement
from virtnetplug.hotplug.identity.serving import by_name, contenders, freed
from virtnetplug.hotplug.identity.twins import NOWHERE, policy_of, twins_of
from virtnetplug.hotplug.look.find import find
from virtnetplug.hotplug.look.recognition import plugged_rows, strange_members
from virtnetplug.hotplug.look.view import BOTH, DomainView, describe, look
from virtnetplug.hotplug.plug.remembering import PolicyChange, halves_of, metadata_of, name_of
from virtnetplug.model.identity import CandidateView, DomainMetadata, PolicyView, TwinView, UnplugPolicy
from virtnetplug.model.operation import Half, Outcome, Result
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
    lock: DomainLock,
    *,
    unplug: UnplugPolicy | None = None,
    serve: Sequence[str] | None = None,
) -> Outcome:
    """Write the policy into the domain's metadata. From then on its changes are due (`enforcement`). The domain's lock is held.

    `serve` names the NICs of a group, of which one is to serve; a group that has one of them already is replaced by it.
    """
    if unplug is None and serve is None:
        raise UsageError("name the policy: `unplug`, `force_unplug='NICS'` or `serve`")
    view = look(domain, BOTH)
    before = after = metadata_of(view)
    if unplug is not None:
        after = dataclasses.replace(after, unplug=unplug)
    if serve is not None:
        after = _with_group(view, after, serve)
    return _change(host, view, lock, before, after)


def clear_policy(host: Host, domain: Domain, lock: DomainLock, *, unplug: bool = True, serve: bool = True) -> Outcome:
    """Delete the policy of unplugging, the groups, or both. The host's default holds again, and no link is held down."""
    view = look(domain, BOTH)
    before = metadata_of(view)
    after = dataclasses.replace(
        before, unplug=None if unplug else before.unplug, activation=() if serve else before.activation
    )
    return _change(host, view, lock, before, after)


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
    view = look(domain, BOTH)
    metadata = metadata_of(view)
    return PolicyView(
        domain=domain.name,
        unplug=policy_of(host, metadata),
        own=metadata.unplug,
        host=host.journal.host_policy(),
        twins=tuple(
            TwinView(
                alias=twin.known.alias,
                vif=twin.known.vif,
                is_there=twin.emulated != NOWHERE,
                is_connected=twin.is_connected,
                unplug_live=twin.decision.unplug_live and Half.LIVE not in twin.others_in,
                unplug_config=twin.decision.unplug_config and Half.CONFIG not in twin.others_in,
                why="; ".join((twin.decision.why, *twin.others)),
            )
            for twin in twins_of(host, view, metadata)
        ),
        groups=tuple(tuple(_explained(host, view, group)) for group in metadata.activation),
    )


def _change(host: Host, view: DomainView, lock: DomainLock, before: DomainMetadata, after: DomainMetadata) -> Outcome:
    domain = view.domain
    if after == before:
        return Outcome(
            operation=POLICY,
            domain=domain.name,
            result=Result.ALREADY,
            reason="already",
            message=f"{_told(domain, after)} already; nothing was changed",
            warnings=tuple(_left(host, view, after)),
        )
    change = PolicyChange(before=before, after=after, halves=halves_of(view))
    loose = [name_of(net) for net in freed(view, before, after)]
    released = enforcement.release(host, domain, lock, loose) if loose else ()
    try:
        outcome = amend(host, view, Amendment(operation=POLICY, message=_told(domain, after), policies=change))
    except VirtnetplugError:
        if released:
            enforcement.restore(host, domain, lock)
        raise
    return enforcement.telling(outcome, released, (*_transient(view), *_left(host, view, after)))


def _transient(view: DomainView) -> Sequence[str]:
    if view.state.persistent:
        return ()
    return (f"domain {view.domain.name} is transient: this is kept for as long as it runs",)


def _left(host: Host, view: DomainView, metadata: DomainMetadata) -> Iterator[str]:
    """A sentence for each NIC that has only the alias of a NIC of a policy: no policy is applied to it."""
    if policy_of(host, metadata) is not UnplugPolicy.KEEP:
        for twin in twins_of(host, view, metadata):
            yield from (f"{text}: no policy is applied to it" for text in twin.others)
    for text in strange_members(view, metadata, plugged_rows(host, view)).values():
        yield f"{text}: its link is left as it is"


def _told(domain: Domain, said: DomainMetadata) -> str:
    parts = [] if said.unplug is None else [f"unplug {said.unplug}"]
    parts += [f"one of {', '.join(group)} serves" for group in said.activation]
    return f"policy of {domain.name}: {'; '.join(parts) or 'the default of the host'}"


def _with_group(view: DomainView, metadata: DomainMetadata, names: Sequence[str]) -> DomainMetadata:
    group = tuple(_named(view, name) for name in names)
    if len(group) < 2 or len(set(group)) < len(group):
        raise UsageError("`serve` takes at least two NICs, each once, of which one is to serve")
    others = tuple(one for one in metadata.activation if not set(one).intersection(group) or set(one) == set(group))
    if any(set(one) == set(group) for one in others):
        return metadata
    return dataclasses.replace(metadata, activation=(*others, group))


def _named(view: DomainView, name: str) -> str:
    """The lasting name of a NIC of a group. The NIC is there, or it is an alias of a NIC that comes later."""
    try:
        pair = find(view, name)
    except NicMissing:
        if name.startswith("ua-"):
            return name
        raise
    net = pair.net
    assert net is not None
    if net.teaming is not None:
        raise NotSupported(
            f"{describe(net)} is half of a teaming pair, and which half serves is the guest's own choice. A half whose link is held down "
            "could not take over. Leave it out."
        )
    return name_of(net)


def _explained(host: Host, view: DomainView, group: Sequence[str]) -> Iterator[CandidateView]:
    found = contenders(host, view, group)
    for each in found:
        candidate = each.ranked.candidate
        yield CandidateView(
            alias=candidate.alias,
            device=candidate.vendor_device,
            address=candidate.address,
            rank=each.ranked.rank,
            why=each.ranked.why,
            link_state="up" if each.is_up else "down",
            is_held=not each.serves,
            obstacle="" if each.serves else each.obstacle,
        )
    there, others = by_name(view), strange_members(view, metadata_of(view), plugged_rows(host, view))
    for alias in group:
        if alias not in [each.ranked.candidate.alias for each in found]:
            yield CandidateView(alias=alias, why=others.get(alias) or _absent(alias in there, view, alias))


def _absent(is_there: bool, view: DomainView, alias: str) -> str:
    if not is_there:
        return "the guest does not have it" if view.live is not None else "the guest does not run"
    if by_name(view)[alias].teaming is not None:
        return "it is half of a teaming pair, and which half serves is the guest's own choice"
    return "the guest has been asked to let go of it"
