"""Undoing effects, in the process that made them or in a process that recovers after its death.

Each function makes a state so, whatever was before: gone, there, as it was. Running one twice does what running it once does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from virtnetplug import xml
from virtnetplug.errors import (
    DeviceMissing,
    DomainMissing,
    DomainTransient,
    Failed,
    GuestBusy,
    VirtnetplugError,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.look.view import describe, is_alike
from virtnetplug.model.interface import Interface, is_lasting
from virtnetplug.model.operation import Half
from virtnetplug.model.run import Run
from virtnetplug.ports.domain import Domain


class StillHeld(Failed):
    """The guest was asked and has not let go; only waiting longer helps."""

    reason = "pending"


class WaitsForUndo(Failed):
    """An undo that waits for another one, which failed: the failure of that one is what is reported."""


def causes_of(failures: Sequence[VirtnetplugError]) -> Sequence[VirtnetplugError]:
    """The failed undos that did not fail because of another failed undo."""
    return [error for error in failures if not isinstance(error, WaitsForUndo)] or failures


def take_out(
    host: Host, domain: Domain, net: Interface, seconds: float, *, run: Run, was_asked: bool = False
) -> guest.Answer:
    """Make `net` absent from the guest, whether it got in wholly, partly or not at all; `StillHeld` if the guest keeps it.

    A NIC of its alias that has another MAC is somebody else's, and stays. Returns whether it is gone, or the run has ended.
    """
    domain.await_idle()
    try:
        answer = guest.withdraw(host, domain, net, seconds, run=run, was_asked=was_asked)
    except GuestBusy as busy:
        raise StillHeld(f"the guest's slot stayed busy ({busy.message})") from None
    if answer is guest.Answer.HELD:
        raise StillHeld(f"the guest still has {describe(net)}; it was asked to let go, and still may")
    return answer


def undefine(domain: Domain, alias: str) -> None:
    """Make `alias` absent from the definition."""
    try:
        domain.detach(alias, Half.CONFIG)
    except (DeviceMissing, DomainMissing, DomainTransient):
        return


def define(domain: Domain, element: str) -> None:
    """Make the definition have `element`, which is a config element as libvirt gave it."""
    if not is_defined(domain, xml.interface(element)):
        domain.attach(element, Half.CONFIG)


def is_defined(domain: Domain, net: Interface) -> bool:
    """Whether the definition has the NIC, and not another of its alias."""
    now = config_net(domain, net)
    return now is not None and (None in (now.mac, net.mac) or now.mac == net.mac)


def remove_from_config(domain: Domain, net: Interface) -> None:
    """Make a NIC of the definition absent, by alias where it has one that lasts, else by its element.

    A NIC of its alias that has another MAC is somebody else's, and stays.
    """
    now = config_net(domain, net)
    if now is None or not is_defined(domain, net):
        return
    if now.alias is not None:
        undefine(domain, now.alias)
        return
    try:
        domain.detach_element(now.element)  # whole, so that libvirt compares its MAC and address once more
    except (DeviceMissing, DomainMissing, DomainTransient):
        return


def change(domain: Domain, now: Interface | None, before: str, after: str) -> None:
    """Do to the guest's NIC, which is as `now` says, what makes `after` of `before`, in place. What somebody else has changed since stays."""
    wanted = None if now is None else xml.merged(now.element, before, after)
    if now is not None and wanted is not None and wanted != now.element:
        domain.update(xml.strip_live(wanted), Half.LIVE)


def rewrite(domain: Domain, old: Interface, new: Interface, *, is_one: bool = True) -> None:
    """Make the definition have `new` where it has `old`. A config update replaces the whole element, and finds it by MAC.

    If both are of one NIC (`is_one`), what somebody else has changed of it since stays. Otherwise the alias tells which of the two the definition has:
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
    elif now.mac == new.mac:
        if now.alias is not None and new.alias not in (None, now.alias):  # libvirt compares those that both have
            domain.update(xml.edit(new.element, {"alias": None}), Half.CONFIG)
        domain.update(new.element, Half.CONFIG)
    else:
        remove_from_config(domain, now)
        domain.attach(new.element, Half.CONFIG)


def standing(domain: Domain, *ones: Interface) -> Interface | None:
    """The first of these elements that the definition has; also without its alias, as a rewrite leaves it that died between its two calls."""
    found = (config_net(domain, one) for one in ones if is_defined(domain, one))
    if (now := next(found, None)) is not None:
        return now
    unnamed = (config_net(domain, dataclasses.replace(one, alias=None)) for one in ones)
    return next((now for now, one in zip(unnamed, ones, strict=True) if now is not None and is_alike(now, one)), None)


def config_net(domain: Domain, like: Interface) -> Interface | None:
    """The definition's net with the same alias. If the alias does not last: a net without alias that has the same MAC, preferably all the same."""
    try:
        nets = xml.devices(domain.xml(Half.CONFIG)).nets
    except (DomainTransient, DomainMissing):
        return None
    if is_lasting(like.alias):
        return next((net for net in nets if net.alias == like.alias), None)
    named = [net for net in nets if net.alias is None and net.mac is not None and net.mac == like.mac]
    if like.address is not None:  # the places distinguish two NICs of one MAC
        named = [net for net in named if net.address in (None, like.address)]
    return next((net for net in named if is_alike(net, like)), named[0] if named else None)
