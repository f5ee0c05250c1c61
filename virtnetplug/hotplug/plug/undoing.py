"""The undos of the steps that change a guest: each is written once, for the process that ran the step and for a recovery.

Every function that returns `Undos` names the steps as the journal does. An undo takes all it needs from the journal, never from the process that ran
the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from virtnetplug import xml
from virtnetplug.backends import Backend, are_lent, backend_for, backend_of
from virtnetplug.backends.vf_identity import devices_of
from virtnetplug.errors import (
    BackendMissing,
    Failed,
    GuestMigrated,
    LeftPending,
    NotApplied,
    Refused,
    RemovalFailed,
    sentence,
)
from virtnetplug.hotplug.check.reserved import expect_free
from virtnetplug.hotplug.engine.operation import Site
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, recover_command
from virtnetplug.hotplug.guest import guest, orphans
from virtnetplug.hotplug.guest.asking import take_out
from virtnetplug.hotplug.guest.definition import config_net, is_defined
from virtnetplug.hotplug.guest.ending import expect_over
from virtnetplug.hotplug.guest.guest import Answer
from virtnetplug.hotplug.guest.travel import forget, known
from virtnetplug.hotplug.look.recognition import end_of
from virtnetplug.hotplug.look.view import describe, has_source_of, is_alike, name_in_config, same
from virtnetplug.hotplug.plug.announcement import announce_partner
from virtnetplug.hotplug.plug.defining import leaves
from virtnetplug.hotplug.plug.edit import check_applied
from virtnetplug.hotplug.plug.last_seen import (
    RETURNED,
    SEEN,
    as_seen,
    end_that_came,
    is_put_in,
    keep_returned,
    pass_on,
    see,
)
from virtnetplug.hotplug.plug.remembering import Remembered, undo
from virtnetplug.hotplug.plug.restoring import restore
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import Interface, is_minted
from virtnetplug.model.operation import Half, Phase, StepState
from virtnetplug.model.run import NO_RUN
from virtnetplug.resolve import changes_between
from virtnetplug.undo import WaitsForUndo


def is_next(site: Site, tx: Transaction) -> bool:
    """Whether the run that the undo works on was started since. Such a run has what the definition had, and not what the operation saw in the guest."""
    return bool(tx.record.domain_uuid) and not site.run.matches(tx.record.run_asked)


@dataclass(frozen=True, slots=True)
class Leaving:
    """A NIC that the guest was asked for, and that an undo restores.

    `name` is its name in the steps, `element` its live element, and `defined` its element in the definition, if it was there. `old`: see `restore`.
    """

    name: str
    element: str
    defined: str | None = None
    old: Mapping[str, Any] | None = None

    def known(self, site: Site, tx: Transaction) -> str:
        """The element that is restored: as it was seen last, or, in a run that was started since, as it was defined."""
        if self.defined is not None and is_next(site, tx):
            return self.defined
        return as_seen(tx.record.request, self.name, self.element)


@dataclass(frozen=True, slots=True)
class Coming:
    """A NIC that an operation attaches to the guest; `type` is that of its actual device.

    `rewritten` is the element of the definition that the operation changes, before and after. A run that was started since may have the NIC by that
    element, without the alias of `net`.
    """

    type: str
    net: Interface
    rewritten: tuple[Interface, Interface] | None = None

    @property
    def backend(self) -> Backend:
        """The kind of its host end."""
        return backend_for(ActualDevice(type=self.type))


def of_swap(site: Site, tx: Transaction, left: Sequence[Leaving], came: Sequence[Coming] = ()) -> Undos:
    """Undo the steps that took the NICs `left` out of the guest, and those that attached the NICs that `came` in their place."""
    found: dict[tuple[str, str], Any] = {}
    for new in came:
        found |= of_plug(site, tx, new, left)
    for each in left:
        found["ask", each.name] = partial(_restore, site, tx, each, came)
    return found


def giving_way(net: Interface, leaving: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The elements, by name, of the NICs that leave and are known as `net` is: that NIC itself, and the NIC whose identity it has."""
    nets = [(name, xml.interface(element)) for name, element in leaving]
    return {name: one.element for name, one in nets if name == name_in_config(net) or one.mac == net.mac}


