"""Update: change a NIC in place where libvirt can, replace it where libvirt cannot and the caller allows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, ClassVar

from virtnetplug import xml
from virtnetplug.backends import backend_for, backend_of
from virtnetplug.errors import NeedsReplace, NicMissing, NotApplied
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.call.waiting import Work
from virtnetplug.hotplug.change.swap_run import SwapOperation, WaitingSwap
from virtnetplug.hotplug.check.preflight import check_scope, check_update
from virtnetplug.hotplug.check.request import scope_for
from virtnetplug.hotplug.check.reserved import SAME_MAC, freed, unsettled
from virtnetplug.hotplug.check.sources import actual_of
from virtnetplug.hotplug.engine.operation import (
    ELEMENT,
    FLAG,
    LIST,
    NICS,
    TEXT,
    Direction,
    Shape,
    Site,
)
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, plan_steps
from virtnetplug.hotplug.guest import assigned, definition, guest
from virtnetplug.hotplug.guest.definition import rewrite, standing, takes_out
from virtnetplug.hotplug.guest.ending import how, may_look
from virtnetplug.hotplug.guest.nic_rows import nic_record
from virtnetplug.hotplug.guest.nic_status import nics_of
from virtnetplug.hotplug.look.find import expect_in, find
from virtnetplug.hotplug.look.recognition import end_of
from virtnetplug.hotplug.look.view import (
    BOTH,
    DomainNic,
    DomainView,
    carried,
    has_source_of,
    look,
    named,
    same_mac_as,
)
from virtnetplug.hotplug.plug.defining import expect_place, of_rewrite, warn_out
from virtnetplug.hotplug.plug.edit import Changes, Edit, check_applied, edits_of
from virtnetplug.hotplug.plug.last_seen import as_defined, as_seen, beside, see_defined, warn_unseen
from virtnetplug.hotplug.plug.plugging import Part, held_of, new_record, steps_in
from virtnetplug.hotplug.plug.release import GuestRelease, steps_out, under_way
from virtnetplug.hotplug.plug.undoing import Coming, Leaving, expect_ended, is_next, leaves_there, of_swap
from virtnetplug.lifecycle import ATTACHED, State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import Interface, is_lasting, lasting_name
from virtnetplug.model.operation import Half, OperationRecord, Phase, Refusal, Scope, Step
from virtnetplug.ports.domain import Domain

NAME = "update"
"""What the journal calls it."""

_Sides = tuple[Interface, Interface]
"""A NIC before and after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What an update is to change of a NIC of a domain that was just looked at. `device` is the assigned device that the NIC has, if any."""

    update: Update
    host: Host
    view: DomainView
    nic: DomainNic
    scope: Scope
    device: assigned.Assigned | None
    edits: Mapping[Half, Edit]

    @property
    def live(self) -> Edit | None:
        """The edit of the guest's NIC."""
        return self.edits.get(Half.LIVE)

    @property
    def replaced(self) -> Edit | None:
        """The same, if another NIC comes in the place of the guest's."""
        return self.live if self.live is not None and self.live.by_replacement else None

    def refusals(self) -> tuple[Refusal, ...]:
        found = list(check_scope(self.view, self.scope))
        live = self.live
        if live is not None and live.by_replacement and not self.update.replace:
            names = ", ".join(live.by_replacement)
            kept = [
                word
                for name, word in (("mac", "MAC"), ("address", "guest PCI address"))
                if name not in live.by_replacement
            ]
            same = f"the same {' and '.join(kept)}, and " if kept else ""
            alias = "the same alias" if is_lasting(live.before.alias) else "an alias beginning with ua-vnp"
            found.append(
                Refusal(
                    reason=NeedsReplace.reason,
                    nic=self.nic.name,
                    message=f"libvirt cannot change {names} of a running guest's NIC in place. `replace=True` detaches the NIC and attaches it again "
                    f"with {same}{alias}. The guest sees it leave and come back.",
                )
            )
        if live is not None and live.on_device and self.device is not None:
            found += assigned.refusals(self.nic.name, self.device, live.after, live.on_device)
        for half, edit in self.edits.items():
            leaving = edit.before if self.update.replace and half is Half.LIVE and edit.by_replacement else None
            scope = Scope(half.value)
            found += check_update(self.host, self.view, edit.after, edit.changed, scope, leaving=leaving)
        return tuple(dict.fromkeys(found))

    def lost(self) -> tuple[str, ...]:
        """What somebody set by hand of the device that another device replaces."""
        edit = self.replaced
        if edit is None or not backend_of(edit.before).is_lent:
            return ()
        if not backend_for(actual_of(self.host, edit.after)).is_lent:
            return ()
        return assigned.lost_by_hand(self.host, self.view.domain, edit.before, edit.kept)

    def diff(self) -> dict[str, str]:
        """What changes in each definition, and of the device."""
        found = {
            half.value: xml.diff(e.before.element, e.after.element, self.nic.name) for half, e in self.edits.items()
        }
        if self.live is not None and self.live.on_device and self.device is not None:
            now, address = self.device.now, self.device.address
            lines = [
                f"-{name}: {getattr(now, name)}\n+{name}: {value}\n" for name, value in self.live.on_device.items()
            ]
            found[Half.LIVE.value] += f"--- {address}\n+++ {address}\n" + "".join(lines)
        return found

    def steps(self) -> tuple[Step, ...]:
        alias, edit, parts = self.nic.name, self.live, list[Part]()
        if edit is not None and edit.by_replacement:
            actual = actual_of(self.host, edit.after)
            new = edit.after.alias or alias
            parts += steps_out(edit.before, alias)
            parts += steps_in(backend_for(actual), new, _settings(edit, actual), name=alias)
        elif edit is not None and edit.on_device:
            parts += [("change_device", alias, Phase.PLUG, Half.LIVE)]
        elif edit is not None:
            parts += [(name, alias, Phase.PLUG, Half.LIVE) for name in ("change", *self.update.after_change(self.host))]
        if Half.CONFIG in self.edits:
            parts += [("redefine", alias, Phase.PLUG, Half.CONFIG)]
        return plan_steps(*parts)

    def request(self) -> dict[str, Any]:
        """What the journal keeps of it."""
        alias, live, domain = self.nic.name, self.live, self.view.domain
        before = [edit.before for edit in self.edits.values()]
        request: dict[str, Any] = {
            "nics": [
                named(alias, *before),
                *(named(alias, edit.after) for edit in self.edits.values() if edit.after.mac != edit.before.mac),
            ],
            SAME_MAC: same_mac_as(self.view, before),
            "asked": [alias] if self.replaced is not None else [],
            "replace": self.replaced is not None,
            **({"kind": self.update.kind} if self.update.kind else {}),
        }
        for half, edit in self.edits.items():
            request[half.value] = {
                "before": edit.before.element,
                "after": edit.after.element,
                "changed": list(edit.changed),
            }
        if live is not None and live.by_replacement:
            actual = actual_of(self.host, live.after)
            settings, old = dict(_settings(live, actual)), held_of(self.host, domain, live.before)
            request[Half.LIVE.value] |= {"type": actual.type, "settings": settings, "old": old}
            if Half.CONFIG not in self.edits:
                request |= beside(self.view, [alias])
        elif live is not None and live.on_device and self.device is not None:
            device = assigned.request_of(live.before, self.device, live.on_device, live.kept)
            request[Half.LIVE.value]["device"] = device
        return request


