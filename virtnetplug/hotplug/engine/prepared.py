"""An operation on a domain that was just looked at: its refusals, its steps, and the function that runs them. Plan and run use this one object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from virtnetplug.errors import Refused, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.call.waiting import Work, to_end
from virtnetplug.hotplug.engine.migration import obstacles_after
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.operation import Nic, Outcome, Plan, Refusal, Result, Scope, Step

_RESULTS = {2: Result.REFUSED, 3: Result.REFUSED, 4: Result.UNDONE, 5: Result.INCOMPLETE, 75: Result.PENDING}
"""How an operation ended whose error has this exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What was seen and decided; nothing has been touched.

    `refusals` says everything that speaks against the operation; `run` raises them. `already` lists the NICs if there is nothing to do, and is None otherwise.
    `start` is given the lock and the seconds for which a guest is waited for; it runs `steps` and no others. `diff` gives a unified diff of each definition
    that changes.
    """

    operation: str
    domain: str
    scope: Scope
    start: Callable[[Any, float], Work]
    refusals: tuple[Refusal, ...] = ()
    already: Sequence[Nic] | None = None
    steps: tuple[Step, ...] = ()
    diff: Callable[[], dict[str, str]] = dict
    actual: tuple[ActualDevice, ...] = ()
    warnings: tuple[str, ...] = ()

    def run(self, host: Host, lock: Lock, seconds: float) -> Outcome:
        """Run the operation to its end, or raise the refusals. `lock` is held, and released while a guest is waited for."""
        return to_end(host, self.work(lock, seconds), lock)

    def work(self, lock: Lock, seconds: float) -> Work:
        """The operation as a generator that the caller drives: see `waiting`. The caller holds `lock` whenever it sends something."""
        refuse(self.refusals)
        if self.already is None:
            return (yield from self.start(lock, seconds))
        return Outcome(
            operation=self.operation,
            domain=self.domain,
            result=Result.ALREADY,
            reason="already",
            nics=tuple(self.already),
        )

    def plan(self) -> Plan:
        """What `run` would do."""
        is_so = self.already is not None and not self.refusals
        return Plan(
            operation=self.operation,
            domain=self.domain,
            scope=self.scope,
            fits=not self.refusals,
            refusals=self.refusals,
            steps=() if is_so else self.steps,
            diff={} if is_so else self.diff(),
            actual=self.actual,
            warnings=("already as asked; nothing would be changed",)
            if is_so
            else (*self.warnings, *obstacles_after(self.domain, self.steps)),
        )


def failure(operation: str, domain: str, error: VirtnetplugError) -> Outcome:
    """The outcome of an operation that raised `error`, for one who goes on with others."""
    result = _RESULTS.get(error.exit_code, Result.INCOMPLETE)
    return Outcome(operation=operation, domain=domain, result=result, reason=error.reason, message=error.message)


def refuse(refusals: Sequence[Refusal]) -> None:
    """Raise what speaks against the operation, all of it in one error of the first one's class and reason; nothing if nothing does."""
    if not refusals:
        return
    reason = refusals[0].reason
    kind = next((kind for kind in Refused.__subclasses__() if kind.reason == reason), Refused)
    raise kind(" Also: ".join(refusal.message for refusal in refusals), reason=reason)
