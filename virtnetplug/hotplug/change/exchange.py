"""An exchange: NICs of a guest and of its definition leave and others come in their place, with what is remembered of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from virtnetplug.backends import NO_CHOICE, Choice, backend_for
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.engine.transaction import plan_steps
from virtnetplug.hotplug.look.view import name_in_config
from virtnetplug.hotplug.plug.plugging import Part, parts
from virtnetplug.hotplug.plug.release import steps_out
from virtnetplug.hotplug.plug.remembering import Remembered
from virtnetplug.hotplug.plug.replacement import actual_of
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase, Scope, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The NICs that leave and that come, in order, in each definition. Every net that comes to the guest has a ``ua-`` alias and a MAC.

    `choice` says which host device the NIC that comes gets. `remembered` is what the domain's metadata will have from now on.
    """

    operation: str
    leaving: tuple[Interface, ...] = ()
    entering: tuple[Interface, ...] = ()
    config_leaving: tuple[Interface, ...] = ()
    config_entering: tuple[Interface, ...] = ()
    choice: Choice = NO_CHOICE
    remembered: tuple[Remembered, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def scope(self) -> Scope:
        """The definitions it touches."""
        if not (self.config_leaving or self.config_entering):
            return Scope.LIVE
        return Scope.BOTH if self.leaving or self.entering else Scope.CONFIG


def steps_of(host: Host, exchange: Exchange) -> tuple[Step, ...]:
    """Its steps, for plans and the journal."""
    found: list[Part] = [("remember", each.name, Phase.ALLOCATE, None) for each in exchange.remembered]
    for net in exchange.leaving:
        found += steps_out(net, net.alias or "")
    for net in exchange.entering:
        backend = backend_for(actual_of(host, net))
        found += parts(backend, net.alias or "", backend.settings_of(net))
        found += [("confirm", net.alias or "", Phase.PLUG, Half.LIVE)]
    replaced = [predecessor(net, exchange.config_leaving) for net in exchange.config_entering]
    gone = [net for net in exchange.config_leaving if net not in replaced]
    found += [("undefine", name_in_config(net), Phase.UNPLUG, Half.CONFIG) for net in gone]
    found += [("define", name_in_config(net), Phase.PLUG, Half.CONFIG) for net in exchange.config_entering]
    return plan_steps(*found)


def predecessor(net: Interface, leaving: Sequence[Interface]) -> Interface | None:
    """The NIC of those that leave the definition whose place in it `net` takes: libvirt updates the element of one MAC and guest address.

    An element that is updated keeps its place among the others, which is lost when it leaves and another one comes.
    """
    for each in leaving:
        if (
            each.mac is not None
            and each.mac == net.mac
            and (None in (each.address, net.address) or each.address == net.address)
        ):
            return each
    return None
