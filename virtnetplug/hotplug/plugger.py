"""The Python API: what an orchestrator holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast

from virtnetplug.errors import DomainMissing, UsageError
from virtnetplug.hotplug.call.host import Host, WatchedDomain
from virtnetplug.hotplug.call.lock import LEAST, Lock
from virtnetplug.hotplug.call.methods import ONE, SEVERAL, Asked, RunsOne, RunsSeveral, interruptible
from virtnetplug.hotplug.change.update import Update
from virtnetplug.hotplug.engine.operation import Operation
from virtnetplug.hotplug.identity.attach_detach import Attach, Detach
from virtnetplug.hotplug.recover import recover
from virtnetplug.hotplug.recover.settling import settle_crashed
from virtnetplug.hotplug.report import inventory
from virtnetplug.hotplug.report.inventory import NicDetail
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Nic, OperationRecord, Outcome, Plan, Result, Scope
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain

if TYPE_CHECKING:
    from virtnetplug.lifecycle import State
    from virtnetplug.model.audit import AuditReport
    from virtnetplug.model.host_device import DeviceTree
    from virtnetplug.model.identity import IdentityView, PolicyView

# What attach and detach do not need is imported where it is used: it costs start-up time.

Single = Asked[Outcome, Plan]
Several = Asked[tuple[Outcome, ...], tuple[Plan, ...]]


class Plugger:
    """Hot-plugs the NICs of one hypervisor's running guests; usable from many threads at once.

    `virtnetplug.open` makes it. Every method raises a `virtnetplug.errors.VirtnetplugError` and nothing else. The error's `reason` is stable. Its
    `exit_code` says whether anything was touched (3: nothing; 4: undone; 5: not all undone, the journal keeps the rest). Domains are named by name,
    UUID or id. NICs are named by alias, MAC, host device name or PCI address (guest or host), which must match exactly one NIC. `wait` is in seconds.
    """

    def __init__(self, host: Host, close: Callable[[], None]) -> None:
        self._host = host
        self._close = close

    @property
    def uri(self) -> str:
        """The hypervisor's canonical URI."""
        return self._host.hypervisor.uri

    @interruptible(ONE)
    def run(self, domain: str, operation: Operation, *, wait: float = 30.0) -> Outcome:
        """Run an operation object, such as `virtnetplug.Detach`, on the domain. Most methods here make such an object and run it.

        The `Outcome` is ``done``, ``already`` or ``pending``. `LeftPending` is raised for an operation that could not take the domain's lock again
        (``domain-busy``), or whose NIC has lost its place (``place-taken``). `wait` bounds each wait by itself: for the domain's lock
        (at least 5 s) and for the guest.
        """
        return self._run(domain, operation, wait)

    def plan(self, domain: str, operation: Operation) -> Plan:
        """What `run` would do, with every refusal; nothing is touched, and no lock is taken."""
        return operation.prepare(self._host, self._host.hypervisor.domain(domain)).plan()

    @RunsOne
    def attach(
        self,
        domain: str,
        nics: Sequence[Interface | str],
        *,
        scope: Scope | None = None,
        twin_of: str | None = None,
        wait: float = 30.0,
    ) -> Single:
        """Attach all of `nics` (models, or ``<interface>`` XML), or none of them.

        `scope` None means live, for a running domain. A NIC without a MAC or alias gets a new MAC, and an alias that begins with ``ua-``. `twin_of` is the
        emulated NIC whose identity the only NIC of the request may take (see `handover`). The `Outcome` is ``done`` or ``already``. `wait` bounds how
        long the guest is waited for if something has to be undone.
        """
        return self._asked(domain, Attach(nics, scope=scope, twin_of=twin_of), wait)

    plan_attach = attach.plan

    @RunsOne
    def detach(
        self,
        domain: str,
        nics: str | Sequence[str],
        *,
        scope: Scope | None = None,
        restore_emulated: bool | None = None,
        wait: float = 30.0,
    ) -> Single:
        """Detach NICs; done only when the guest has let go.

        The `Outcome` is ``done``, or ``pending`` if the guest still holds a NIC after `wait` seconds. The journal keeps a pending detach, and `recover`
        or the next operation on the domain finishes it. A second detach of a pending NIC joins the wait. If the NIC had replaced an emulated NIC in a
        hand-over, the emulated NIC is attached again, unless an unplug policy is set. `restore_emulated` overrules both.
        """
        names = [nics] if isinstance(nics, str) else list(nics)
        return self._asked(domain, Detach(names, scope=scope, restore_emulated=restore_emulated), wait)

    plan_detach = detach.plan

    @RunsOne
    def update(
        self,
        domain: str,
        nic: str,
        changes: Mapping[str, Any] | str,
        *,
        scope: Scope | None = None,
        replace: bool = False,
        wait: float = 30.0,
    ) -> Single:
        """Change a NIC: `changes` maps fields of `Interface` to new values (None clears), or is the whole new element.

        What libvirt cannot change in place raises `NeedsReplace` unless `replace`. `replace` takes the NIC out and puts it in again with its MAC, alias and
        guest PCI address. The `Outcome` is ``done``, ``already`` or (a replacement only) ``pending``.
        """
        return self._asked(domain, Update(nic, changes, scope=scope, replace=replace), wait)

    plan_update = update.plan

    @RunsOne
    def rebind(
        self,
        domain: str,
        nic: str,
        changes: Mapping[str, Any],
        *,
        scope: Scope | None = None,
        replace: bool = False,
        flap_link: bool = False,
        wait: float = 30.0,
    ) -> Single:
        """Change what is behind a running guest's NIC (`rebind.FIELDS` of `Interface`) while its connections live.

        The guest's link does not flap unless `flap_link`. What libvirt cannot change in place raises `NeedsReplace` unless `replace`, as `update`
        does. A NIC that has these connections in its definition, but has lost them on the host, is healed. The `Outcome` is ``done``, ``already`` or
        (a replacement) ``pending``.
        """
        from virtnetplug.hotplug.change.rebind import Rebind

        return self._asked(domain, Rebind(nic, changes, scope=scope, replace=replace, flap_link=flap_link), wait)

    plan_rebind = rebind.plan

    @RunsSeveral
    def heal(
        self,
        domain: str | None = None,
        nic: str | None = None,
        *,
        network: str | None = None,
        bridge: str | None = None,
    ) -> Several:
        """Reconnect the taps and network ports of running guests as their definitions say, after a network or bridge was made anew.

        Heals one NIC, the NICs of one domain, or all; `network` or `bridge` restricts them to NICs of that network or bridge. Returns an `Outcome` for
        each NIC that was cut off. The result is ``refused``, ``undone`` or ``incomplete`` for a NIC that could not be healed. If the caller named the NIC,
        the error is raised instead.
        """
        from virtnetplug.hotplug.audit import severed
        from virtnetplug.hotplug.change import heal

        if nic is not None and domain is not None:
            named = self._asked(domain, heal.Heal(nic), 0.0)
            return Asked(run=lambda: (named.run(),), plan=lambda: (named.plan(),))
        places = severed.severed(self._host, domain, network=network, bridge=bridge)
        return Asked(
            run=partial(severed.heal_severed, self._host, self._locked, places),
            plan=partial(severed.plan_heal_severed, self._host, places),
        )

    plan_heal = heal.plan

    @RunsOne
    def rebind_vf(self, domain: str, nic: str, to: PciAddress | str = "auto", *, wait: float = 30.0) -> Single:
        """Move an assigned NIC to another VF: `to` is its address, or ``auto`` for the best other VF of the NIC's pool.

        The new VF gets the MAC, the VLAN and all other settings of the old VF; alias and guest address stay. A teaming partner carries the traffic
        meanwhile; without a partner the traffic stops. The `Outcome` is ``done``, ``already`` or ``pending``. If the move fails, the old VF is assigned
        again.
        """
        from virtnetplug.hotplug.change.rebind_vf import RebindVf

        return self._asked(domain, RebindVf(nic, to), wait)

    plan_rebind_vf = rebind_vf.plan

    @RunsOne
    def rebind_vif(self, domain: str, nic: str, *, reload_driver: bool = False, wait: float = 30.0) -> Single:
        """Unbind the backend driver from a running Xen guest's vif, and bind it again; the guest keeps its connections.

        `reload_driver` also reloads the driver, which unbinds it from every vif of the host, of all domains: see the plan first. Raises `UsageError` on any
        other host. Raises `VifNotConnected`, with the states of both ends, if they are not Connected again after `wait` seconds. The `Outcome` is ``done``;
        its `reason` is ``ring-renewed`` if a guest made a new connection meanwhile.
        """
        from virtnetplug.hotplug.vif import rebind_vif

        return rebind_vif.rebind_vif(self._host, domain, nic, reload_driver=reload_driver, seconds=wait)

    plan_rebind_vif = rebind_vif.plan

    @RunsOne
    def rebind_pf(
        self,
        pf: PciAddress | str,
        *,
        reload_driver: bool = False,
        numvfs: int | None = None,
        firmware_hook: str | Sequence[str] | None = None,
        allow_outage: bool = False,
        wait: float = 30.0,
    ) -> Single:
        """Reload a PF's driver, change its number of VFs, or run a firmware hook, while guests have its VFs.

        All VFs leave their guests; `wait` bounds how long all guests together are waited for. Then every guest gets a VF again, with its identity and
        settings. `pf` is an address or a network interface. The hook is a program with its arguments, never a shell's line. Guests without a teaming
        partner are refused unless `allow_outage`. The `Outcome` is ``done``, ``already``, or ``pending`` if a guest does not let go: then the PF was left
        alone. The outcome's `domain` is the PF's address.
        """
        from virtnetplug.hotplug.pf import plan, rebind_pf

        wish = plan.wish_of(
            reload_driver=reload_driver, numvfs=numvfs, firmware_hook=firmware_hook, allow_outage=allow_outage
        )
        return rebind_pf.rebind_pf(self._host, pf, wish, seconds=wait)

    plan_rebind_pf = rebind_pf.plan

    @RunsOne
    def handover(
        self,
        domain: str,
        emulated: str,
        fast: Interface | str,
        *,
        scope: Scope | None = None,
        allow_filter_loss: bool = False,
        wait: float = 30.0,
    ) -> Single:
        """Let `fast` serve in place of the emulated NIC, with its MAC, its guest PCI address and all other properties that `fast` can have.

        `fast` names a NIC of the guest, or is a new NIC to attach (a model, or ``<interface>`` XML). If `emulated` is the persistent half of a teaming pair,
        `emulated` stays and `fast` becomes the transient half. The `Outcome` is ``done``, ``already`` or ``pending``.
        """
        from virtnetplug.hotplug.identity.handover import Handover

        return self._asked(domain, Handover(emulated, fast, scope=scope, allow_filter_loss=allow_filter_loss), wait)

    plan_handover = handover.plan

    @RunsOne
    def handback(self, domain: str, emulated: str, *, scope: Scope | None = None, wait: float = 30.0) -> Single:
        """Restore the emulated NIC as it was before the hand-over; the NIC that served in its place leaves.

        `scope` None means every definition that lacks the emulated NIC. The `Outcome` is ``done``, ``already`` or ``pending``.
        """
        from virtnetplug.hotplug.identity.handback import Handback

        return self._asked(domain, Handback(emulated, scope=scope), wait)

    plan_handback = handback.plan

    def identities(self, domain: str | None = None) -> tuple[IdentityView, ...]:
        """What the metadata of one domain, or of all, keeps of emulated NICs, and where these NICs and their fast twins are now."""
        from virtnetplug.hotplug.identity import metadata

        return metadata.identities(self._host, domain)

    @interruptible(ONE)
    def forget_identity(self, domain: str, emulated: str, *, force: bool = False) -> Outcome:
        """Delete what the domain's metadata keeps of an emulated NIC, and with it the claim of its fast twin; nothing of the guest changes.

        Refused (``identity-only-copy``) for a NIC that no definition has, because the metadata is its only copy; `force` overrules that.
        """
        from virtnetplug.hotplug.identity import metadata

        with self._locked(domain) as (found, _):
            return metadata.forget(self._host, found, emulated, force=force)

    @interruptible(ONE)
    def set_policy(
        self,
        domain: str | None,
        *,
        unplug: UnplugPolicy | None = None,
        force_unplug: str | None = None,
        serve: Sequence[str] | None = None,
        wait: float = 30.0,
    ) -> Outcome:
        """Set when emulated NICs are unplugged automatically (`unplug`), and a group of NICs of which one carries the traffic (`serve`).

        The domain keeps the policy, and a running guest follows it at once. `force_unplug` is the word ``NICS``, which means `UnplugPolicy.PRESENT`.
        `domain` None means this host's default, which has no `serve`. `wait` bounds how long a guest is waited for that a NIC is to leave.
        """
        from virtnetplug.hotplug.identity import metadata

        policy = metadata.asked(unplug, force_unplug)
        if domain is None:
            if policy is None or serve is not None:
                raise UsageError("a host's default says when emulated NICs go: `unplug` or `force_unplug='NICS'`")
            return metadata.set_host_policy(self._host, policy)
        return self._governed(domain, partial(metadata.set_policy, self._host, unplug=policy, serve=serve), wait)

    @interruptible(ONE)
    def clear_policy(
        self, domain: str | None, *, unplug: bool = True, serve: bool = True, wait: float = 30.0
    ) -> Outcome:
        """Delete the policy of unplugging, the groups of NICs, or both. Links that were held down go up. `domain` None means this host's default."""
        from virtnetplug.hotplug.identity import metadata

        if domain is None:
            return metadata.set_host_policy(self._host, UnplugPolicy.KEEP)
        return self._governed(domain, partial(metadata.clear_policy, self._host, unplug=unplug, serve=serve), wait)

    def explain_policy(self, domain: str) -> PolicyView:
        """Which emulated NICs are unplugged, which NIC carries the traffic, and why, for the domain as it is now; nothing is touched."""
        from virtnetplug.hotplug.identity import metadata

        return metadata.explain_policy(self._host, self._host.hypervisor.domain(domain))

    def list(self, domain: str | None = None) -> tuple[Nic, ...]:
        """Every NIC of one domain, or of all, as long as the guest or its definition has it."""
        return inventory.list_nics(self._host, domain)

    def show(self, domain: str, nic: str) -> NicDetail:
        """One NIC with its elements and its history."""
        return inventory.show_nic(self._host, domain, nic)

    @RunsSeveral
    def recover(
        self,
        domain: str | None = None,
        *,
        wait: float = 0.0,
        allow_taint: bool = False,
        any_address: bool = False,
        forget: str = "",
    ) -> Several:
        """Finish or undo the open operations of one domain or of all, then enforce policies that are not met. Returns an `Outcome` for each.

        An operation that belongs to a living call is left to that call: ``pending`` with ``operation-busy``, or with ``operation-stalled`` if the call
        makes no progress. A record that this version does not know stays open (``operation-newer``).
        `wait` bounds each wait by itself: for each guest, for each lock and for each such call. A lock is waited for at least 5 s, but not at all if `wait`
        is 0. `any_address` puts a NIC whose guest address somebody has taken (``place-taken``) at another address. `allow_taint` has QEMU remove a NIC
        that libvirt does not know any more, which taints the domain.

        `forget` is the id of an operation to close as ``left``; no other operation is looked at then. Its guest was saved, ended in an unknown
        way, has its NIC connected to something else, or lacks a NIC that cannot be re-attached. Raises `ForgetRefused` for any other operation.
        """
        from virtnetplug.hotplug.identity import enforcement

        host, settle = self._host, partial(recover.recover, self._host, domain, seconds=wait)
        if forget:
            return Asked(
                run=partial(settle, forget=forget), plan=partial(recover.plan_recover, host, domain, forget=forget)
            )
        return Asked(
            run=lambda: (
                *settle(allow_taint=allow_taint, any_address=any_address),
                *enforcement.finish(host, domain, seconds=wait),
            ),
            plan=lambda: (*recover.plan_recover(host, domain), *enforcement.plan_finish(host, domain)),
        )

    plan_recover = recover.plan

    def audit(self, domain: str | None = None) -> AuditReport:
        """Compare live XML, config XML, network ports, taps, bridges and the journal; nothing is touched."""
        from virtnetplug.hotplug.audit import audit

        return audit.audit(self._host, domain)

    @interruptible(SEVERAL)
    def repair(self, report: AuditReport) -> AuditReport:
        """Mend what is safe to mend of `report`; each finding says whether it was mended."""
        from virtnetplug.hotplug.audit import repair

        return repair.repair(self._host, report)

    def devices(self) -> DeviceTree:
        """Every SR-IOV network device of the host, who has it and what is wrong with it; nothing is touched."""
        from virtnetplug.hotplug.report import devices

        return devices.device_tree(self._host)

    def states(self) -> Mapping[tuple[str, str], tuple[State, State]]:
        """On Xen: frontend and backend of the NICs that virtnetplug plugged, by domain UUID and alias. Empty on other hypervisors."""
        return inventory.shown_states(self._host)

    def history(self, domain: str | None = None, *, limit: int = 20) -> tuple[OperationRecord, ...]:
        """The newest operations first; the operations on `domain` (UUID, name or id) are found under whatever name it had."""
        hypervisor = self._host.hypervisor
        names = {each.uuid: each.name for each in hypervisor.domains()} if domain is not None else {}
        history = partial(self._host.journal.history, hypervisor=hypervisor.key, names=names, limit=limit)
        found = history(domain=domain)
        if domain is not None and not found and domain not in names.values():
            # Perhaps an id, or a UUID in another spelling.
            with suppress(DomainMissing):
                found = history(domain=hypervisor.domain(domain).uuid)
        return tuple(found)

    def close(self) -> None:
        """Close the connection and the journal; safe twice."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asked(self, domain: str, operation: Operation, seconds: float) -> Single:
        return Asked(run=partial(self._run, domain, operation, seconds), plan=partial(self.plan, domain, operation))

    def _run(self, name: str, operation: Operation, seconds: float) -> Outcome:
        def run(found: Domain, lock: Lock) -> Outcome:
            return operation.prepare(self._host, found).run(self._host, lock, seconds)

        if operation.is_governed:
            return self._governed(name, run, seconds)
        with self._locked(name, seconds) as (found, lock):
            return run(found, lock)

    def _governed(self, name: str, run: Callable[[Domain, Lock], Outcome], seconds: float) -> Outcome:
        """Run the operation, then enforce the policies of the domain. A domain without a policy costs nothing more."""
        with self._locked(name, seconds) as (found, lock):
            watched = WatchedDomain(found)
            outcome = run(cast(Domain, watched), lock)
            if not watched.has_metadata or outcome.result not in (Result.DONE, Result.ALREADY):
                return outcome
            from virtnetplug.hotplug.identity import enforcement

            return enforcement.after(self._host, found, lock, outcome, seconds=seconds)

    @contextmanager
    def _locked(self, name: str, seconds: float = LEAST) -> Iterator[tuple[Domain, Lock]]:
        """Lock the domain and settle what a crash left open on it. The lock is waited for `seconds`, and at least `LEAST`."""
        domain = self._host.hypervisor.domain(name)
        with Lock(self._host, [domain], seconds) as lock:
            settle_crashed(self._host, domain, lock)
            yield domain, lock
