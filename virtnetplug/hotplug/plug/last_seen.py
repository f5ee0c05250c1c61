"""What the journal keeps of a NIC while its operation is open: the element seen last, and the host end of a NIC that came.

An administrator may change a NIC, or take it out and put it in again, until the operation ends. A NIC that is restored, or that comes in the place of
another, has what was seen last. A change that nobody saw before the NIC left is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from virtnetplug import xml
from virtnetplug.backends import backend_of, updatable
from virtnetplug.errors import NicChanged, OperationTaken, VirtnetplugError
from virtnetplug.hotplug.engine.transaction import Transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.look.recognition import end_of
from virtnetplug.hotplug.look.view import DomainView, describe, has_source_of
from virtnetplug.model.interface import Interface
from virtnetplug.model.run import Run
from virtnetplug.policy.identity import retake
from virtnetplug.ports.domain import Domain
from virtnetplug.resolve import changes_by_hand

SEEN = "seen"
"""Key of a request: the live elements, as seen last, of the NICs that the guest was asked for, by their names in the steps."""

DEFINED = "defined"
"""Key of a request: the last elements of the NICs that the operation takes out of the definition, by their names in the steps."""

BESIDE = "beside"
"""Key of a request: the definition's elements, at the beginning, of NICs that only the guest is asked for; by the same names."""

ENDS = "ends"
"""Key of a request: the host ends (`end_of`) of the NICs that came, by alias."""

RETURNED = "returned"
"""Key of a request: the names of the NICs that an undo restores. Such a NIC has a new host end."""

_OF_EVERY_SOURCE = frozenset({"bandwidth_inbound", "bandwidth_outbound", "filterref"})
"""What only the type of a NIC decides whether it can have (see `retake`). A VLAN or an isolation also depends on the bridge."""


def see(domain: Domain, tx: Transaction, name: str, element: str, now: Interface, *, run: Run) -> None:
    """Keep in the journal how the NIC `name`, of which the request has `element`, is `now`.

    A NIC that is connected to something else is kept only where the process of the run is seen: else it may be another NIC.
    """
    if not tx.record.domain_uuid or now.element == as_seen(tx.record.request, name, element):
        return
    before = xml.interface(element)
    is_process = bool(run.process) and domain.process() == run.process
    if now.alias == before.alias and (has_source_of(now, before) or (is_process and backend_of(now).updatable)):
        _keep_element(tx, SEEN, name, now)


def as_seen(request: Mapping[str, Any], name: str, element: str) -> str:
    """The live element of the NIC `name` as it was seen last; `element` is what the request has.

    A NIC that may come at any address has no address in `element`.
    """
    seen = request.get(SEEN, {}).get(name)
    if seen is None:
        return element
    return seen if xml.interface(element).address is not None else xml.edit(seen, {"address": None})


def see_defined(tx: Transaction, name: str, before: Interface, now: Interface) -> None:
    """Keep in the journal how the definition has the NIC `name` just before it leaves; the request has `before`."""
    if now.element != as_defined(tx.record.request, name, before).element:
        _keep_element(tx, DEFINED, name, now)


def as_defined(request: Mapping[str, Any], name: str, net: Interface) -> Interface:
    """The NIC `name` as the definition had it when it left; `net` is what the request has."""
    kept = request.get(DEFINED, {}).get(name)
    return net if kept is None else xml.interface(kept)


def _keep_element(tx: Transaction, key: str, name: str, now: Interface) -> None:
    tx.amend(**{key: {**tx.record.request.get(key, {}), name: now.element}})


