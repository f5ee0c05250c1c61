"""A change of the domain's metadata, and of nothing else, as an operation: journaled, and undone whole, also after a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.engine.operation import LIST, OBJECT, OBJECT_OR_NOTHING, REMEMBERED, Operation, Shape, Site
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, plan_steps, record_of, transaction
from virtnetplug.hotplug.look.view import DomainView
from virtnetplug.hotplug.plug.remembering import (
    PolicyChange,
    Remembered,
    halves_of,
    remember,
    set_policies,
    steps_remembering,
    unset_policies,
)
from virtnetplug.hotplug.plug.undoing import of_remembering
from virtnetplug.model.operation import Half, OperationState, Outcome, Phase, Result, Scope

REMEMBER, FORGET, POLICY = "remember", "forget", "policy"
"""What the journal calls an amendment, by what it changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What is to be kept from now on; `operation` is `REMEMBER`, `FORGET` or `POLICY`, `message` says to people what came of it."""

    operation: str
    message: str
    remembered: tuple[Remembered, ...] = ()
    policies: PolicyChange | None = None


def amend(host: Host, view: DomainView, amendment: Amendment) -> Outcome:
    """Write it into all definitions; the domain's lock is held."""
    domain, halves = view.domain, halves_of(view)
    parts = steps_remembering(amendment.remembered)
    parts += [("set_policy", "", Phase.ALLOCATE, None)] if amendment.policies is not None else []
    request: dict[str, Any] = {
        "nics": [],
        "remembered": [each.request for each in amendment.remembered],
        "policies": None if amendment.policies is None else amendment.policies.request,
    }
    record = record_of(
        host,
        amendment.operation,
        domain,
        run=view.run,
        scope=Scope.BOTH if len(halves) > 1 else Scope((*halves, Half.LIVE)[0].value),
        device_types=["none"],
        request=request,
        steps=plan_steps(*parts),
    )
    site = Site(host=host, domain=domain, run=view.run)
    with transaction(host, record, partial(undos, site)) as tx:
        remember(domain, tx, request["remembered"])
        if request["policies"] is not None:
            set_policies(domain, tx, request["policies"])
        tx.finish(OperationState.DONE, Result.DONE)
        return tx.outcome(Result.DONE, message=amendment.message)


def undos(site: Site, tx: Transaction) -> Undos:
    """What undoes it."""
    request = tx.record.request
    found: dict[tuple[str, str], Any] = dict(of_remembering(site, tx, request["remembered"]))
    if request["policies"] is not None:
        found["set_policy", ""] = partial(unset_policies, site.domain, request["policies"])
    return found


class Amending(Operation):
    """A change of metadata that never ended is undone."""

    request: ClassVar[Shape] = {"nics": LIST, "remembered": LIST, "policies": OBJECT_OR_NOTHING}
    entries: ClassVar[Mapping[str, Shape]] = {
        "remembered": REMEMBERED,
        "policies": {"halves": LIST, "before": OBJECT, "after": OBJECT},
    }

    undos = staticmethod(undos)


OPERATION = Amending
