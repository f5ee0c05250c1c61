"""The Python API: what an orchestrator holds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from virtnetplug import interruption
from virtnetplug.errors import UsageError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import LEAST, DomainLock
from virtnetplug.hotplug.call.notice import Notice
from virtnetplug.hotplug.change.update import Update
from virtnetplug.hotplug.engine.operation import Operation
from virtnetplug.hotplug.identity.beside import AttachBeside, DetachBeside
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

P = ParamSpec("P")
T = TypeVar("T")


def _interruptible(
    said: str,
) -> Callable[[Callable[Concatenate[Plugger, P], T]], Callable[Concatenate[Plugger, P], T]]:
    """Decorate a method that changes something: a signal ends it at its safe points. `said` is the message of a signal outside any operation."""

    def decorate(method: Callable[Concatenate[Plugger, P], T]) -> Callable[Concatenate[Plugger, P], T]:
        @functools.wraps(method)
        def run(self: Plugger, /, *args: P.args, **named: P.kwargs) -> T:
            with interruption.deferred():
                try:
                    return method(self, *args, **named)
                except interruption.Interrupt as stop:
                    raise interruption.interrupted(said, stop) from None

        return run

    return decorate


_single = _interruptible("Interrupted before the operation began; nothing of it was touched.")
_of_many = _interruptible(
    "Interrupted between two operations: what was done before stands, and what was left is not touched or still in the "
    "journal. Run it again to go on."
)


class Plugger:
    """Hot-plugs the NICs of one hypervisor's running guests; usable from many threads at once.

    Made by `virtnetplug.open`. Every method raises a `virtnetplug.errors.VirtnetplugError` and nothing else. Its `reason` is stable; `exit_code` says
    whether anything was touched (3: nothing; 4: undone; 5: not all undone, the journal keeps it). A domain is named by name, UUID or id. A NIC is
    named by alias, MAC, host device name or PCI address (guest or host), which must match exactly one NIC. `wait` is in seconds.
    """

    def __init__(self, host: Host, close: Callable[[], None]) -> None:
        self._host = host
        self._close = close

    @property
    def uri(self) -> str:
        """The hypervisor's canonical URI."""
        return self._host.hypervisor.uri

    @_single
    def run(self, domain: str, operation: Operation, *, wait: float = 30.0) -> Outcome:
        """Run an operation object, such as `hotplug.change.detach.Detach`, on the domain: most methods here make one and run it.

        The `Outcome` is ``done``, ``already`` or ``pending``. Some pending operations are raised as `LeftPending`: an operation that could not take
        the domain's lock again (``domain-busy``), or whose NIC's place was taken (``place-taken``). `wait` bounds each wait by itself: for the
        domain's lock (at least 5 s)
        and for the guest.
        """
        return self._run(domain, operation, wait)

    def plan(self, domain: str, operation: Operation) -> Plan:
        """What `run` would do, with every refusal; nothing is touched, and no lock is taken."""
        return operation.prepare(self._host, self._host.hypervisor.domain(domain)).plan()

    @_single
    def attach(
        self,
        domain: str,
        nics: Sequence[Interface | str],
        *,
        scope: Scope | None = None,
        twin_of: str | None = None,
        wait: float = 30.0,
    ) -> Outcome:
        """Attach NICs: all of `nics` (models, or ``<interface>`` XML) or none.

        `scope` None means live, for a running domain. A MAC and a ``ua-`` alias are minted where a request has none. `twin_of` is the emulated NIC
        whose identity the one NIC of the request may take (see `handover`). The `Outcome` is ``done`` or ``already``; `wait` bounds how long the
        guest is waited for if something has to be undone.
        """
        return self._run(domain, AttachBeside(nics, scope=scope, twin_of=twin_of), wait)

    @_single
    def detach(
        self,
        domain: str,
        nics: str | Sequence[str],
        *,
        scope: Scope | None = None,
        restore_emulated: bool | None = None,
        wait: float = 30.0,
    ) -> Outcome:
        """Detach NICs; done only when the guest has let go.

        The `Outcome` is ``done``, or ``pending`` if the guest still holds a NIC after `wait` seconds. The journal keeps a pending detach, and
        `recover` or the next operation on the domain finishes it. Naming a NIC that is pending already joins the wait.
        If a hand-over had detached an emulated NIC for one of them, the emulated NIC returns, as by `handback`, unless an unplug policy is set.
        `restore_emulated` overrules both.
        """
        return self._run(domain, _detach(nics, scope, restore_emulated), wait)

    @_single
    def update(
        self,
        domain: str,
        nic: str,
        changes: Mapping[str, Any] | str,
        *,
        scope: Scope | None = None,
        replace: bool = False,
        wait: float = 30.0,
    ) -> Outcome:
        """Change a NIC: `changes` maps fields of `Interface` to new values (None clears), or is the whole new element.

        What libvirt cannot change in place raises `NeedsReplace`. `replace` instead detaches the NIC and attaches it again with its MAC, alias and
        guest PCI address. The `Outcome` is ``done``, ``already`` or (a replacement only) ``pending``.
        """

        return self._run(domain, Update(nic, changes, scope=scope, replace=replace), wait)

    @_single
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
    ) -> Outcome:
        """Change what is behind a running guest's NIC (`rebind.FIELDS` of `Interface`) while its connections live.

        The guest's link does not flap unless `flap_link`. What libvirt cannot change in place raises `NeedsReplace` unless `replace`, as `update`
        does. A NIC that is connected so already, but cut off, is healed. The `Outcome` is ``done``, ``already`` or (a replacement) ``pending``.
        """
        from virtnetplug.hotplug.change.rebind import Rebind

        return self._run(domain, Rebind(nic, changes, scope=scope, replace=replace, flap_link=flap_link), wait)

    @_of_many
    def heal(
        self,
        domain: str | None = None,
        nic: str | None = None,
        *,
        network: str | None = None,
        bridge: str | None = None,
    ) -> tuple[Outcome, ...]:
        """Return the taps and network ports of running guests to where their definitions say, after a network or bridge was made anew.

        The call looks at one NIC, one domain or all, or at one `network` or `bridge`. One `Outcome` for each NIC that was cut off; ``refused``,
        ``undone`` or
        ``incomplete`` tells one that could not be healed, which is raised if that NIC was named.
        """
        from virtnetplug.hotplug.audit import severed
        from virtnetplug.hotplug.change import heal

        if nic is not None and domain is not None:
            return (self._run(domain, heal.Heal(nic), 0.0),)
        places = severed.severed(self._host, domain, network=network, bridge=bridge)
        return severed.heal_severed(self._host, self._locked, places)

    @_single
    def rebind_vf(self, domain: str, nic: str, to: PciAddress | str = "auto", *, wait: float = 30.0) -> Outcome:
        """Move an assigned NIC to another VF: `to` is its address, or ``auto`` for the best other one of the NIC's pool.

        Alias, guest address, MAC, VLAN and all else that was set of the VF stay. A teaming partner carries the traffic meanwhile; without a partner
        the traffic stops. The `Outcome` is ``done``, ``already`` or ``pending``; whatever fails, the old VF is back.
        """
        from virtnetplug.hotplug.change.rebind_vf import RebindVf

        return self._run(domain, RebindVf(nic, to), wait)

    @_single
    def rebind_vif(self, domain: str, nic: str, *, reload_driver: bool = False, wait: float = 30.0) -> Outcome:
        """Unbind the backend's driver from a running Xen guest's vif, and bind it again. The guest keeps its connections.

        `reload_driver` also loads the driver anew. That unbinds it from every vif of the host, whichever domain has it: see the plan first. Raises
        `UsageError`
        on any other host, and `VifNotConnected` with the states of both ends where they are not Connected again after `wait` seconds. The
        `Outcome` is ``done``; its `reason` is ``ring-renewed`` where a guest connected anew meanwhile.
        """
        from virtnetplug.hotplug.vif import rebind

        return rebind.rebind_vif(self._host, domain, nic, reload_driver=reload_driver, seconds=wait)

    @_single
    def rebind_pf(
        self,
        pf: PciAddress | str,
        *,
        reload_driver: bool = False,
        numvfs: int | None = None,
        firmware_hook: str | Sequence[str] | None = None,
        allow_outage: bool = False,
        wait: float = 30.0,
    ) -> Outcome:
        """Bind a PF's driver anew, let it have another number of VFs, or run a firmware hook, under guests that have its VFs.

        All of them are detached, and every guest gets a VF again, with its identity and settings. `wait` bounds how long all guests together are
        waited for. `pf` is an address or a network interface; the hook is a program with its arguments, never a shell's line. Guests
        without a teaming partner are refused unless `allow_outage`. The `Outcome` is ``done``, ``already``, or ``pending`` where a guest holds on: then
        the PF was left alone. Its `domain` is the PF's address.
        """
        from virtnetplug.hotplug.pf import plan, rebind

        wish = plan.wish_of(
            reload_driver=reload_driver, numvfs=numvfs, firmware_hook=firmware_hook, allow_outage=allow_outage
        )
        return rebind.rebind_pf(self._host, pf, wish, seconds=wait)

    @_single
    def handover(
        self,
        domain: str,
        emulated: str,
        fast: Interface | str,
        *,
        scope: Scope | None = None,
        allow_filter_loss: bool = False,
        wait: float = 30.0,
    ) -> Outcome:
        """Let `fast` serve in place of the emulated NIC, with its MAC, guest PCI address and all else that it can have of it.

        `fast` names a NIC that the guest has, or is one to be attached (a model, or ``<interface>`` XML). Where `emulated` is a teaming
        pair's persistent half it stays, and `fast` becomes the transient one. The `Outcome` is ``done``, ``already`` or ``pending``.
        """
        from virtnetplug.hotplug.identity.handover import Handover

        wanted = Handover(emulated, fast, scope=scope, allow_filter_loss=allow_filter_loss)
        return self._run(domain, wanted, wait)

    @_single
    def handback(self, domain: str, emulated: str, *, scope: Scope | None = None, wait: float = 30.0) -> Outcome:
        """Restore the emulated NIC as it was before it was handed over. The NIC that served in its place leaves.

        `scope` None means wherever it is out. The `Outcome` is ``done``, ``already`` or ``pending``.
        """
        from virtnetplug.hotplug.identity.handback import Handback

        return self._run(domain, Handback(emulated, scope=scope), wait)

    def identities(self, domain: str | None = None) -> tuple[IdentityView, ...]:
        """What one domain, or all, remember of their emulated NICs, and where these and their fast twins are now."""
        from virtnetplug.hotplug.identity import identities

        return identities.identities(self._host, domain)

    @_single
    def forget_identity(self, domain: str, emulated: str, *, force: bool = False) -> Outcome:
        """Delete what the domain's metadata keeps of an emulated NIC, and with it the claim of its fast twin; nothing of the guest changes.

        Refused (``identity-only-copy``) for a NIC that no definition has, because the metadata is its only copy; `force` overrules that.
        """
        from virtnetplug.hotplug.identity import identities

        with self._locked(domain) as (found, _):
            return identities.forget(self._host, found, emulated, force=force)

    @_single
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
        from virtnetplug.hotplug.identity import policies

        policy = policies.asked(unplug, force_unplug)
        if domain is None:
            if policy is None or serve is not None:
                raise UsageError("a host's default says when emulated NICs go: `unplug` or `force_unplug='NICS'`")
            return policies.set_host_policy(self._host, policy)

        def run(found: Domain, lock: DomainLock) -> Outcome:
            return policies.set_policy(self._host, found, lock, unplug=policy, serve=serve)

        return self._governed(domain, run, wait)

    @_single
    def clear_policy(
        self, domain: str | None, *, unplug: bool = True, serve: bool = True, wait: float = 30.0
    ) -> Outcome:
        """Delete the policy of unplugging, the groups of NICs, or both. Links that were held down go up. `domain` None means this host's default."""
        from virtnetplug.hotplug.identity import policies

        if domain is None:
            return policies.set_host_policy(self._host, UnplugPolicy.KEEP)

        def run(found: Domain, lock: DomainLock) -> Outcome:
            return policies.clear_policy(self._host, found, lock, unplug=unplug, serve=serve)

        return self._governed(domain, run, wait)

    def explain_policy(self, domain: str) -> PolicyView:
        """Which emulated NICs are unplugged, which NIC carries the traffic, and why, for the domain as it is now; nothing is touched."""
        from virtnetplug.hotplug.identity import policies

        return policies.explain_policy(self._host, self._host.hypervisor.domain(domain))

    def plan_attach(
        self,
        domain: str,
        nics: Sequence[Interface | str],
        *,
        scope: Scope | None = None,
        twin_of: str | None = None,
    ) -> Plan:
        """What `attach` would do, with every refusal; nothing is touched."""
        return self.plan(domain, AttachBeside(nics, scope=scope, twin_of=twin_of))

    def plan_detach(
        self,
        domain: str,
        nics: str | Sequence[str],
        *,
        scope: Scope | None = None,
        restore_emulated: bool | None = None,
    ) -> Plan:
        """What `detach` would do; nothing is touched."""
        return self.plan(domain, _detach(nics, scope, restore_emulated))

    def plan_rebind(
        self,
        domain: str,
        nic: str,
        changes: Mapping[str, Any],
        *,
        scope: Scope | None = None,
        replace: bool = False,
        flap_link: bool = False,
    ) -> Plan:
        """What `rebind` would do; nothing is touched."""
        from virtnetplug.hotplug.change.rebind import Rebind

        return self.plan(domain, Rebind(nic, changes, scope=scope, replace=replace, flap_link=flap_link))

    def plan_heal(
        self,
        domain: str | None = None,
        nic: str | None = None,
        *,
        network: str | None = None,
        bridge: str | None = None,
    ) -> tuple[Plan, ...]:
        """What `heal` would do, one plan for each NIC that is cut off; nothing is touched."""
        from virtnetplug.hotplug.audit import severed
        from virtnetplug.hotplug.change import heal

        if nic is not None and domain is not None:
            return (self.plan(domain, heal.Heal(nic)),)
        places = severed.severed(self._host, domain, network=network, bridge=bridge)
        return severed.plan_heal_severed(self._host, places)

    def plan_rebind_vf(self, domain: str, nic: str, to: PciAddress | str = "auto") -> Plan:
        """What `rebind_vf` would do; nothing is touched."""
        from virtnetplug.hotplug.change.rebind_vf import RebindVf

        return self.plan(domain, RebindVf(nic, to))

    def plan_rebind_vif(self, domain: str, nic: str, *, reload_driver: bool = False) -> Plan:
        """What `rebind_vif` would do, and to which vifs of the host (its `warnings`); nothing is touched."""
        from virtnetplug.hotplug.vif import rebind

        return rebind.plan_rebind_vif(self._host, domain, nic, reload_driver=reload_driver)

    def plan_rebind_pf(
        self,
        pf: PciAddress | str,
        *,
        reload_driver: bool = False,
        numvfs: int | None = None,
        firmware_hook: str | Sequence[str] | None = None,
        allow_outage: bool = False,
    ) -> Plan:
        """What `rebind_pf` would do, and what becomes of each guest meanwhile (its `warnings`); nothing is touched."""
        from virtnetplug.hotplug.pf import plan, rebind

        wish = plan.wish_of(
            reload_driver=reload_driver, numvfs=numvfs, firmware_hook=firmware_hook, allow_outage=allow_outage
        )
        return rebind.plan_rebind_pf(self._host, pf, wish)

    def plan_handover(
        self,
        domain: str,
        emulated: str,
        fast: Interface | str,
        *,
        scope: Scope | None = None,
        allow_filter_loss: bool = False,
    ) -> Plan:
        """What `handover` would do; nothing is touched."""
        from virtnetplug.hotplug.identity.handover import Handover

        return self.plan(domain, Handover(emulated, fast, scope=scope, allow_filter_loss=allow_filter_loss))

    def plan_handback(self, domain: str, emulated: str, *, scope: Scope | None = None) -> Plan:
        """What `handback` would do; nothing is touched."""
        from virtnetplug.hotplug.identity.handback import Handback

        return self.plan(domain, Handback(emulated, scope=scope))

    def plan_update(
        self,
        domain: str,
        nic: str,
        changes: Mapping[str, Any] | str,
        *,
        scope: Scope | None = None,
        replace: bool = False,
    ) -> Plan:
        """What `update` would do; nothing is touched."""
        return self.plan(domain, Update(nic, changes, scope=scope, replace=replace))

    def list(self, domain: str | None = None) -> tuple[Nic, ...]:
        """Every NIC of one domain, or of all, as long as the guest or its definition has it."""
        return inventory.list_nics(self._host, domain)

    def show(self, domain: str, nic: str) -> NicDetail:
        """One NIC with its elements and its history."""
        return inventory.show_nic(self._host, domain, nic)

    @_of_many
    def recover(
        self,
        domain: str | None = None,
        *,
        wait: float = 0.0,
        allow_taint: bool = False,
        any_address: bool = False,
        forget: str = "",
    ) -> tuple[Outcome, ...]:
        """Finish or undo the open operations of one domain or of all, then enforce policies that are not met. Returns an `Outcome` for each.

        An operation that a living call owns is left to it: ``pending`` with ``operation-busy``, or with ``operation-stalled`` if it
        makes no progress. A record that this version does not know stays open (``operation-newer``).
        `wait` bounds each wait by itself: for each guest, for each lock and for each such call. A lock is waited for at least 5 s, and not at all if
        `wait` is 0. `any_address` puts
        a NIC whose guest address somebody has taken (``place-taken``) at another one. `allow_taint` has QEMU remove a NIC that libvirt does not know any more,
        which taints the domain. `forget` is the id of the one operation to close, as ``left``. Its guest was saved, ended in a way that is not known,
        has its NIC connected elsewhere, or lacks a NIC for good. Raises `ForgetRefused` for any other operation.
        """
        from virtnetplug.hotplug.identity import enforcement

        if forget:
            return recover.recover(self._host, domain, seconds=wait, forget=forget)
        settled = recover.recover(self._host, domain, seconds=wait, allow_taint=allow_taint, any_address=any_address)
        return (*settled, *enforcement.finish(self._host, domain, seconds=wait))

    def plan_recover(self, domain: str | None = None, *, forget: str = "") -> tuple[Plan, ...]:
        """What `recover` would do; nothing is touched."""
        if forget:
            return recover.plan_recover(self._host, domain, forget=forget)
        from virtnetplug.hotplug.identity import enforcement

        return (*recover.plan_recover(self._host, domain), *enforcement.plan_finish(self._host, domain))

    def audit(self, domain: str | None = None) -> AuditReport:
        """Compare live XML, config XML, network ports, taps, bridges and the journal; nothing is touched."""
        from virtnetplug.hotplug.audit import audit  # as those below: no attach or detach needs it

        return audit.audit(self._host, domain)

    @_of_many
    def repair(self, report: AuditReport) -> AuditReport:
        """Mend what is safe to mend of `report`; each finding says whether it was."""
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
        """The newest operations first; those of `domain` under whatever name it had."""
        hypervisor = self._host.hypervisor
        names = {each.uuid: each.name for each in hypervisor.domains()} if domain is not None else {}
        return tuple(self._host.journal.history(hypervisor=hypervisor.key, domain=domain, names=names, limit=limit))

    def close(self) -> None:
        """Let go of the connection and the journal; safe twice."""
        self._close()

    def __enter__(self) -> Plugger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, name: str, operation: Operation, seconds: float) -> Outcome:
        def run(found: Domain, lock: DomainLock) -> Outcome:
            return operation.prepare(self._host, found).run(self._host, lock, seconds)

        if operation.is_governed:
            return self._governed(name, run, seconds)
        with self._locked(name, seconds) as (found, lock):
            return run(found, lock)

    def _governed(self, name: str, run: Callable[[Domain, DomainLock], Outcome], seconds: float) -> Outcome:
        """The operation on the domain, and what policies of the domain have done after it; one that keeps none costs nothing more."""
        with self._locked(name, seconds) as (found, lock):
            notice = Notice(found)
            outcome = run(notice.watched, lock)
            if not notice.has_metadata or outcome.result not in (Result.DONE, Result.ALREADY):
                return outcome
            from virtnetplug.hotplug.identity import enforcement

            return enforcement.after(self._host, found, lock, outcome, seconds=seconds)

    @contextmanager
    def _locked(self, name: str, seconds: float = LEAST) -> Iterator[tuple[Domain, DomainLock]]:
        """The domain under its lock, with what a crash left of it settled; the lock is waited for `seconds`, and `LEAST`."""
        domain = self._host.hypervisor.domain(name)
        with DomainLock(self._host, domain, seconds) as lock:
            settle_crashed(self._host, domain, lock)
            yield domain, lock


def _detach(nics: str | Sequence[str], scope: Scope | None, restore_emulated: bool | None) -> DetachBeside:
    names = [nics] if isinstance(nics, str) else list(nics)
    return DetachBeside(names, scope=scope, restore_emulated=restore_emulated)
