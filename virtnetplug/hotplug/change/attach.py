"""Attach: NICs into a running guest, its definition, or both; all of them or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from virtnetplug import xml
from virtnetplug.backends import backend_for, faults
from virtnetplug.errors import DomainMissing, NotApplied
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.call.waiting import Work
from virtnetplug.hotplug.change.remembering import Remembered, of_remembering, remember, steps_remembering
from virtnetplug.hotplug.change.swap_run import SwapRun
from virtnetplug.hotplug.check.preflight import examine
from virtnetplug.hotplug.check.request import pair, parse, scope_for
from virtnetplug.hotplug.engine.operation import ELEMENT, REMEMBERED, TEXT, Operation, Shape, Site
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, plan_steps, transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.nic_rows import nic_record
from virtnetplug.hotplug.guest.nic_status import nics_after, nics_of
from virtnetplug.hotplug.guest.travel import say_ours
from virtnetplug.hotplug.look.view import BOTH, DomainView, look, look_again
from virtnetplug.hotplug.plug.defining import of_define
from virtnetplug.hotplug.plug.plugging import Part, expect_attached, new_record, steps_in
from virtnetplug.hotplug.plug.undoing import Coming, of_plug
from virtnetplug.lifecycle import ATTACHED, GONE
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.domain import Topology
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import (
    Half,
    Nic,
    NicRecord,
    OperationRecord,
    Phase,
    Scope,
    Step,
)
from virtnetplug.ports.domain import Domain

NAME = "attach"
"""What the journal calls it."""

_Nets = Mapping[str, tuple[Interface, ActualDevice]]
"""The NICs that come, each with what its element comes to on the host, by alias."""


class _Attach(SwapRun):
    """One attach under way: every NIC comes into the guest, then every NIC into the definition."""

    has_waited = False

    def __init__(self, tx: Transaction, view: DomainView, nets: _Nets) -> None:
        super().__init__(tx, view.domain)
        self.view, self.nets, self.halves = view, nets, tx.record.scope.halves
        self.runs: set[int | None] = set()
        self.rows: dict[str, NicRecord] = {}

    def enter(self) -> dict[str, Interface]:
        remember(self.domain, self.tx, self.request["remembered"])
        for alias in self.nets:
            self.tx.note("reserve", alias, lambda: None)
            self.tx.note("allocate_actual_device", alias, lambda: None)
        live = self.nets if Half.LIVE in self.halves else {}
        return {
            alias: self.attach(alias, net, actual, backend_for(actual).settings_of(net))
            for alias, (net, actual) in live.items()
        }

    def attached(self, alias: str) -> Interface:
        self.view = look_again(self.view, Half.LIVE)
        self.runs.add(xml.run_of(self.view.live_xml or ""))
        if len(self.runs) > 1:
            raise NotApplied(f"domain {self.domain.name} ended, and was started anew, while {alias} was attached")
        now = expect_attached(self.view.live.nets if self.view.live is not None else (), alias)
        self.tx.tell("state", f"{alias}: {'/'.join(ATTACHED)}", alias)
        return now

    def expect_there(self, came: Mapping[str, Interface]) -> None:
        if came and Half.CONFIG in self.halves:
            self._expect_still_there(came)
        say_ours(self.domain, list(came.values()), live_xml=self.view.live_xml)

    def _expect_still_there(self, came: Mapping[str, Interface]) -> None:
        """Raise `NotApplied` where somebody has detached a NIC meanwhile, or another run has come that the definition did not give all of the NICs."""
        gone: str | None = next(iter(came))
        with suppress(DomainMissing):
            self.view = look_again(self.view, Half.LIVE)
            there = {net.alias for net in self.view.live.nets} if self.view.live is not None else set()
            gone = next((alias for alias in came if alias not in there), None)
            if gone is None:
                return
            if self.view.live_xml is not None and xml.run_of(self.view.live_xml) in self.runs:
                raise NotApplied(
                    f"somebody detached {gone} from the guest of {self.domain.name} before the attach had ended"
                )
        raise NotApplied(f"domain {self.domain.name} ended before {gone} had come for good")

    def define(self, came: Mapping[str, Interface]) -> None:
        """Define each NIC at its live guest address, if the definition has room there: libvirt would choose another slot for the next boot.

        The NICs without room come last: libvirt chooses a place for them, and might choose that of another.
        """
        if Half.CONFIG not in self.halves:
            return
        assert self.view.config_xml is not None
        defined = xml.topology(self.view.config_xml)
        unpinned = {alias: _why_unpinned(net, came.get(alias), defined) for alias, (net, _) in self.nets.items()}
        for alias in sorted(self.nets, key=unpinned.__getitem__):
            self._define(alias, came.get(alias), unpinned[alias])
        self.view = look_again(self.view, Half.CONFIG)

    def _define(self, alias: str, live: Interface | None, why_unpinned: str) -> None:
        net, _ = self.nets[alias]
        element = net.element
        if why_unpinned:
            self.tx.warn(
                f"the definition has {why_unpinned}, so the guest may see {alias} at another address after its next boot"
            )
        elif live is not None and live.address is not None and net.address is None:
            element = xml.edit(element, {"address": live.address})
        act = partial(self.domain.attach, element, Half.CONFIG)
        self.tx.effect("define", alias, act, half=Half.CONFIG, is_one_attach=True)

    def keep_rows(self, came: Mapping[str, Interface]) -> None:
        journal = self.host.journal
        for alias, (net, actual) in self.nets.items():
            if alias in came:
                process = self.tx.record.process
                row = nic_record(self.host, self.domain, came[alias], actual.network, *ATTACHED, process=process)
                self.rows[alias] = row
                journal.put_nic(row)
            elif guest.net_of(self.domain, alias) is None:  # the definition alone has it
                journal.put_nic(nic_record(self.host, self.domain, net, net.source_network, *GONE))

    def nics(self) -> Sequence[Nic]:
        nics = [nic for nic in self.view.nics if any(net.alias in self.nets for net in nic.nets)]
        return nics_after(self.host, self.view, nics, new=self.rows or None)


def _why_unpinned(net: Interface, live: Interface | None, defined: Topology) -> str:
    """What the definition has, or has not, where the guest has the NIC; empty if there is room, or if the request names the place."""
    if live is None or live.address is None or net.address is not None:
        return ""
    if not defined.has_bus(live.address.bus):
        return f"no PCI bus {live.address.bus:#04x}"
    return f"another device at {live.address}" if defined.is_taken(live.address) else ""


def _steps(nets: _Nets, scope: Scope, remembered: Sequence[Remembered]) -> tuple[Step, ...]:
    parts: list[Part] = steps_remembering(remembered)
    for alias in nets:
        parts += [("reserve", alias, Phase.ALLOCATE, None), ("allocate_actual_device", alias, Phase.ALLOCATE, None)]
    for alias, (net, actual) in nets.items() if Half.LIVE in scope.halves else ():
        parts += steps_in(backend := backend_for(actual), alias, backend.settings_of(net))
    for alias in nets if Half.CONFIG in scope.halves else ():
        parts += [("define", alias, Phase.PLUG, Half.CONFIG)]
    return plan_steps(*parts)


class PlainAttach(Operation):
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

    def remembered(self, host: Host, view: DomainView, nets: Sequence[Interface]) -> tuple[Remembered, ...]:
        """What the attach writes into the domain's metadata."""
        return ()

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        needs_config = self.needs_config or self.scope in (Scope.CONFIG, Scope.BOTH)
        view = look(domain, BOTH if needs_config else (Half.LIVE,))
        scope = scope_for(self.scope, view.state, domain.name)
        nets, warnings = self.identified(host, view, pair(self.nets, [net for half in BOTH for net in view.nets(half)]))
        asked = examine(host, view, nets, scope)
        nets, actuals = asked.nets, asked.actuals
        chosen = {net.alias or "": (net, actual) for net, actual in zip(nets, actuals, strict=True)} if actuals else {}
        remembered = self.remembered(host, view, nets) if chosen else ()
        steps = _steps(chosen, scope, remembered) if chosen else ()

        def start(lock: Lock, seconds: float) -> Work:
            entries = [
                {"alias": alias, "mac": str(net.mac), "type": actual.type, "element": net.element}
                for alias, (net, actual) in chosen.items()
            ]
            request = {"nics": entries, "remembered": [each.request for each in remembered]}
            record = new_record(host, view, NAME, scope, actuals, request, steps)
            site = Site(host=host, domain=domain, run=view.run, seconds=seconds)
            with transaction(host, record, partial(self.undos, site)) as tx:
                tx.warn(*warnings)
                return (yield from _Attach(tx, view, chosen).run())

        def diff() -> dict[str, str]:
            added = "".join(xml.diff("", net.element, net.alias or "") for net in nets)
            return {half.value: added for half in scope.halves}

        return Prepared(
            operation=NAME,
            domain=domain.name,
            scope=scope,
            start=start,
            refusals=asked.refusals,
            already=nics_of(host, view, asked.there) if asked.there else None,
            steps=steps,
            diff=diff,
            actual=actuals,
            warnings=(*warnings, *faults()),
        )

    @classmethod
    def is_told_by_nic(cls, record: OperationRecord) -> bool:
        return True

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        found: dict[tuple[str, str], Any] = dict(of_remembering(site, tx, tx.record.request.get("remembered", ())))
        for entry in tx.record.request["nics"]:
            net = xml.interface(entry["element"])
            found |= of_define(site, tx, entry["alias"], net)
            found |= of_plug(site, tx, Coming(entry["type"], net))
        return found