def _settings(edit: Edit, actual: ActualDevice) -> Mapping[str, Setting]:
    """The settings of the new device: as the old one has them, or as an attach would ask."""
    backend = backend_for(actual)
    return edit.kept if edit.kept and backend.is_lent else backend.settings_of(edit.after)


class UpdateRun(WaitingSwap):
    """One update under way. Without a replacement, no NIC leaves or comes: the guest's NIC is changed in place.

    `inherited` are fields of the live NIC that it only has of its network, and does not take along.
    """

    aim = "replaced"
    then = "replacement; the new NIC goes in when the guest lets go of the old one"

    def __init__(self, tx: Transaction, release: GuestRelease, inherited: Collection[str] = ()) -> None:
        super().__init__(tx, release)
        self.inherited = inherited
        self.alias: str = self.request["nics"][0]["alias"]
        self.live: dict[str, Any] | None = self.request.get(Half.LIVE.value)
        self.config: dict[str, Any] | None = self.request.get(Half.CONFIG.value)
        self.is_replacement = self.live is not None and self.request["replace"]
        if self.live is not None and self.is_replacement:
            self.leaving = (Leaving(self.alias, self.live["before"]),)
            self.keeps_source = not has_source_of(*_sides(self.live))

    def enter(self) -> dict[str, Interface]:
        if self.live is not None and self.is_replacement:
            return {self.alias: self._replace()}
        if self.live is not None and "device" in self.live:
            change = partial(assigned.change, operation_id=self.tx.record.id, run=self.release.run)
            run = partial(change, self.host, self.domain, self.alias, self.live["device"])
            self.tx.effect("change_device", self.alias, run, half=Half.LIVE)
        elif self.live is not None:
            self._change(self.live)
        return {}

    def _replace(self) -> Interface:
        """Attach the new NIC at the guest address of the old one."""
        self.live = live = _live_as_seen(self.request, self.alias)
        after = xml.interface(live["after"])

        def check(sent: Interface, now: Interface) -> None:
            if backend_of(sent).is_lent:  # its element names the device, whatever was asked for
                rest = [name for name in live["changed"] if not name.startswith(("type", "managed", "source_"))]
                check_applied(sent, now, rest)
            else:
                check_applied(after, now, live["changed"])

        net = xml.interface(xml.strip_live(live["after"]))
        return self.attach(self.alias, net, actual_of(self.host, net), live.get("settings", {}), check)

    def _change(self, live: Mapping[str, Any]) -> None:
        self.tx.tell("state", f"{self.alias}: backend {State.RECONFIGURING}", self.alias)
        before, after = _sides(live)

        def change() -> None:
            now = guest.there(self.domain, before)
            guest.expect_unchanged(now, before, after)
            definition.change(self.domain, now, before.element, after.element)

        self.tx.effect("change", self.alias, change, half=Half.LIVE)
        self.confirm(live)

    def confirm(self, live: Mapping[str, Any]) -> None:
        """Run the steps after a change in place."""
        self.tx.note("confirm", self.alias, lambda: self.applied(live))

    def applied(self, live: Mapping[str, Any]) -> Interface:
        """The NIC after the change. libvirt answers success to some changes that it does not make; the NIC as it is now decides."""
        now = guest.net_of(self.domain, self.alias)
        if now is None:
            raise NotApplied(f"after the change the guest's live definition has no {self.alias}")
        changed = [name for name in live["changed"] if name not in self.inherited]
        check_applied(xml.interface(live["after"]), now, changed)
        return now

    def define(self, came: Mapping[str, Interface]) -> None:
        if self.config is None:
            return
        tx, alias = self.tx, self.alias
        before, after = _sides(self.config)
        is_taken_out = takes_out(before, after)
        is_out = is_taken_out and tx.was_begun("redefine", alias)  # by an earlier call, as far as anybody can tell
        if is_out or standing(self.domain, after, before) is not None:
            expect_place(self.domain, tx, after, before)
        # also as the NIC that came: somebody may have connected the one before it to something else in both definitions
        seen = [xml.interface(self.live["after"])] if self.live is not None and self.is_replacement else []

        def redefine() -> None:
            now = standing(self.domain, after, before)
            if now is None and not is_out:
                self._stays_out()
                return
            guest.expect_unchanged(now, before, after, *seen, where=" in the definition")
            if is_taken_out and now is not None and now.mac == before.mac:
                see_defined(tx, alias, before, now)
            was, wanted = _as_defined(self.request, alias)
            rewrite(self.domain, was, wanted)
            for live in came.values():
                warn_unseen(tx, alias, before, now or was, live)

        tx.effect("redefine", alias, redefine, half=Half.CONFIG)

    def _stays_out(self) -> None:
        """Say that somebody has taken the NIC out of the definition. A replacement may have waited long; any other update had only just seen the NIC."""
        if not self.is_replacement:
            raise NicMissing(f"the definition of {self.domain.name} has no {self.alias} any more")
        warn_out(self.tx, self.alias)

    def keep_rows(self, came: Mapping[str, Interface]) -> None:
        journal, live = self.host.journal, self.live
        rows = journal.nics(self.host.hypervisor.key, self.domain.uuid)
        known = next((nic for nic in rows if nic.alias == self.alias), None)
        if live is None:
            return
        after = xml.interface(live["after"])
        now = guest.net_of(self.domain, self.alias) if known is not None else None
        if known is not None and now is not None:
            # the pool of an assigned device, which its live element does not name
            pool = (after.source_network or "") if self.is_replacement else known.network
            network = pool if backend_of(now).is_lent else None
            record = nic_record(self.host, self.domain, now, network, known.frontend, known.backend)
            journal.put_nic(dataclasses.replace(record, since=known.since))
        elif known is None and self.alias in came and after.alias not in (None, self.alias):
            # a NIC that came under an alias of ours is one that virtnetplug plugged; the NIC that it replaced was not
            new = came[self.alias]
            journal.put_nic(nic_record(self.host, self.domain, new, after.source_network, *ATTACHED))

    def names(self) -> Collection[str]:
        afters = [xml.interface(half["after"]) for half in (self.live, self.config) if half is not None]
        names = {lasting_name(after.alias, after.mac, after.address) for after in afters}
        return names | self.tx.record.names_of(self.alias)


