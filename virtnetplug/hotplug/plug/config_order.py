"""The order of the NICs in a definition: libvirt appends what is attached, and a restored NIC gets its old place.

The order counts at the next boot: it says which NIC is ``net0``, and which one a guest without a boot order boots from.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug import xml
from virtnetplug.errors import ConnectionLost, DomainMissing, DomainTransient, VirtnetplugError
from virtnetplug.hotplug.engine.transaction import Transaction
from virtnetplug.hotplug.guest.definition import define, remove_from_config
from virtnetplug.hotplug.look.view import DomainView
from virtnetplug.model.interface import Interface, known_as
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Domain

ORDER, MOVED = "order", "moved"
"""Keys of a request: the names of the definition's NICs before the operation; the elements that are out of the definition to be moved."""


def order_of(view: DomainView) -> list[str]:
    """The names of the NICs of the definition, in their order; for the request of an operation that takes one out."""
    return [_name(net) for net in view.config.nets] if view.config is not None else []


def put_in_place(domain: Domain, tx: Transaction, net: Interface) -> None:
    """Move the NICs that the request says come after `net` in the definition, and that come before it now, behind it.

    A move takes a NIC out of the definition and puts it in again. Its element is in the journal meanwhile: `restore_moved` finishes a move
    that was cut off. Where libvirt takes no NIC out of the definition, the order stays as it is, which a warning says.
    """
    order, name = tx.record.request.get(ORDER) or [], _name(net)
    if name not in order:
        return
    after = order[order.index(name) + 1 :]
    nets = _nets(domain)
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


def restore_moved(domain: Domain, tx: Transaction) -> None:
    """Put a NIC into the definition again that was being moved when the operation was cut off."""
    for element in tx.record.request.get(MOVED) or ():
        define(domain, element)


def _nets(domain: Domain) -> Sequence[Interface]:
    try:
        return xml.devices(domain.xml(Half.CONFIG)).nets
    except (DomainTransient, DomainMissing):
        return ()


def _name(net: Interface) -> str:
    return net.alias or known_as(net.mac, net.address)