def pass_on(tx: Transaction, key: str, leaving: Mapping[str, str], came: Interface, now: Interface) -> None:
    """Keep for the NICs `leaving`, which an undo restores, what somebody has changed of the NIC that `came` in their place and is `now` so.

    `leaving` has the elements of the request by the names of the NICs in the steps; `key` is `SEEN` or `DEFINED`. A NIC that is connected to something
    else may not be able to have every change. A warning names the fields that it does not get.
    What was changed of an assigned device by hand is not passed on.
    """
    changes = {name: getattr(now, name) for name in changes_by_hand(came, now)}
    kept = dict(tx.record.request.get(key, {}))
    for name, element in leaving.items() if changes else ():
        net = xml.interface(kept.get(name, element))
        if not updatable(now, net):
            continue
        its = changes if has_source_of(net, now) else _fitting(came, now, net, changes)
        if lost := [field for field in changes if field not in its]:
            tx.warn(
                f"{', '.join(lost)} of {describe(now)} was changed meanwhile, and {describe(net)} does not have that"
            )
        kept[name] = xml.edit(net.element, its)
    if kept != tx.record.request.get(key, {}):
        tx.amend(**{key: kept})


def _fitting(came: Interface, now: Interface, net: Interface, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes that `net` can have, whatever it is connected to."""
    taken = retake(came, now, net, net.type).changes
    able = {"link_state", *(name for name in taken if name in _OF_EVERY_SOURCE)}
    return {name: value for name, value in changes.items() if name in able or value is None}


def beside(view: DomainView, names: Collection[str]) -> dict[str, dict[str, str]]:
    """For the request of an operation on live NICs alone: what the definition has of the NICs with these live aliases (see `warn_unseen`)."""
    both = [(nic.alias, nic.config.element) for nic in view.nics if nic.live is not None and nic.config is not None]
    found = {alias: element for alias, element in both if alias in names}
    return {BESIDE: found} if found else {}


def warn_unseen(tx: Transaction, name: str, before: Interface, now: Interface, live: Interface | None) -> None:
    """Warn of what somebody has changed of the NIC `name` in the definition, if `live`, the NIC that came, does not have it.

    The NIC that left may have had it.
    """
    changed = [field for field in xml.properties_of(now) if getattr(now, field) != getattr(before, field)]
    changed += [field for field in xml.properties_of(before) if getattr(now, field) is None]
    unseen = [field for field in changed if live is not None and getattr(live, field) != getattr(now, field)]
    if unseen:
        tx.warn(
            f"{', '.join(unseen)} of {name} was changed in the definition of {tx.record.domain_name} while the guest was waited for. "
            "If it was changed in the guest, too, that was not seen: the new NIC does not have it"
        )


def expect_same_source(tx: Transaction, name: str, element: str) -> None:
    """Raise `NicChanged`, which restores the NIC, where somebody connected it to something else before its guest let go of it."""
    before, now = xml.interface(element), xml.interface(as_seen(tx.record.request, name, element))
    if not has_source_of(now, before):
        raise NicChanged(
            f"{describe(now)} was connected to {now.source} while its guest was waited for, and the {tx.record.operation} began with it on {before.source}"
        )


def keep_end(tx: Transaction, net: Interface) -> None:
    """Keep the host end of a NIC that has come."""
    if end := end_of(net):
        tx.keep(**{ENDS: {**tx.record.request.get(ENDS, {}), net.alias or "": end}})


def end_that_came(tx: Transaction, net: Interface) -> str:
    """The host end that a NIC which comes has come with. Its element may name that of the NIC that it replaces."""
    end: str = tx.record.request.get(ENDS, {}).get(net.alias, "")
    return end


def keep_returned(tx: Transaction, name: str) -> None:
    """Keep that an undo restores the NIC, before it does. A journal that cannot be written does not keep the NIC out."""
    try:
        tx.amend(**{RETURNED: [*tx.record.request.get(RETURNED, ()), name]})
    except OperationTaken:
        raise
    except VirtnetplugError:
        return


def is_put_in(domain: Domain, tx: Transaction, name: str, now: Interface, end: str) -> bool:
    """Whether somebody has taken out the guest's NIC `name` of the steps, which had that host end, and attached `now` with its alias and MAC."""
    if name in tx.record.request.get(RETURNED, ()):
        return False
    return guest.is_another(domain, now, end, run=tx.record.run_asked)