def _live_as_seen(request: Mapping[str, Any], alias: str) -> dict[str, Any]:
    """What the request has of the guest's NIC, with what was seen last of the NIC that leaves. The NIC that comes has that, too, but for the change."""
    live = request[Half.LIVE.value]
    before = as_seen(request, alias, live["before"])
    return {**live, "before": before, "after": xml.merged(before, live["before"], live["after"])}


def _as_defined(request: Mapping[str, Any], alias: str) -> _Sides:
    """The NIC of the definition before and after, with what was changed there of a NIC that leaves it to come with another MAC."""
    before, after = _sides(request[Half.CONFIG.value])
    now = as_defined(request, alias, before)
    return now, xml.interface(xml.merged(now.element, before.element, after.element))


def _sides(half: Mapping[str, Any]) -> _Sides:
    """The NIC before and after, by what a request has of one definition."""
    return xml.interface(half["before"]), xml.interface(half["after"])


def _is_as_changed(now: Interface, after: Interface, changed: Sequence[str]) -> bool:
    """Whether the NIC has all of the change. What a new network adds of its own is not part of it."""
    is_moved = "source_network" in changed and after.source_network is not None
    fields = [field for field in changed if not is_moved or getattr(after, field) is not None]
    try:
        check_applied(after, now, fields)
    except NotApplied:
        return False
    return True


