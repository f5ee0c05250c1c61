"""A backend that does nothing: the worked example of the contract, and a stand-in for tests."""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug.backends import Ground, Order, Steps
from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Phase, Refusal
from virtnetplug.ports.domain import Domain


class Noop:
    """Serves one actual type, given at its making, and leaves the host alone."""

    plug_steps: Sequence[tuple[str, Phase]] = (("prepare", Phase.PLUG),)
    attach_step = "attach"
    release_step = "forget"

    def __init__(self, actual_type: str) -> None:
        self._actual_type = actual_type

    def serves(self, actual: ActualDevice) -> bool:
        """Decide by the actual device alone: it is asked for every NIC."""
        return actual.type == self._actual_type

    def refusals(
        self, ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None = None
    ) -> Sequence[Refusal]:
        """Look, and say everything that is wrong at once. Change nothing."""
        return ()

    def plug(self, ground: Ground, order: Order, steps: Steps) -> Interface:
        """Every effect is one `steps.effect` named in `plug_steps`; `unplug` undoes it, however far it got."""
        steps.effect("prepare", order.net.alias or "", lambda: None)
        return order.net

    def unplug(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[str]:
        """Called again after a crash, perhaps for something never plugged: look first, then give back."""
        return ()

    def probe(self, ground: Ground, net: Interface) -> State | None:
        """Evidence only; what cannot be seen is None."""
        return None
