"""A backend that replaces a backend of virtnetplug: for bridges. It writes the alias of the last NIC that came to a bridge into the bridge's own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from functools import partial

from virtnetplug.backends import Ground, Order, Steps
from virtnetplug.backends.emulated import Emulated
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase
from virtnetplug.ports.domain import Domain


class MarkedBridge(Emulated):
    """Actual type ``bridge``."""

    run: Callable[[Sequence[str]], object] = staticmethod(partial(subprocess.run, check=True, capture_output=True))

    plug_steps = (("mark_bridge", Phase.PLUG),)
    attach_step = "attach_to_marked_bridge"
    release_step = "unmark_bridge"

    def serves(self, actual: ActualDevice) -> bool:
        """See `Backend.serves`."""
        return actual.type == "bridge"

    def plug(self, ground: Ground, order: Order, steps: Steps) -> Interface:
        """See `Backend.plug`."""
        alias = order.net.alias or ""
        steps.effect("mark_bridge", alias, lambda: self._mark(order.actual.bridge or "", alias), half=Half.LIVE)
        return order.net

    def unplug(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[str]:
        """See `Backend.unplug`."""
        self._mark(net.source_bridge or "", "")
        return super().unplug(ground, domain, net)

    def _mark(self, bridge: str, text: str) -> None:
        self.run(["ip", "link", "set", "dev", bridge, "alias", text])


backend = MarkedBridge()