@dataclass(eq=False)
class Update(SwapOperation):
    """Make the NIC as `changes` say. A replacement that waits for its guest goes on from there; any other record that was left open is undone."""

    is_governed = True

    nic: str
    changes: Changes
    _: KW_ONLY
    scope: Scope | None = None
    replace: bool = False

    name: ClassVar[str] = NAME
    kind: ClassVar[str] = ""
    """What the journal calls it, and among the kinds that share the name."""

    runner: ClassVar[type[UpdateRun]] = UpdateRun

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        return self.prepared(host, domain)

    def after_change(self, host: Host) -> Sequence[str]:
        """The steps after a change in place, which `UpdateRun.confirm` runs."""
        return ("confirm",)

    def prepared(self, host: Host, domain: Domain, inherited: Collection[str] = ()) -> Prepared:
        """The update of the domain as it is now; `inherited`: see `UpdateRun`."""
        view = look(domain, BOTH)
        scope = scope_for(self.scope, view.state, domain.name)
        nic = find(view, self.nic, scope.halves)
        expect_in(view, nic, scope.halves)
        device = assigned.assigned_to(host, domain, nic.live, nic.config) if Half.LIVE in scope.halves else None
        in_place = domain.changes_in_place
        edits = edits_of(nic, self.changes, scope, device, inherited, changes_in_place=in_place)
        if self.replace and (live := edits.get(Half.LIVE)) is not None and live.by_replacement:
            edits[Half.LIVE] = live.named()
        wanted = _Wanted(update=self, host=host, view=view, nic=nic, scope=scope, device=device, edits=edits)
        refusals = tuple(unsettled(host, view, [nic]))
        refusals += wanted.refusals() if edits else ()
        is_known = all(refusal.reason == NeedsReplace.reason for refusal in refusals)  # else not even the steps are
        steps = wanted.steps() if edits and is_known else ()
        warnings = wanted.lost() if steps else ()

        def start(lock: Lock, seconds: float) -> Work:
            nets = [edit.before for edit in edits.values()]
            record = new_record(host, view, self.name, scope, nets, wanted.request(), steps)
            with under_way(host, domain, record, seconds, self.undos, warnings=warnings) as (tx, release):
                return (yield from self.runner(tx, release, inherited).run())

        return Prepared(
            operation=self.name,
            domain=domain.name,
            scope=scope,
            start=start,
            refusals=refusals,
            already=None if edits else nics_of(host, view, [nic]),
            steps=steps,
            diff=wanted.diff,
            warnings=warnings,
        )

    request: ClassVar[Shape] = {"nics": NICS, "asked": LIST, "replace": FLAG}
    entries: ClassVar[Mapping[str, Shape]] = {
        "nics": {"alias": TEXT},
        **{key: {"before": ELEMENT, "after": ELEMENT, "changed": LIST} for key in ("live", "config")},
    }

    @classmethod
    def direction_by_steps(cls, record: OperationRecord) -> Direction:
        """Forward as long as a replacement waits for the NIC that leaves."""
        return super().direction_by_steps(record) if record.request["replace"] else Direction.BACK

    @classmethod
    def is_told_by_nic(cls, record: OperationRecord) -> bool:
        """See `Operation.is_told_by_nic`. A NIC that was replaced looks as it did before."""
        live = record.request.get(Half.LIVE.value)
        return live is not None and not record.request["replace"] and "device" not in live

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        request = tx.record.request
        alias = request["nics"][0]["alias"]
        live = request.get(Half.LIVE.value)
        rewritten = _as_defined(request, alias) if Half.CONFIG.value in request else None
        found: dict[tuple[str, str], Any] = {}
        if live is not None and request["replace"]:
            live = _live_as_seen(request, alias)
            left = Leaving(alias, live["before"], None if rewritten is None else rewritten[0].element, live.get("old"))
            came = Coming(live.get("type", "network"), xml.interface(live["after"]), rewritten)
            found |= of_swap(site, tx, [left], [came])
        elif live is not None and (device := live.get("device")) is not None:
            found["change_device", alias] = partial(assigned.change_back, site.host, site.domain, alias, device)
        elif live is not None:
            found["change", alias] = partial(cls._undo_change, site, tx, alias, live, rewritten)
        if rewritten is not None:
            found |= of_rewrite(site, tx, "redefine", alias, *rewritten)
        return found

    @classmethod
    def _undo_change(
        cls, site: Site, tx: Transaction, alias: str, live: Mapping[str, Any], rewritten: _Sides | None
    ) -> None:
        goes_on = guest.goes_on(site.domain, site.run)
        if not goes_on and (tx.is_over or not may_look(site.domain, how(site.domain, site.run))):
            expect_ended(site, tx, alias)
            return
        before, after = rewritten if rewritten is not None and is_next(site, tx) else _sides(live)
        if goes_on:
            now = guest.now_of(site.domain, before, run=site.run)
        else:
            now = carried(guest.nets_of(site.domain), before)
        if leaves_there(site, tx, alias, now, before, after, end=end_of(before)):
            return
        if not goes_on and not (now is not None and _is_as_changed(now, after, live["changed"])):
            tx.warn(
                f"{tx.record.domain_name} runs in another process than when the {tx.record.operation} began, and {alias} there does not have "
                f"what the {tx.record.operation} set. The guest is left as it is"
            )
            return
        if now is None:
            tx.warn(f"somebody has taken {alias} out of the guest of {tx.record.domain_name} meanwhile: it stays out")
            return
        old = xml.interface(xml.edit(before.element, {"alias": now.alias, "address": now.address}))
        definition.change(site.domain, guest.there(site.domain, old), live["after"], old.element)
        cls.complete_undo(site, old)

    @classmethod
    def complete_undo(cls, site: Site, net: Interface) -> None:
        """Called once a change in place has been undone, and the guest has `net` again."""

    @classmethod
    def anywhere(cls, domain: Domain, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `Operation.anywhere`. What it changes in place stays where it is."""
        if not request["replace"]:
            return dict(request)
        live = request[Half.LIVE.value]
        return {
            **request,
            Half.LIVE.value: live | {key: freed(domain, live[key], request) for key in ("before", "after")},
        }
