"""A change of the domain's metadata, and of nothing else, as an operation: journaled, and undone whole, also after a crash."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.engine.operation import LIST, OBJECT, OBJECT_OR_NOTHING, REMEMBERED, Operation, Shape, Site
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, plan_steps, record_of, transaction
from virtnetplug.hotplug.look.view import DomainView
from virtnetplug.hotplug.plug.remembering import PolicyChange, Remembered, halves_of, make, steps_remembering, undo
from virtnetplug.hotplug.plug.undoing import of_remembering
from virtnetplug.model.operation import Half, OperationState, Outcome, Result, Scope

REMEMBER, FORGET, POLICY = "remember", "forget", "policy"
"""What the journal calls an amendment, by what it changes."""


def amend(host: Host, view: DomainView, operation: str, message: str, change: Remembered | PolicyChange) -> Outcome:
    """Write the change into all definitions. `operation` is `REMEMBER`, `FORGET` or `POLICY`. The caller holds the domain's lock."""
    is_policy = isinstance(change, PolicyChange)
    halves = halves_of(view)
    record = record_of(
        host,
        operation,
        view.domain,
        run=view.run,
        scope=Scope.BOTH if len(halves) > 1 else Scope((*halves, Half.LIVE)[0].value),
        device_types=["none"],
        request={
            "nics": [],
            "remembered": [] if is_policy else [change.request],
            "policies": change.request if is_policy else None,
        },
        steps=plan_steps(*steps_remembering([change])),
    )
    site = Site(host=host, domain=view.domain, run=view.run)
    with transaction(host, record, partial(Amending.undos, site)) as tx:
        make(view.domain, tx, change)
        tx.finish(OperationState.DONE, Result.DONE)
        return tx.outcome(Result.DONE, message=message)


class Amending(Operation):
    """A change of metadata that never ended is undone."""

    request: ClassVar[Shape] = {"nics": LIST, "remembered": LIST, "policies": OBJECT_OR_NOTHING}
    entries: ClassVar[Mapping[str, Shape]] = {
        "remembered": REMEMBERED,
        "policies": {"halves": LIST, "before": OBJECT, "after": OBJECT},
    }

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        """The undos of an amendment, by step."""
        request = tx.record.request
        found: dict[tuple[str, str], Any] = dict(of_remembering(site, tx, request["remembered"]))
        if request["policies"] is not None:
            change = PolicyChange.from_request(request["policies"])
            found[change.step, change.name] = partial(undo, site.domain, change)
        return found