def of_plug(site: Site, tx: Transaction, came: Coming, left: Sequence[Leaving] = ()) -> Undos:
    """Undo the steps that attached a NIC to the guest: take the NIC out of the guest, then remove its host end.

    `left` are the NICs that are restored in its place; without them the NIC is new, and nobody's once it is out. It stays in the guest as long as they
    cannot be restored. What somebody has changed of it goes to the NIC that gave way to it.
    """
    alias, backend = came.net.alias or "", came.backend
    net = replace(came.net, target_dev=None)
    its = replace(net, source_pci=None)  # its element may name the host end of the NIC that it replaced
    leaving = [(each.name, each.element) for each in left]
    gave_way = dict(leaving) if len(leaving) == 1 else giving_way(net, leaving)

    def out() -> None:
        """Also removes a NIC that libvirt failed to attach, does not list, and yet left in the guest.

        The NIC is taken out of whichever run has it. A run that was started between the look and the attach was given the NIC, too. But another run has
        what the definition has, whoever attached the NIC to the run before.
        """
        if left:
            _expect_over(site, tx, backend, net)
        now = guest.now_of(site.domain, its, run=NO_RUN)
        if now is not None and any(is_back(site, tx, each, now, net) for each in left):
            return
        if leaves_there(site, tx, alias, now, its, end=end_that_came(tx, net)):
            return
        of_next = given(site, *came.rewritten) if came.rewritten is not None and is_next(site, tx) else None
        if (there := of_next or now) is not None:
            _expect_return(site, tx, alias, there, left)
        if now is not None and not is_next(site, tx):
            pass_on(tx, SEEN, gave_way, net, now)
        run = site.run if is_defined(site.domain, net) else NO_RUN
        if of_next is not None:
            take_out(site.host, site.domain, of_next, site.seconds, run=site.run)
        elif take_out(site.host, site.domain, its, site.seconds, run=run) is Answer.ENDED:
            _expect_over(site, tx, backend, net)
        if not left and not is_minted(net.alias):
            forget(site.domain, (), [known(net)])
        announce_partner(site.host, site.domain, net, tx)
        if site.domain.evicts_cleanly:
            orphans.evict(site.host, site.domain, [net], site.seconds)
        if run != NO_RUN and tx.was_begun("define", alias):
            raise WaitsForUndo(
                f"{alias} is out for good once the definition has it no more, which gives it to the next run"
            )

    undos: dict[tuple[str, str], Any] = {(backend.attach_step, alias): out}
    for step, _ in backend.plug_steps[:1]:  # it is all that `plug` took, however many steps that had
        undos[step, alias] = partial(_unplug, site, tx, backend, net)
    return {
        **{(step, alias): partial(_expect_backend, step, alias) for step in unknown_steps(tx, backend, alias)},
        **undos,
    }


def unknown_steps(tx: Transaction, backend: Backend, alias: str) -> list[str]:
    """The steps of the record that plug the NIC and that `backend` does not have: another backend planned them."""
    own = {"confirm", "change_device", backend.attach_step, *(name for name, _ in backend.plug_steps)}
    phases = (Phase.ALLOCATE, Phase.PLUG)
    planned = (step for step in tx.steps if step.nic == alias and step.half is Half.LIVE and step.phase in phases)
    return [step.name for step in planned if step.name not in own]


def _expect_backend(step: str, alias: str) -> None:
    raise BackendMissing(
        f"the step {step} of {alias} belongs to a backend that is not installed any more, so nothing here can undo the step. "
        "Install the package of that backend, then run `recover()`"
    )


def is_back(site: Site, tx: Transaction, leaving: Leaving, now: Interface, came: Interface) -> bool:
    """Whether the guest's NIC `now` is the one that left, and not the one of the same alias and MAC that `came` in its place.

    An earlier undo has restored it, or a run that was started since was given it by its definition. Model and source tell the two NICs apart; if both
    are the same, nothing does.
    """
    if leaving.name not in tx.record.request.get(RETURNED, ()) and guest.goes_on(site.domain, tx.record.run_asked):
        return False
    if is_alike(now, came) or are_lent(now, came):
        return False
    elements = {leaving.known(site, tx), leaving.defined or leaving.element}
    its = [net for net in map(xml.interface, elements) if same([now], net) is not None]
    return any(is_alike(now, net) or are_lent(now, net) for net in its)


