"""A backend that does nothing: the worked example of the contract, and a stand-in for tests."""

from __future__ import annotations

from virtnetplug.backends import Backend, Ground, Order, Steps
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Phase


class Noop(Backend):
    """Serves one actual type, given at its making, and leaves the host alone.

    Override `refusals`, `unplug` and `probe`, too, where the kind has something to refuse, to release or to show.
    """

    plug_steps = (("prepare", Phase.PLUG),)
    attach_step = "attach"
    release_step = "forget"

    def __init__(self, actual_type: str) -> None:
        self._actual_type = actual_type

    def serves(self, actual: ActualDevice) -> bool:
        """Decide by the actual device alone: this question is asked of every NIC."""
        return actual.type == self._actual_type

    def plug(self, ground: Ground, order: Order, steps: Steps) -> Interface:
        """Every effect is one `steps.effect` named in `plug_steps`; `unplug` undoes all of them, however far they got."""
        steps.effect("prepare", order.net.alias or "", lambda: None)
        return order.net
