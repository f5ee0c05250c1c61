"""Heal: restore behind a NIC of a running guest what its definition says, after its network or bridge was made anew.

``net-destroy`` and ``net-start`` leave the tap in no bridge and the network without the NIC's port. libvirt lists the NIC as if all were well.
The port is made again with the UUID that the definition names. The tap joins the bridge that the definition names, and no other. Another network
would also heal a guest, but the guest would see that network's traffic for a moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from virtnetplug import xml
from virtnetplug.errors import (
    ConnectionLost,
    NicMissing,
    NotApplied,
    NotSupported,
    VirtnetplugError,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.hotplug.call.waiting import Work, at_once
from virtnetplug.hotplug.check.preflight import check_scope
from virtnetplug.hotplug.check.request import scope_for
from virtnetplug.hotplug.engine.operation import (
    ELEMENT,
    FLAG,
    NICS,
    OBJECT,
    TEXT,
    TEXT_OR_NOTHING,
    Direction,
    Operation,
    Shape,
    Site,
)
from virtnetplug.hotplug.engine.prepared import Prepared, refuse
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, plan_steps, resumed, transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.nic_status import nics_after, nics_of
from virtnetplug.hotplug.look.backing import OPEN_VSWITCH, Backing, backing_of, elsewhere, foreign, unfit
from virtnetplug.hotplug.look.find import find, in_guest
from virtnetplug.hotplug.look.view import BOTH, describe, look
from virtnetplug.hotplug.plug.announcement import announce
from virtnetplug.hotplug.plug.plugging import Part, new_record
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, OperationRecord, OperationState, Outcome, Phase, Refusal, Result, Scope
from virtnetplug.ports.domain import Domain
from virtnetplug.ports.host import Link, SwitchPort

NAME, KIND = "rebind", "heal"
"""What the journal calls it, and among the kinds of a rebind."""


def _parts(backing: Backing) -> list[Part]:
    alias = backing.net.alias or ""
    steps = [
        ("restore_port", Phase.ALLOCATE, backing.lacks_port),
        ("join_bridge", Phase.PLUG, backing.lacks_bridge),
        ("verify", Phase.PLUG, True),
    ]
    return [(name, alias, phase, Half.LIVE) for name, phase, is_due in steps if is_due]


def _obstacles(backing: Backing, *, may_move: bool) -> tuple[Refusal, ...]:
    return (*foreign(backing), *(() if may_move else elsewhere(backing)), *unfit(backing))


def _request(net: Interface, backing: Backing) -> dict[str, Any]:
    tap = backing.tap
    before: dict[str, Any] = {"master": None, "isolated": False, "learning": True}
    if tap is not None:
        before = {"master": tap.master, "isolated": bool(tap.isolated), "learning": tap.learning is not False}
    return {"kind": KIND, "nics": [{"alias": net.alias}], "asked": [], "before": before, "element": net.element}


def _run(host: Host, backing: Backing, tx: Transaction) -> None:
    net, alias, domain = backing.net, backing.net.alias or "", backing.domain
    if backing.lacks_port:
        restore = partial(host.networks.restore_port, net, owner_uuid=domain.uuid, owner_name=domain.name)
        tx.effect("restore_port", alias, restore, half=Half.LIVE)
    was_cut_off = tx.was_begun("join_bridge", alias)
    if backing.lacks_bridge or was_cut_off:
        tx.effect("join_bridge", alias, partial(join_bridge, host, backing, again=was_cut_off), half=Half.LIVE)
        if not backing.is_switched:  # which forgets what it knew of a port that left, and asks everywhere then
            announce(host, net, tx)
    tx.note("verify", alias, lambda: verify(host, domain, net))
    tx.finish(OperationState.DONE, Result.DONE)


def join_bridge(host: Host, backing: Backing, *, again: bool = False) -> None:
    """Put the tap into its bridge, if it is not there, with the VLANs, the isolation and the forwarding that the NIC has.

    `again`: the tap may be there since a moment ago, and without them.
    """
    net, tap, bridge = backing.net, backing.tap, backing.bridge
    assert tap is not None and bridge is not None
    is_there = tap.master == bridge.name
    if not is_there:
        _move(host, backing.domain, net, tap, bridge.name)
    if backing.is_switched:
        return
    if net.vlan is not None and (again or not is_there):
        host.links.set_vlans(tap.name, net.vlan)
    if is_there or net.port_isolated or backing.only_mac is not None:  # a new port has neither
        host.links.set_port(tap.name, isolated=bool(net.port_isolated), only_mac=backing.only_mac)


def _leave_bridge(site: Site, net: Interface, before: Mapping[str, Any]) -> None:
    """Make the tap a port of what it was in before, as it was. Does nothing if the tap is gone, or if somebody has put it into a third bridge."""
    host, domain, target, master = site.host, site.domain, net.target_dev or "", before["master"]
    if target not in host.links.taps_of(domain.uuid):  # its name may be another's by now
        return
    link = host.links.link(target)
    if link is None or link.master not in (None, master, net.source_bridge):
        return
    if link.master != master:
        _move(host, domain, net, link, master)
    if _is_switch(host, master):
        return
    if master is not None and (before["isolated"] or not before["learning"] or link.master == master):
        only_mac = None if before["learning"] else str(net.mac)
        host.links.set_port(target, isolated=before["isolated"], only_mac=only_mac)


def _move(host: Host, domain: Domain, net: Interface, tap: Link, bridge: str | None) -> None:
    """Move the tap out of its bridge, of either kind, and into `bridge`, if any; raises `BridgeMissing` if that is gone."""
    is_in_switch = _is_switch(host, tap.master)
    is_in_linux = tap.master is not None and not is_in_switch
    if bridge is not None and _is_switch(host, bridge):
        if is_in_linux:
            host.links.set_master(tap.name, None)
        host.links.join_switch(tap.name, bridge, _switch_port(domain, net))
        return
    if is_in_switch:
        host.links.leave_switch(tap.name)
    if bridge is not None or is_in_linux:
        host.links.set_master(tap.name, bridge)


def _is_switch(host: Host, name: str | None) -> bool:
    link = host.links.link(name) if name is not None else None
    return link is not None and link.kind == OPEN_VSWITCH


def _switch_port(domain: Domain, net: Interface) -> SwitchPort:
    port = net.virtualport
    return SwitchPort(
        mac=str(net.mac),
        domain_uuid=domain.uuid,
        interface_id=port.interfaceid if port is not None else None,
        profile_id=port.profileid if port is not None else None,
        vlan=net.vlan,
    )


def verify(host: Host, domain: Domain, net: Interface) -> None:
    """Look at the host again; `NotApplied` if what is behind the NIC is not what its definition says."""
    backing = backing_of(host, domain, net)
    wrong = [refusal.message for refusal in (*foreign(backing, is_held=False), *elsewhere(backing))]
    if backing.lacks_port:
        wrong.append(f"network {net.source_network} has no port {net.source_portid}")
    if backing.lacks_bridge and not wrong:
        tap = backing.tap
        there = "is not there" if tap is None else f"is in {_place(tap.master, tap.isolated)}"
        wrong.append(
            f"tap {net.target_dev} {there}, and not in {_place(net.source_bridge, net.port_isolated)}, as the definition says"
        )
    if wrong:
        raise NotApplied(f"what is behind {describe(net)} is not what it should be: {'; '.join(wrong)}")


def _place(bridge: str | None, is_isolated: bool | None) -> str:
    return f"bridge {bridge}, {'isolated' if is_isolated else 'not isolated'}" if bridge is not None else "no bridge"


def _drop_port(site: Site, net: Interface) -> None:
    networks = site.host.networks
    try:
        port = networks.port(net.source_network or "", net.source_portid or "") if net.source_portid else None
    except ConnectionLost:
        raise
    except VirtnetplugError:
        return
    if port is not None and (port.mac, port.owner_uuid) == (net.mac, site.domain.uuid):
        networks.delete_port(port.network, port.uuid)


class Heal(Operation):
    """Restore what the host has behind the NIC; `may_move`: also out of another bridge than its definition names.

    A record that was left open is finished, for a healing only restores what the definition says. What cannot be finished is undone.
    """

    needs_its_run = True

    request: ClassVar[Shape] = {"nics": NICS, "before": OBJECT, "element": ELEMENT}
    entries: ClassVar[Mapping[str, Shape]] = {
        "nics": {"alias": TEXT},
        "before": {"master": TEXT_OR_NOTHING, "isolated": FLAG, "learning": FLAG},
    }

    def __init__(self, nic: str, *, may_move: bool = False) -> None:
        self.nic, self.may_move = nic, may_move

    def prepare(self, host: Host, domain: Domain) -> Prepared:
        if not host.hypervisor.is_local:
            raise NotSupported("taps and bridges can only be healed on the hypervisor's own host; run this there")
        view = look(domain, BOTH)
        scope_for(None, view.state, domain.name)  # raises for one that does not run
        nic = find(view, self.nic, (Half.LIVE,))
        net = in_guest(view, nic)
        backing = backing_of(host, domain, net)
        refusals = (*_obstacles(backing, may_move=self.may_move), *check_scope(view, Scope.LIVE))
        steps = () if refusals or backing.is_whole else plan_steps(*_parts(backing))

        def start(lock: Lock, seconds: float) -> Work:
            return at_once(run)

        def run() -> Outcome:
            record = new_record(host, view, NAME, Scope.LIVE, [net], _request(net, backing), steps)
            site = Site(host=host, domain=domain, run=view.run)
            with transaction(host, record, partial(self.undos, site), goes_on=True) as tx:
                _run(host, backing, tx)
                return tx.outcome(Result.DONE, message=_message(backing), nics=nics_after(host, view, [nic]))

        return Prepared(
            operation=NAME,
            domain=domain.name,
            scope=Scope.LIVE,
            start=start,
            refusals=refusals,
            already=nics_of(host, view, [nic]) if backing.is_whole and not refusals else None,
            steps=steps,
        )

    @classmethod
    def direction_by_steps(cls, record: OperationRecord) -> Direction:
        """Forward, always."""
        return Direction.FORWARD

    @classmethod
    def undos(cls, site: Site, tx: Transaction) -> Undos:
        """What undoes the steps of a healing, where the tap and the port are still the NIC's."""
        request = tx.record.request
        alias, net = request["nics"][0]["alias"], xml.interface(request["element"])
        leave = partial(_leave_bridge, site, net, request["before"])
        return {("join_bridge", alias): leave, ("restore_port", alias): partial(_drop_port, site, net)}

    @classmethod
    def go_on(cls, host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
        """Finish a healing that was cut off and taken over, or undo what cannot be finished."""
        alias = record.request["nics"][0]["alias"]

        def run() -> Outcome:
            site = Site.of(host, domain, record, seconds)
            with resumed(host, record, partial(cls.undos, site), goes_on=True) as tx:
                net = guest.net_of(domain, alias)
                if net is None or net.element != record.request["element"]:
                    raise NicMissing(f"{alias} is not in the guest any more as it was")
                backing = backing_of(host, domain, net)
                # the tap may be in the other bridge that it was asked to leave
                may_move = backing.tap is not None and backing.tap.master == record.request["before"]["master"]
                refuse(_obstacles(backing, may_move=may_move))
                planned = {step.name for step in record.steps}
                lacking = next((name for name, *_ in _parts(backing) if name not in planned), None)
                if lacking is not None:
                    raise NotApplied(f"meanwhile {alias} needs {lacking} too; heal it again")
                _run(host, backing, tx)
                message = f"the healing of {alias} that was left open has been finished"
                return tx.outcome(Result.DONE, reason="recovered", message=message)

        return at_once(run)


def _message(backing: Backing) -> str:
    net = backing.net
    done = [f"port {net.source_portid} is in network {net.source_network} again"] if backing.lacks_port else []
    done += [f"{net.target_dev} is in bridge {net.source_bridge} as it should be"] if backing.lacks_bridge else []
    return f"{describe(net)} of {backing.domain.name} healed: {', '.join(done)}"