def _expect_return(site: Site, tx: Transaction, name: str, came: Interface, left: Sequence[Leaving]) -> None:
    """Raise if the NICs that left cannot be restored yet, before the NIC that came in their place is taken out. The guest would have neither.

    `name` is the name in the steps of the NIC that came.
    """
    for each in left:
        net = xml.interface(each.known(site, tx))
        if not tx.was_begun("ask", each.name) or guest.now_of(site.domain, net, run=NO_RUN) is not None:
            continue
        stays_defined = tx.was_begun("define", name) and is_defined(site.domain, came)
        if stays_defined or (is_next(site, tx) and _is_redefined(tx) and not is_defined(site.domain, net)):
            raise WaitsForUndo(f"{describe(came)} stays in the guest until the definition is as it was")
        expect_free(site.domain, net, tx.record, beside=[came])


def _is_redefined(tx: Transaction) -> bool:
    """Whether the definition may still have what the operation changed in it."""
    return any(step.half is Half.CONFIG and tx.was_begun(step.name, step.nic) for step in tx.steps)


def given(site: Site, before: Interface, after: Interface) -> Interface | None:
    """The NIC that a definition with `after` in the place of `before` gave to a run that was started since. None if the run has the NIC as it was before.

    The NIC may lack the alias of `after`: a rewrite that dies between its two calls leaves it so (see `definition.rewrite`).
    """
    nets = guest.nets_of(site.domain)
    now = same(nets, after) or same(nets, replace(after, alias=None))
    if now is None or same(nets, before) is not now:
        return now
    changed = [field for field in changes_between(before, after) if field not in ("alias", "address")]
    try:
        check_applied(after, now, changed)
    except NotApplied:
        return None
    return now if changed else None


def expect_ended(site: Site, tx: Transaction, name: str) -> None:
    """See `expect_over`. The answer holds for all undos of the operation: its guest is away, or the run has ended for good."""
    if tx.away is not None:
        raise tx.away
    if tx.is_over:
        return
    try:
        expect_over(site.domain, site.run, tx.record, name)
    except LeftPending as away:
        tx.away = away
        raise


def _expect_over(site: Site, tx: Transaction, backend: Backend, net: Interface) -> None:
    """Raise where the guest may still have the NIC elsewhere. The host end of a NIC whose guest has left this host is released."""
    try:
        expect_ended(site, tx, net.alias or "")
    except GuestMigrated:
        if guest.now_of(site.domain, net, run=NO_RUN) is None:
            backend.unplug(site.host, site.domain, net)
        raise


def _unplug(site: Site, tx: Transaction, backend: Backend, net: Interface) -> None:
    """Release the host end of the NIC.

    The operation may have lent a device that is held for the NIC again since, to the restored NIC. The guest runs with that device.
    """
    if isinstance(tx.away, GuestMigrated):
        return
    if tx.away is not None:
        raise tx.away
    if tx.was_begun(backend.attach_step, net.alias or ""):
        raise WaitsForUndo(f"the host end of {net.alias} is released once {net.alias} is out of the guest")
    backend.unplug(site.host, site.domain, net)
    taken = (site.domain.uuid, net.alias, tx.record.id)
    for holding in site.host.journal.holdings():
        is_taken = (holding.domain_uuid, holding.alias, holding.operation_id) == taken
        if is_taken and holding.address not in devices_of(site.domain):
            why = holding.quarantine or "another process is returning it"
            raise Failed(f"host device {holding.address} is quarantined: {why}", reason="quarantined")


def _restore(site: Site, tx: Transaction, leaving: Leaving, came: Sequence[Coming]) -> None:
    """Restore a NIC that the guest was asked to let go of. The NICs that `came` in its place must be out first.

    If somebody has connected one of these to something else since, that NIC is left in, and `leaving` stays out.
    """
    alias, element = leaving.name, leaving.known(site, tx)
    net = xml.interface(element)
    expect_ended(site, tx, alias)
    if any(tx.was_begun(new.backend.attach_step, new.net.alias or "") for new in came):
        raise WaitsForUndo(f"{alias} comes back once the NIC that came in its place is out")
    if not _is_due(site, tx, net):
        return
    if (other := _left_in(site, tx, leaving, came)) is not None:
        tx.warn(
            f"{describe(net)} stays out of the guest of {tx.record.domain_name}: {describe(other)}, which came in its place, is left in"
        )
    elif not keeps(site, tx, alias, net):
        keep_returned(tx, alias)
        try:
            restore(
                site.host,
                site.domain,
                alias,
                leaving.known(site, tx),
                old=leaving.old,
                operation=tx.record,
                run=site.run,
            )
        except (Refused, Failed) as error:
            forget_it = f"{recover_command(tx.record, forget=tx.record.id)} closes the {tx.record.operation}."
            error.message = f"{sentence(error.message)} If {alias} is to stay out of the guest, {forget_it}"
            raise
        _warn_elsewhere(site, tx, net)


