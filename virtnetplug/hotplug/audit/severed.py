"""NICs of running guests that are cut off, their tap or port not where their definition says: found, and healed one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from virtnetplug.errors import DomainMissing, DomainNotRunning, Interrupted, NicMissing, NotSupported, VirtnetplugError
from virtnetplug.hotplug.audit.disagreement import behind
from virtnetplug.hotplug.audit.survey import Survey, look_again, survey
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.change import heal
from virtnetplug.hotplug.engine.prepared import failure
from virtnetplug.model.operation import Outcome, Plan, Refusal, Scope
from virtnetplug.ports.domain import Domain

Place = tuple[str, str]
"""A domain's UUID, and its NIC by alias or MAC."""


Locked = Callable[[str], AbstractContextManager[tuple[Domain, Lock]]]

_GONE = (DomainMissing, DomainNotRunning, NicMissing)


def heal_severed(host: Host, locked: Locked, places: Sequence[Place]) -> tuple[Outcome, ...]:
    """Heal each NIC. The outcome of a NIC that cannot be healed says why; a NIC that went away meanwhile is left out."""
    outcomes = []
    for uuid, nic in places:
        try:
            with locked(uuid) as (domain, lock):
                outcomes.append(heal.Heal(nic).prepare(host, domain).run(host, lock, 0.0))
        except _GONE:
            continue
        except Interrupted:
            raise
        except VirtnetplugError as error:
            outcomes.append(failure(heal.NAME, host.hypervisor.domain(uuid).name, error))
    return tuple(outcomes)


def plan_heal_severed(host: Host, places: Sequence[Place]) -> tuple[Plan, ...]:
    """What `heal_severed` would do; nothing is touched."""
    plans = []
    for uuid, nic in places:
        try:
            plans.append(heal.Heal(nic).prepare(host, host.hypervisor.domain(uuid)).plan())
        except _GONE:
            continue
        except VirtnetplugError as error:
            name = host.hypervisor.domain(uuid).name
            refusals = (Refusal(reason=error.reason, message=error.message, nic=nic),)
            plans.append(Plan(operation=heal.NAME, domain=name, scope=Scope.LIVE, fits=False, refusals=refusals))
    return tuple(plans)


def severed(
    host: Host, domain: str | None = None, *, network: str | None = None, bridge: str | None = None
) -> tuple[Place, ...]:
    """The severed NICs of one domain or all, of one network, of one bridge. They are looked at twice, as something may be under way.

    Raises `NotSupported` where the host cannot be looked at.
    """
    whole = survey(host, domain)
    if any(seen.is_active for seen in whole.domains.values()) and (whole.links is None or whole.ports is None):
        raise NotSupported(f"it cannot be seen which NICs are cut off: {'; '.join(whole.unseen)}")
    found = dict.fromkeys(_places(whole, network, bridge))
    if found:
        again = look_again(host, whole, {uuid for uuid, _ in found})
        still = set(_places(again, network, bridge))
        found = {place: None for place in found if place in still}
    return tuple(found)


def _places(whole: Survey, network: str | None, bridge: str | None) -> Iterator[Place]:
    for seen, net, _ in behind(whole):
        if network in (None, net.network) and bridge in (None, net.bridge):
            yield seen.uuid, net.alias or net.mac or ""
