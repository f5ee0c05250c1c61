"""Attach: NICs into a running guest, its definition, or both; all of them or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from virtnetplug import xml
from virtnetplug.backends import Order, backend_for
from virtnetplug.errors import NotApplied
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.call.waiting import Work, at_once
from virtnetplug.hotplug.check import reserved
from virtnetplug.hotplug.check.preflight import check_attach
from virtnetplug.hotplug.check.request import name, pair, parse, scope_for
from virtnetplug.hotplug.check.reserved import not_settled, placed, reservations
from virtnetplug.hotplug.engine.operation import ELEMENT, REMEMBERED, TEXT, Operation, Shape, Site
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, plan_steps, record_of, transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.nic_state import nic_record, plugged
from virtnetplug.hotplug.guest.travel import say_ours
from virtnetplug.hotplug.look.leaving import of_domain, operation_of_alias, operation_on
from virtnetplug.hotplug.look.view import BOTH, DomainView, look, look_again
from virtnetplug.hotplug.plug.introduction import make_way
from virtnetplug.hotplug.plug.last_seen import keep_end
from virtnetplug.hotplug.plug.plugging import Part, plug
from virtnetplug.hotplug.plug.plugging import parts as plug_parts
from virtnetplug.hotplug.plug.remembering import Remembered, remember
from virtnetplug.hotplug.plug.undoing import of_define, of_plug, of_remembering
from virtnetplug.hotplug.report.inventory import nics_after, nics_of
from virtnetplug.lifecycle import GONE
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.domain import Topology
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network
from virtnetplug.model.operation import (
    Half,
    OperationRecord,
    OperationState,
    Outcome,
    Phase,
    Refusal,
    Result,
    Scope,
    Step,
)
from virtnetplug.ports.domain import Domain
from virtnetplug.resolve import resolve

NAME = "attach"
"""What the journal calls it."""


def _paired(view: DomainView, nets: Sequence[Interface]) -> tuple[Interface, ...]:
    there = [net for devices in (view.live, view.config) if devices is not None for net in devices.nets]
    return pair(nets, there) if any(net.teaming is not None for net in nets) else tuple(nets)


def _unsettled(view: DomainView, nets: Sequence[Interface], records: Sequence[OperationRecord]) -> tuple[Refusal, ...]:
    """NICs that an open operation may still take out of the guest: of those none is "there already", and none can come."""
    pending = of_domain(records, view.domain.uuid)
    if not pending:
        return ()
    live = view.live.nets if view.live is not None else ()
    of_mac = [each for net in nets if net.alias is None and net.mac is not None for each in live if each.mac == net.mac]
    theirs = [*(net for net in nets if net.alias is not None), *of_mac]
    by_id = {record.id: record for record in records}
    return tuple(
        not_settled(view, net.alias or "", net.alias or "", by_id[operation])
        for net in theirs
        if (operation := operation_of_alias(net.alias, pending) or operation_on(net, pending)) is not None
    )


def undos(site: Site, tx: Transaction) -> Undos:
    """What takes the steps of an attach back."""
    found: dict[tuple[str, str], Any] = dict(of_remembering(site, tx, tx.record.request.get("remembered", ())))
    for entry in tx.record.request["nics"]:
        net = xml.interface(entry["element"])
        found |= of_define(site, tx, entry["alias"], net)
        found |= of_plug(site, tx, backend_for(ActualDevice(type=entry["type"])), net)
    return found


def _look(domain: Domain, scope: Scope | None, *, needs_config: bool) -> tuple[DomainView, Scope]:
    needs_config |= scope in (Scope.CONFIG, Scope.BOTH)
    view = look(domain, BOTH if needs_config else (Half.LIVE,))
    return view, scope_for(scope, view.state, domain.name)


def _already(host: Host, view: DomainView, nets: Sequence[Interface], scope: Scope) -> list[Interface]:
    """The NICs there are, if every net of the request is there in every half of the scope; else nothing."""
    found = []
    pools = _pools(host, view)
    for half in scope.halves:
        devices = view.live if half is Half.LIVE else view.config
        for net in nets:
            match = next((other for other in devices.nets if _is_same(net, other, pools)), None) if devices else None
            if match is None:
                return []
            found.append(match)
    return found


def _pools(host: Host, view: DomainView) -> Mapping[str, str]:
    """Alias of each assigned device to the network that lent it, which its live element does not name."""
    if view.live is None or not any(net.is_hostdev for net in view.live.nets):
        return {}
    return {nic.alias: nic.network for nic in host.journal.nics(host.hypervisor.key, view.domain.uuid)}


def _is_same(request: Interface, there: Interface, pools: Mapping[str, str]) -> bool:
    """Same alias and MAC, as far as the request names them (it must name one), and the same source."""
    if request.mac is None and request.alias is None:
        return False
    if request.mac not in (None, there.mac) or request.alias not in (None, there.alias):
        return False
    if there.is_hostdev and request.type == "network":
        return pools.get(there.alias or "") == request.source_network
    kind = (
        "network" if there.source_network is not None else there.type
    )  # live, it has the type that came of its network
    return (request.type, request.source) == (kind, there.source)


def _settings(net: Interface, actual: ActualDevice) -> Mapping[str, Setting]:
    if not actual.is_hostdev:
        return {}
    from virtnetplug.backends.vf_settings import of_request

    return of_request(net)


def _resolve(net: Interface, networks: Mapping[str, Network]) -> ActualDevice:
    return resolve(net, networks[net.source_network] if net.source_network is not None else None)


def _steps(
    nets: Sequence[Interface],
    actuals: Sequence[ActualDevice],
    scope: Scope,
    remembered: Sequence[Remembered] = (),
) -> tuple[Step, ...]:
    parts: list[Part] = [("remember", each.name, Phase.ALLOCATE, None) for each in remembered]
    for net in nets:
        alias = _alias(net)
        parts += [("reserve", alias, Phase.ALLOCATE, None), ("allocate_actual_device", alias, Phase.ALLOCATE, None)]
    for net, actual in zip(nets, actuals, strict=True) if Half.LIVE in scope.halves else ():
        backend = backend_for(actual)
        parts += plug_parts(backend, _alias(net), has_settings=bool(_settings(net, actual)))
        parts += [("confirm", _alias(net), Phase.PLUG, Half.LIVE)]
    for net in nets if Half.CONFIG in scope.halves else ():
        parts += [("define", _alias(net), Phase.PLUG, Half.CONFIG)]
    return plan_steps(*parts)


class _Attach:
    """One attach on its way."""

    def __init__(
        self,
        host: Host,
        view: DomainView,
        nets: Sequence[Interface],
        actuals: Sequence[ActualDevice],
        scope: Scope,
        seconds: float,
        steps: tuple[Step, ...],
        *,
        remembered: Sequence[Remembered] = (),
        said: Sequence[str] = (),
    ) -> None:
        self.host, self.view, self.domain = host, view, view.domain
        self.remembered, self.said, self.steps = remembered, said, steps
        self.nets, self.actuals, self.scope, self.seconds = nets, actuals, scope, seconds
        self.live: dict[str, Interface] = {}
        self.runs: set[int | None] = set()

    def run(self) -> Outcome:
        """Every NIC in the guest, then every NIC in the definition, then done."""
        record = record_of(
            self.host,
            NAME,
            self.domain,
            run=self.view.run,
            scope=self.scope,
            device_types=[actual.type for actual in self.actuals],
            request={
                "nics": [
                    {"alias": net.alias, "mac": str(net.mac), "type": actual.type, "element": net.element}
                    for net, actual in zip(self.nets, self.actuals, strict=True)
                ],
                "remembered": [each.request for each in self.remembered],
            },
            steps=self.steps,
        )
        site = Site(host=self.host, domain=self.domain, run=self.view.run, seconds=self.seconds)
        with transaction(self.host, record, partial(undos, site)) as tx:
            for text in self.said:
                tx.warn(text)
            if self.remembered:
                remember(self.domain, tx, record.request["remembered"])
            for net, actual in zip(self.nets, self.actuals, strict=True):
                self._reserve(tx, net, actual)
            for net, actual in zip(self.nets, self.actuals, strict=True) if Half.LIVE in self.scope.halves else ():
                self._attach(tx, net, actual)
            if Half.CONFIG in self.scope.halves:
                self._define_all(tx)
                self.view = look_again(self.view, Half.CONFIG)
            self._expect_there()
            say_ours(self.domain, list(self.live.values()))
            tx.finish(OperationState.DONE, Result.DONE, also=self._keep)
            if Half.LIVE in self.scope.halves:
                make_way(self.host, self.domain, self.nets, tx)
            return self._outcome(tx)

    def _reserve(self, tx: Transaction, net: Interface, actual: ActualDevice) -> None:
        alias = _alias(net)
        tx.note("reserve", alias, lambda: None)
        tx.note("allocate_actual_device", alias, lambda: actual)

    def _attach(self, tx: Transaction, net: Interface, actual: ActualDevice) -> None:
        """Into the guest, and seen there."""
        alias, backend = _alias(net), backend_for(actual)
        order = Order(
            domain=self.domain,
            run=self.view.run,
            net=net,
            actual=actual,
            operation_id=tx.record.id,
            settings=_settings(net, actual),
        )
        plug(self.host, tx, backend, order)
        self.live[alias] = tx.note("confirm", alias, lambda: self._confirm(net))
        keep_end(tx, self.live[alias])
        tx.tell("state", f"{alias}: {'/'.join(plugged())}", alias)

    def _confirm(self, net: Interface) -> Interface:
        self.view = look_again(self.view, Half.LIVE)
        self.runs.add(xml.run_of(self.view.live_xml or ""))
        if len(self.runs) > 1:
            raise NotApplied(f"domain {self.domain.name} ended, and was started anew, while {net.alias} was attached")
        nets = self.view.live.nets if self.view.live is not None else ()
        found = next((each for each in nets if each.alias == net.alias), None)
        if found is None:
            raise NotApplied(
                f"libvirt reported that {net.alias} was attached, but the guest's live definition does not have it"
            )
        return found

    def _expect_there(self) -> None:
        """Raise `NotApplied` where another run has come, and was not given all of them by the definition."""
        if self.live and Half.CONFIG in self.scope.halves and guest.run_of(self.domain).id not in self.runs:
            for alias in self.live:
                if guest.net_of(self.domain, alias, Half.LIVE) is None:
                    raise NotApplied(f"domain {self.domain.name} ended before {alias} had come for good")

    def _define_all(self, tx: Transaction) -> None:
        """Each with its live guest address, if the definition has room there: libvirt would choose another slot for the next boot.

        Those without room come last: libvirt chooses a place for them, and might choose that of another.
        """
        assert self.view.config_xml is not None
        defined = xml.topology(self.view.config_xml)
        unpinned = {_alias(net): self._why_unpinned(net, defined) for net in self.nets}
        for net in sorted(self.nets, key=lambda net: unpinned[_alias(net)]):
            self._define(tx, net, unpinned[_alias(net)])

    def _define(self, tx: Transaction, net: Interface, why_unpinned: str) -> None:
        alias = _alias(net)
        element, live = net.element, self.live.get(alias)
        if why_unpinned:
            tx.warn(
                f"the definition has {why_unpinned}, so the guest may see {alias} at another address after its next boot"
            )
        elif live is not None and live.address is not None and net.address is None:
            element = xml.edit(element, {"address": live.address})
        tx.effect("define", alias, lambda: self.domain.attach(element, Half.CONFIG), half=Half.CONFIG)

    def _why_unpinned(self, net: Interface, defined: Topology) -> str:
        """What the definition has, or has not, where the guest has the NIC; empty if there is room, or the request names the place."""
        live = self.live.get(_alias(net))
        if live is None or live.address is None or net.address is not None:
            return ""
        if not defined.has_bus(live.address.bus):
            return f"no PCI bus {live.address.bus:#04x}"
        return f"another device at {live.address}" if defined.is_taken(live.address) else ""

    def _keep(self) -> None:
        for net, actual in zip(self.nets, self.actuals, strict=True):
            alias = _alias(net)
            if alias not in self.live and guest.net_of(self.domain, alias, Half.LIVE) is None:
                # the definition alone has it
                self.host.journal.put_nic(nic_record(self.host, self.domain, net, net.source_network, *GONE))
            if alias in self.live:
                self.host.journal.put_nic(
                    nic_record(self.host, self.domain, self.live[alias], actual.network, *plugged())
                )

    def _outcome(self, tx: Transaction) -> Outcome:
        aliases = {net.alias for net in self.nets}
        pairs = [pair for pair in self.view.nics if any(net is not None and net.alias in aliases for net in pair)]
        return tx.outcome(Result.DONE, nics=nics_after(self.host, self.view, pairs, are_new=True))


def _alias(net: Interface) -> str:
    assert net.alias is not None
    return net.alias


class Attach(Operation):
    """NICs into a running guest, its definition, or both: all of them or none. An attach that never ended is undone."""

    is_governed = True

    entries: ClassVar[Mapping[str, Shape]] = {
        "nics": {"alias": TEXT, "type": TEXT, "element": ELEMENT},
        "remembered": REMEMBERED,
    }

    needs_config = False
    """Whether it looks at the definition of the next boot, too, if only the guest gets the NICs."""

    def __init__(self, nics: Sequence[Interface | str], *, scope: Scope | None = None) -> None:
        self.nets, self.scope = parse(nics), scope

    def identified(
        self, host: Host, view: DomainView, nets: tuple[Interface, ...]
    ) -> tuple[tuple[Interface, ...], Sequence[str]]:
        """The NICs as they will be attached, and the warnings about that. A subclass may give a NIC the identity of another one."""
        return nets, ()

    def remembered(self, view: DomainView, nets: Sequence[Interface]) -> tuple[Remembered, ...]:
        """What the attach writes into the domain's metadata."""
        return ()

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        """See `Operation.prepare`."""
        view, scope = _look(domain, self.scope, needs_config=self.needs_config)
        nets, said = self.identified(host, view, _paired(view, self.nets))
        records = host.journal.open_operations(host.hypervisor.key, domain.uuid, "")
        refusals = _unsettled(view, nets, records)
        kept = reservations(records, domain.uuid)
        there = () if refusals else _already(host, view, nets, scope)
        networks: dict[str, Network] = {}
        if there:
            refusals = tuple(reserved.refusals(view, nets, kept))
        elif not refusals:
            refusals = check_attach(host, view, nets, scope, networks=networks, kept=kept)
        if not there:
            pools = [source for source, network in networks.items() if network.forward == "hostdev"]
            nets = placed(view, tuple(name(net) for net in nets), kept, pools)
        actuals = () if refusals or there else tuple(_resolve(net, networks) for net in nets)
        remembered = self.remembered(view, nets)
        steps = _steps(nets, actuals, scope, remembered) if actuals else ()

        def start(lock: Lock, seconds: float) -> Work:
            return at_once(
                _Attach(host, view, nets, actuals, scope, seconds, steps, remembered=remembered, said=said).run
            )

        def diff() -> dict[str, str]:
            added = "".join(xml.diff("", net.element, net.alias or "") for net in nets)
            return {half.value: added for half in scope.halves}

        pairs = [pair for pair in view.nics if any(net is there_net for net in pair for there_net in there)]
        return Prepared(
            operation=NAME,
            domain=domain.name,
            scope=scope,
            start=start,
            refusals=refusals,
            already=nics_of(host, view, pairs) if there else None,
            steps=steps,
            diff=diff,
            actual=actuals,
            warnings=tuple(said),
        )

    @classmethod
    def is_told_by_nic(cls, record: OperationRecord) -> bool:
        """See `Operation.is_told_by_nic`."""
        return True

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        """See `undos`."""
        return undos(site, tx)


OPERATION = Attach
