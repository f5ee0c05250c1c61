"""What the definition of a domain is made to have: by an operation, by its undo, or by the process that recovers after it died.

Each function reaches a state, whatever was before: absent, there, as it was. A second call changes nothing.
"""

from __future__ import annotations

import dataclasses
from contextlib import suppress

from virtnetplug import xml
from virtnetplug.errors import DeviceMissing, DomainMissing, DomainTransient
from virtnetplug.hotplug.look.view import is_alike, nets_in
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Domain


def undefine(domain: Domain, alias: str) -> None:
    """Make `alias` absent from the definition."""
    with suppress(DeviceMissing, DomainMissing, DomainTransient):
        domain.detach(alias, Half.CONFIG)


def define(domain: Domain, element: str) -> None:
    """Make the definition have `element`, which is a config element as libvirt gave it."""
    if not is_defined(domain, xml.interface(element)):
        domain.attach(element, Half.CONFIG)


def is_defined(domain: Domain, net: Interface) -> bool:
    """Whether the definition has the NIC, and not another of its alias."""
    return defined(domain, net) is not None


def defined(domain: Domain, net: Interface) -> Interface | None:
    """The NIC as the definition has it; None if the definition does not have it, or has another NIC of its alias."""
    now = config_net(domain, net)
    return now if now is not None and (None in (now.mac, net.mac) or now.mac == net.mac) else None


def remove_from_config(domain: Domain, net: Interface) -> None:
    """Make a NIC of the definition absent, by alias where it has one that lasts, else by its element.

    A NIC of its alias that has another MAC is somebody else's, and stays.
    """
    now = defined(domain, net)
    if now is None:
        return
    if now.alias is not None:
        undefine(domain, now.alias)
        return
    with suppress(DeviceMissing, DomainMissing, DomainTransient):
        domain.detach_element(now.element)  # whole, so that libvirt compares its MAC and address once more


def change(domain: Domain, now: Interface | None, before: str, after: str) -> None:
    """Do to the guest's NIC, which is as `now` says, what makes `after` of `before`, in place. What somebody else has changed since stays."""
    wanted = None if now is None else xml.merged(now.element, before, after)
    if now is not None and wanted is not None and wanted != now.element:
        domain.update(xml.strip_live(wanted), Half.LIVE)


def rewrite(domain: Domain, old: Interface, new: Interface, *, is_one: bool = True) -> None:
    """Make the definition have `new` where it has `old`. A config update replaces the whole element, and finds it by MAC and guest address.

    If both are of one NIC (`is_one`), what somebody else has changed of it since stays. Otherwise the alias shows which of the two the definition has:
    `new` is left as it is.
    """
    now = standing(domain, new, old)
    if not is_one and now is not None and now.alias == new.alias != old.alias:
        return
    if is_one and now is not None:
        new = xml.interface(xml.merged(now.element, old.element, new.element))
    if now is None:
        domain.attach(new.element, Half.CONFIG)
    elif now.element == new.element:
        return
    elif not takes_out(now, new):
        if now.alias is not None and new.alias not in (None, now.alias):  # libvirt compares those that both have
            domain.update(xml.edit(new.element, {"alias": None}), Half.CONFIG)
        domain.update(new.element, Half.CONFIG)
    else:
        remove_from_config(domain, now)
        domain.attach(new.element, Half.CONFIG)


def takes_out(old: Interface, new: Interface) -> bool:
    """Whether a rewrite of `old` to `new` removes the element and attaches another. libvirt's update does not find `old` then (``virDomainNetFindIdx``)."""
    return old.mac != new.mac or (None not in (old.address, new.address) and old.address != new.address)


def standing(domain: Domain, *ones: Interface) -> Interface | None:
    """The first of these elements that the definition has; also without its alias, as a rewrite leaves it that died between its two calls."""
    found = (defined(domain, one) for one in ones)
    if (now := next(filter(None, found), None)) is not None:
        return now
    unnamed = ((config_net(domain, dataclasses.replace(one, alias=None)), one) for one in ones)
    return next((now for now, one in unnamed if now is not None and is_alike(now, one)), None)


def config_net(domain: Domain, like: Interface) -> Interface | None:
    """The definition's net with the same lasting alias.

    If `like` has no such alias: the net without alias that has the same MAC, best with all the same.
    """
    nets = nets_in(domain, Half.CONFIG)
    if is_lasting(like.alias):
        return next((net for net in nets if net.alias == like.alias), None)
    named = [net for net in nets if net.alias is None and net.mac is not None and net.mac == like.mac]
    if like.address is not None:  # two NICs of one MAC differ in their places
        named = [net for net in named if net.address in (None, like.address)]
    return next((net for net in named if is_alike(net, like)), named[0] if named else None)
