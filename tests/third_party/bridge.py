"""A backend that replaces one that virtnetplug has: bridges. It marks each bridge that a guest uses with an alias of the link."""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug.backends import Ground, Order, Steps
from virtnetplug.backends.emulated import Emulated
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase
from virtnetplug.ports.domain import Domain


class MarkedBridge(Emulated):
    """Actual type ``bridge``; nothing on the host is changed but what libvirt changes."""

    plug_steps = (("mark_bridge", Phase.PLUG),)
    attach_step = "attach_to_marked_bridge"
    release_step = "unmark_bridge"

    def serves(self, actual: ActualDevice) -> bool:
        """See `Backend.serves`."""
        return actual.type == "bridge"

    def plug(self, ground: Ground, order: Order, steps: Steps) -> Interface:
        """See `Backend.plug`."""
        steps.effect("mark_bridge", order.net.alias or "", lambda: None, half=Half.LIVE)
        return order.net

    def unplug(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[str]:
        """See `Backend.unplug`."""
        return (*super().unplug(ground, domain, net), f"{net.source_bridge} is not marked any more")


backend = MarkedBridge()
