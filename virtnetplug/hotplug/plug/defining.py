"""NICs of a definition: how a step's change of the definition is undone, and in which order the NICs are there.

libvirt appends what is attached. The order counts at the next boot: it says which NIC is ``net0``, and from which NIC a guest without a boot order
boots. So a NIC that an undo restores gets its old place.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from virtnetplug import xml
from virtnetplug.backends import are_lent
from virtnetplug.errors import ConnectionLost, DomainMissing, DomainTransient, VirtnetplugError
from virtnetplug.hotplug.check.reserved import expect_free
from virtnetplug.hotplug.engine.operation import Site
from virtnetplug.hotplug.engine.transaction import Transaction, Undos
from virtnetplug.hotplug.guest.definition import (
    config_net,
    define,
    is_defined,
    remove_from_config,
    rewrite,
    standing,
    takes_out,
)
from virtnetplug.hotplug.look.view import DomainView, describe, has_source_of, name_in_config
from virtnetplug.hotplug.plug.last_seen import DEFINED, as_defined, pass_on
from virtnetplug.model.interface import Interface, known_as
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Domain

ORDER = "order"
"""Key of a request: the NICs of the definition before the operation, by name."""

MOVED = "moved"
"""Key of a request: the elements of the NICs that are out of the definition to be moved."""


def order_of(view: DomainView) -> list[str]:
    """The names of the NICs of the definition, in their order; for the request of an operation that takes a NIC out of the definition."""
    return [_name(net) for net in view.config.nets] if view.config is not None else []


def of_undefine(site: Site, tx: Transaction, name: str, before: Interface) -> Undos:
    """Undo the step that took a NIC out of the definition: the NIC is there again, in its place among the others."""

    def restore() -> None:
        net = as_defined(tx.record.request, name, before)
        for moved in tx.record.request.get(MOVED) or ():  # by a move that was cut off
            define(site.domain, moved)
        expect_place(site.domain, tx, net)
        define(site.domain, net.element)
        _put_in_place(site.domain, tx, net)

    return {("undefine", name): restore}


def of_define(site: Site, tx: Transaction, name: str, net: Interface) -> Undos:
    """Undo the step that put a NIC into the definition."""
    return {("define", name): partial(remove_unless_moved, site.domain, tx, net)}


def remove_unless_moved(domain: Domain, tx: Transaction, net: Interface) -> bool:
    """Remove a NIC from the definition, unless somebody has connected it to something else (see `leaves`); whether it was removed."""
    is_left = leaves(tx, config_net(domain, net), net)
    if not is_left:
        remove_from_config(domain, net)
    return not is_left


def of_rewrite(
    site: Site,
    tx: Transaction,
    step: str,
    name: str,
    before: Interface,
    after: Interface,
    *,
    leaving: Mapping[str, str] | None = None,
) -> Undos:
    """Undo the step that replaced one element of the definition by another, in its place.

    Without `leaving`, both elements are of one NIC, which the step did not take out. `leaving` has the elements of the NICs that are restored in the
    place of `after`, by their names in the steps. These NICs get what somebody has changed of `after` in the definition.
    """
    is_one = leaving is None

    def restore() -> None:
        now = standing(site.domain, after, before)
        if leaves(tx, now, before, after):
            if not is_one and not is_defined(site.domain, before):
                tx.warn(
                    f"{describe(before)}, whose MAC that NIC has, stays out of the definition of {tx.record.domain_name}"
                )
            return
        if now is None and is_one and not takes_out(before, after):
            warn_out(tx, name)
            return
        expect_free(site.domain, before, tx.record, Half.CONFIG, beside=() if now is None else (now,))
        if leaving is None:
            rewrite(site.domain, after, before)
            return
        if now is not None and now.alias == after.alias:
            pass_on(tx, DEFINED, leaving, after, now)
        rewrite(site.domain, after, as_defined(tx.record.request, name_in_config(before), before), is_one=False)

    return {(step, name): restore}


def expect_place(domain: Domain, tx: Transaction, net: Interface, before: Interface | None = None) -> None:
    """Raise `LeftPending` where the definition lacks the NIC, and somebody has its place (see `expect_free`). `before` is the NIC that it replaces."""
    if not is_defined(domain, net):
        beside = None if before is None else standing(domain, net, before)
        expect_free(domain, net, tx.record, Half.CONFIG, beside=() if beside is None else (beside,))


def leaves(tx: Transaction, now: Interface | None, *ours: Interface) -> bool:
    """Whether somebody has connected the NIC `now`, which may be one of `ours`, to something else: it is left as it is, with a warning."""
    if now is None or now.mac not in {one.mac for one in ours}:
        return False
    if any(has_source_of(now, one) or are_lent(now, one) for one in ours):
        return False
    tx.warn(
        f"{describe(now)} is connected to {now.source} by now, which this {tx.record.operation} did not do: it is left as it is"
    )
    return True


def warn_out(tx: Transaction, name: str) -> None:
    """Warn that the definition lacks the NIC `name`, and that the operation leaves the NIC out."""
    tx.warn(f"somebody has taken {name} out of the definition of {tx.record.domain_name} meanwhile: it stays out")


def _put_in_place(domain: Domain, tx: Transaction, net: Interface) -> None:
    """Move the NICs that follow `net` in the order of the request, and that precede it in the definition now, behind it.

    A move takes a NIC out of the definition and puts it in again; meanwhile its element is in the journal. Where libvirt takes no NIC out of the
    definition, the order stays as it is, with a warning.
    """
    order, name = tx.record.request.get(ORDER) or [], _name(net)
    if name not in order:
        return
    after = order[order.index(name) + 1 :]
    try:
        nets = xml.devices(domain.xml(Half.CONFIG)).nets
    except (DomainTransient, DomainMissing):
        nets = ()
    at = next((index for index, each in enumerate(nets) if _name(each) == name), 0)
    for each in nets[:at]:
        if _name(each) in after:
            tx.amend(**{MOVED: [each.element]})
            tx.flush()
            if not _is_out(domain, tx, each, name):
                break
            domain.attach(each.element, Half.CONFIG)
    if tx.record.request.get(MOVED):
        tx.amend(**{MOVED: []})


def _is_out(domain: Domain, tx: Transaction, net: Interface, name: str) -> bool:
    try:
        remove_from_config(domain, net)
    except ConnectionLost:
        raise
    except VirtnetplugError as error:
        define(domain, net.element)  # what failed may have been done all the same
        tx.warn(
            f"{name} is in the definition of {domain.name} again, and comes after {_name(net)} now: {error.message}"
        )
        return False
    return True


def _name(net: Interface) -> str:
    return net.alias or known_as(net.mac, net.address)