def _left_in(site: Site, tx: Transaction, leaving: Leaving, came: Sequence[Coming]) -> Interface | None:
    """The NIC that came, and that somebody has connected to something else, or taken out and put in again, since; None if there is none."""
    begun = {(step.name, step.nic) for step in tx.steps if step.state is not StepState.PLANNED}
    for new in came:
        alias = new.net.alias or ""
        is_begun = (new.backend.attach_step, alias) in begun
        now = guest.net_of(site.domain, alias) if is_begun else None
        if now is None or now.mac != new.net.mac or is_back(site, tx, leaving, now, new.net):
            continue
        is_elsewhere = backend_of(now).updatable and not has_source_of(now, new.net)
        if is_elsewhere or is_put_in(site.domain, tx, alias, now, end_that_came(tx, new.net)):
            return now
    return None


def _warn_elsewhere(site: Site, tx: Transaction, net: Interface) -> None:
    """Warn if the definition connects a NIC that is back in the guest to something else: somebody has changed that while the NIC was out."""
    defined = config_net(site.domain, net) if is_defined(site.domain, net) else None
    now = guest.there(site.domain, net)
    if defined is not None and now is not None and not has_source_of(defined, now):
        tx.warn(
            f"{describe(net)} is connected to {now.source} in the guest, as it was seen last there, and to {defined.source} in the definition"
        )


def _is_due(site: Site, tx: Transaction, net: Interface) -> bool:
    """Whether that run is to have the NIC. A run that was started since has what the definition has, once that is undone."""
    if site.run.matches(tx.record.run_asked) or is_defined(site.domain, net):
        return True
    if _is_redefined(tx):
        raise WaitsForUndo(f"{net.alias} comes back once the definition, which the next run has, is as it was")
    return False


def keeps(site: Site, tx: Transaction, name: str, net: Interface) -> bool:
    """Whether a guest that was asked to let go of `net` still has it for sure; else the NIC is out, to be restored. `name` is its name in the steps."""
    now = guest.now_of(site.domain, net, run=site.run)
    if leaves_there(site, tx, name, now, net, end=end_of(net)):
        return True
    if now is None or tx.is_done("guest_release", name):
        return False
    if is_next(site, tx):
        return True  # another run than the one that was asked
    if tx.has_failed("guest_release", name) or (tx.has_failed("ask", name) and not tx.is_resumed):
        return True  # the guest refused, or was not asked
    see(site.domain, tx, name, net.element, now, run=tx.record.run_asked)
    try:  # it may still go, and then nobody could tell: so it is taken out, and attached again
        take_out(site.host, site.domain, net, site.seconds, run=site.run, was_asked=True)
    except RemovalFailed:
        return True
    return False


def leaves_there(site: Site, tx: Transaction, name: str, now: Interface | None, *ours: Interface, end: str) -> bool:
    """The same as `leaves` for the guest's NIC `name` of the steps: the NIC is also left if somebody has put it in since (`is_put_in`)."""
    if leaves(tx, now, *ours):
        return True
    if now is None or now.mac not in {one.mac for one in ours} or not is_put_in(site.domain, tx, name, now, end):
        return False
    end = f"{'host device' if backend_of(now).is_lent else 'tap'} {end_of(now)}"
    tx.warn(
        f"somebody else attached {describe(now)} with the {end} to the guest of {tx.record.domain_name}, after the NIC of the "
        f"{tx.record.operation} was detached. It is left as it is"
    )
    return True


def of_remembering(site: Site, tx: Transaction, requests: Sequence[Mapping[str, Any]]) -> Undos:
    """Undo the steps that changed what the domain's metadata says of NICs. The image of a guest that is away has that metadata as well."""

    def restore_record(request: Mapping[str, Any]) -> None:
        if Half.LIVE.value in request["halves"] and guest.run_of(site.domain) == NO_RUN:
            expect_ended(site, tx, request["name"])
        undo(site.domain, Remembered.from_request(request))

    return {("remember", request["name"]): partial(restore_record, request) for request in requests}
