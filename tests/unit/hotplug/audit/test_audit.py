"""Audit and repair: each kind of disagreement, what is no disagreement, and what a repair may touch."""

from __future__ import annotations

import dataclasses

import pytest

from tests.fakes.stage import KEY, URI, Stage, StageDomain, definition, nic
from virtnetplug.errors import DomainMissing, XenStoreFailed
from virtnetplug.hotplug.audit.audit import audit
from virtnetplug.hotplug.audit.repair import repair
from virtnetplug.hotplug.engine.transaction import plan_steps
from virtnetplug.lifecycle import State
from virtnetplug.model.audit import AuditReport
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.operation import Half, NicRecord, OperationRecord, OperationState, Phase
from virtnetplug.ports.domain import Ends, Stray
from virtnetplug.ports.host import Link

PORT = "aaaaaaaa-0000-4000-8000-000000000001"
IN_PORT = f"network='default' portid='{PORT}' bridge='virbr0'"


@pytest.fixture
def stage() -> Stage:
    """Two bridges, br0 with the taps of three NICs."""
    stage = Stage()
    stage.bridge("br0", "vnet1", "vnet2", "vnet3")
    stage.bridge("br1")
    return stage


def networked(stage: Stage) -> StageDomain:
    """A guest with one NIC in a port of a network."""
    stage.nets["default"] = Network(name="default", bridge="virbr0")
    stage.bridge("virbr0", "vnet1")
    domain = stage.add("web", nic(1, kind="network", source=IN_PORT))
    stage.net_ports.append(port(PORT, domain.uuid))
    return domain


def port(uuid: str, owner: str, number: int = 1, **more: str) -> NetworkPort:
    mac = Mac(f"52:54:00:00:00:{number:02x}")
    return NetworkPort(uuid=uuid, network="default", owner_uuid=owner, owner_name="web", mac=mac, **more)


def record(domain: StageDomain, number: int = 1) -> NicRecord:
    mac = f"52:54:00:00:00:{number:02x}"
    return NicRecord(
        uri=URI,
        hypervisor=KEY,
        domain_uuid=domain.uuid,
        domain_name=domain.name,
        alias=f"ua-{number}",
        mac=mac,
        type="bridge",
    )


def operation(domain: StageDomain, state: OperationState, *aliases: str) -> OperationRecord:
    nics = [{"alias": alias, "live": None, "config": None} for alias in aliases]
    return OperationRecord(
        id="op1",
        operation="detach",
        uri=URI,
        hypervisor=KEY,
        domain_uuid=domain.uuid,
        domain_name=domain.name,
        state=state,
        request={"nics": nics},
        steps=plan_steps(*(("ask", alias, Phase.UNPLUG, Half.LIVE) for alias in aliases)),
    )


def found(report: AuditReport) -> list[tuple[str, str]]:
    return [(finding.kind, finding.nic) for finding in report.findings]


def mended(stage: Stage, report: AuditReport) -> list[bool | None]:
    return [finding.repaired for finding in repair(stage.host(), report).findings]


# -- nothing wrong ---------------------------------------------------------------------------------


def test_what_agrees_is_counted_and_nothing_is_found(stage: Stage) -> None:
    stage.add("web", nic(1), nic(2))
    stage.add("off", nic(3)).live = None
    report = audit(stage.host())
    assert (report.domains, report.nics, report.findings, report.unseen) == (2, 3, (), ())
    assert report.seconds > 0


def test_each_definition_is_fetched_once_and_no_port_is_read(stage: Stage) -> None:
    web = networked(stage)
    audit(stage.host())
    assert web.looks == 2
    assert stage.calls.count("links") == 1
    assert "ports default" not in stage.calls


def test_a_domain_that_goes_away_meanwhile_is_left_out(stage: Stage) -> None:
    stage.add("web", nic(1))
    stage.add("gone", nic(2)).gone = True
    report = audit(stage.host())
    assert (report.domains, report.findings) == (1, ())


def test_one_domain_alone_is_looked_at_when_named(stage: Stage) -> None:
    stage.add("web", nic(1, target="vnet8"))
    other = stage.add("other", nic(1, target="vnet9"))
    stage.held = dict.fromkeys(stage.held, frozenset())
    report = audit(stage.host(), "web")
    assert (report.domains, found(report), other.looks) == (1, [("tap-missing", "ua-1")], 0)
    with pytest.raises(DomainMissing):
        audit(stage.host(), "nobody")


def test_only_a_fault_seen_at_both_looks_is_one(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.add("web", nic(1), nic(2), nic(3))
    stage.held.clear()
    now = stage.links()

    def without(*taps: str) -> dict[str, Link]:
        return {name: link for name, link in now.items() if name not in taps}

    looks = iter([without("vnet1", "vnet2"), without("vnet2", "vnet3")])
    monkeypatch.setattr(stage, "links", lambda: next(looks))
    assert found(audit(stage.host())) == [("tap-missing", "ua-2")]


# -- taps and bridges ------------------------------------------------------------------------------


def test_a_tap_that_is_not_there(stage: Stage) -> None:
    domain = stage.add("web", nic(1), nic(4))
    stage.held[domain.uuid] = frozenset({"vnet1"})
    report = audit(stage.host())
    assert found(report) == [("tap-missing", "ua-4")]
    assert "vnet4" in report.findings[0].message
    assert report.findings[0].repair == ""


def test_a_tap_that_qemu_holds_is_in_another_network_namespace_and_not_missing(stage: Stage) -> None:
    stage.add("web", nic(1), nic(4))
    assert found(audit(stage.host())) == []


@pytest.mark.parametrize("kind", ["user", "vhostuser"])
def test_a_target_that_is_no_link_is_not_looked_for(stage: Stage, kind: str) -> None:
    domain = stage.add("web", nic(4, kind=kind, source="mode='server'"))
    stage.held[domain.uuid] = frozenset()
    assert found(audit(stage.host())) == []


@pytest.mark.parametrize(("master", "kind"), [(None, "tap-not-in-bridge"), ("br1", "tap-in-other-bridge")])
def test_a_tap_outside_its_bridge_is_put_back(stage: Stage, master: str | None, kind: str) -> None:
    stage.add("web", nic(1), nic(2))
    stage.there["vnet2"] = Link(name="vnet2", index=2, kind="tun", master=master, up=True)
    report = audit(stage.host())
    assert found(report) == [(kind, "ua-2")]
    assert report.findings[0].repair == "put vnet2 into bridge br0"
    assert mended(stage, report) == [True]
    assert stage.there["vnet2"].master == "br0"
    assert audit(stage.host()).findings == ()


def test_a_bridge_that_is_gone_is_said_and_not_repaired(stage: Stage) -> None:
    domain = networked(stage)
    del stage.there["virbr0"]
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", up=True)
    report = audit(stage.host())
    assert found(report) == [("bridge-missing", "ua-1")]
    assert "start network default" in report.findings[0].remedy
    assert mended(stage, report) == [None]
    assert domain.name == report.findings[0].domain


def test_a_tap_that_was_set_down_carries_no_traffic(stage: Stage) -> None:
    stage.add("web", nic(1), nic(2))
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", master="br0")
    report = audit(stage.host())
    assert found(report) == [("tap-down", "ua-1")]
    assert report.findings[0].remedy.endswith("'ip link set vnet1 up'.") and report.findings[0].repair == ""


def test_an_isolated_tap_is_put_back_isolated(stage: Stage) -> None:
    stage.add("web", nic(1, extra="<port isolated='yes'/>"))
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", up=True)
    assert mended(stage, audit(stage.host())) == [True]
    assert (stage.there["vnet1"].master, stage.there["vnet1"].isolated) == ("br0", True)


def test_a_tap_that_is_no_longer_isolated_is_again(stage: Stage) -> None:
    """As 'ip link set vnet1 master br0' by hand leaves it."""
    stage.add("web", nic(1, extra="<port isolated='yes'/>"))
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", master="br0", isolated=False, learning=True, up=True)
    report = audit(stage.host())
    assert found(report) == [("tap-not-isolated", "ua-1")]
    assert mended(stage, report) == [True]
    assert stage.there["vnet1"].isolated
    assert found(audit(stage.host())) == []


@pytest.mark.parametrize(
    ("holders", "said"),
    [({}, "no domain whose processes can be seen"), ({"other": {"vnet1"}, "web": set()}, "domain other")],
)
def test_a_tap_of_another_is_not_put_back(stage: Stage, holders: dict[str, set[str]], said: str) -> None:
    domain = stage.add("web", nic(1))
    stage.held = {domain.uuid if name == "web" else name: frozenset(taps) for name, taps in holders.items()}
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", up=True)
    report = repair(stage.host(), audit(stage.host()))
    assert [finding.repaired for finding in report.findings if finding.kind == "tap-not-in-bridge"] == [False]
    assert said in report.findings[0].message and domain.uuid in report.findings[0].message
    assert stage.there["vnet1"].master is None


@pytest.mark.parametrize(
    ("extra", "master"),
    [("<vlan><tag id='7'/></vlan>", "br9"), ("<virtualport type='openvswitch'/>", None)],
    ids=["VLANs of another bridge", "a virtual port"],
)
def test_a_tap_that_needs_more_than_its_bridge_is_not_put_back(stage: Stage, extra: str, master: str | None) -> None:
    stage.there["br9"] = Link(name="br9", index=9, kind="bridge")
    stage.add("web", nic(1, extra=extra))
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", master=master, up=True)
    report = audit(stage.host())
    assert mended(stage, report) == [False]
    assert stage.there["vnet1"].master == master


def test_a_tap_with_a_vlan_is_put_back_with_it(stage: Stage) -> None:
    stage.add("web", nic(1, extra="<vlan><tag id='7'/></vlan>"))
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", up=True)
    assert mended(stage, audit(stage.host())) == [True]
    assert stage.there["vnet1"].master == "br0" and "VLANs vnet1 7" in stage.calls


@pytest.mark.parametrize("then", ["gone", "stopped", "detached", "moved"])
def test_a_repair_looks_again_first(stage: Stage, then: str) -> None:
    domain = stage.add("web", nic(1))
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", up=True)
    report = audit(stage.host())
    domain.gone = then == "gone"
    domain.live = {"gone": domain.live, "stopped": None, "detached": definition("web")}.get(
        then, definition("web", nic(1, kind="user", source="dev='x'"))
    )
    assert mended(stage, report) == [False]
    assert stage.there["vnet1"].master is None


def test_open_vswitch_ports_belong_to_the_datapath_where_it_cannot_be_asked(stage: Stage) -> None:
    stage.there["ovs-system"] = Link(name="ovs-system", index=8, kind="openvswitch")
    stage.there["ovsbr0"] = Link(name="ovsbr0", index=9, kind="openvswitch")
    stage.add("web", nic(1, source="bridge='ovsbr0'"), nic(2, source="bridge='ovsbr0'"))
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", master="ovs-system", up=True)
    stage.there["vnet2"] = Link(name="vnet2", index=2, kind="tun", up=True)
    report = audit(stage.host())
    assert found(report) == [("tap-not-in-bridge", "ua-2")]
    assert report.findings[0].repair == "put vnet2 into bridge ovsbr0"


def test_a_port_of_another_open_vswitch_bridge_is_elsewhere(stage: Stage) -> None:
    for index, name in enumerate(("ovs-system", "ovsbr0", "ovsbr1")):
        stage.there[name] = Link(name=name, index=8 + index, kind="openvswitch")
    stage.add("web", nic(1, source="bridge='ovsbr0'"))
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", master="ovsbr1", up=True)
    assert found(audit(stage.host())) == [("tap-in-other-bridge", "ua-1")]
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", master="ovsbr0", up=True)
    assert found(audit(stage.host())) == []


def test_a_tap_qemu_holds_and_nobody_names_is_an_orphan(stage: Stage) -> None:
    domain = stage.add("web", nic(1))
    stage.held[domain.uuid] = frozenset({"vnet1", "vnet7"})
    assert found(audit(stage.host())) == [("orphan-tap", "vnet7")]
    passed = "<qemu:commandline xmlns:qemu='x'><qemu:arg value='-netdev'/></qemu:commandline></domain>"
    domain.live = definition("web", nic(1)).replace("</domain>", passed)
    assert found(audit(stage.host())) == []


# -- hypervisors whose host shows NICs by itself -------------------------------------------------

MAC = "52:54:00:00:00:0{}"
UP = Ends(State.CONNECTED, State.CONNECTED)


def test_what_the_host_shows_and_the_definition_has_not(stage: Stage) -> None:
    domain = stage.add("web", nic(1))
    domain.states = {MAC.format(1): UP}
    assert found(audit(stage.host())) == []
    domain.hidden = [Stray("vif7.2", MAC.format(2)), Stray("vif7.3", None)]
    report = audit(stage.host())
    assert found(report) == [("orphan-vif", MAC.format(2)), ("orphan-vif", "vif7.3")]
    assert "xl network-detach web 2" in report.findings[0].remedy


def test_its_port_is_kept_with_it(stage: Stage) -> None:
    domain = networked(stage)
    domain.states = {MAC.format(1): UP}
    domain.hidden = [Stray("vif7.9", MAC.format(9))]
    stage.net_ports.append(port(OTHER, domain.uuid, 9))
    report = audit(stage.host())
    assert {kind for kind, _ in found(report)} == {"orphan-vif", "port-orphaned"}
    assert mended(stage, report) == [None, None]


@pytest.mark.parametrize(
    ("ends", "missing"),
    [
        (Ends(None, None), "no frontend and no backend"),
        (Ends(State.CONNECTED, None), "no backend"),
        (Ends(None, State.CLOSED), "no frontend"),
        (Ends(State.UNKNOWN, State.INIT_WAIT), None),
    ],
)
def test_what_the_definition_has_and_the_host_not(stage: Stage, ends: Ends, missing: str | None) -> None:
    domain = stage.add("web", nic(1), nic(2, kind="hostdev", source="dev='x'", target=None))
    domain.states = {MAC.format(1): ends}
    report = audit(stage.host())
    assert found(report) == ([("vif-missing", "ua-1")] if missing else [])
    assert missing is None or f"has {missing}." in report.findings[0].message


def test_a_host_that_may_not_be_asked_is_said_to_be_unseen(stage: Stage) -> None:
    domain = stage.add("web", nic(1))
    domain.states = {MAC.format(1): UP}
    stage.held.clear()  # no QEMU, so none whose taps are hidden

    def fail() -> list[Stray]:
        raise XenStoreFailed("run this as root")

    domain.strays = fail  # type: ignore[method-assign]
    report = audit(stage.host())
    assert report.findings == () and report.unseen == ("what the host shows of the NICs of web: run this as root",)


# -- network ports ---------------------------------------------------------------------------------


def test_a_port_that_is_gone_with_its_network(stage: Stage) -> None:
    networked(stage)
    stage.net_ports.clear()
    stage.there["vnet1"] = Link(name="vnet1", index=2, kind="tun", up=True)
    report = audit(stage.host())
    assert found(report) == [("port-missing", "ua-1"), ("tap-not-in-bridge", "ua-1")]
    assert mended(stage, report) == [True, True]
    assert found(audit(stage.host())) == []
    (port,) = stage.net_ports
    assert (port.uuid, str(port.mac), port.owner_name) == (PORT, "52:54:00:00:00:01", "web")
    assert [(each.operation, each.request["kind"]) for each in stage.past] == [("rebind", "heal")]


def test_a_port_of_a_network_that_is_gone_is_not_made(stage: Stage) -> None:
    networked(stage)
    stage.net_ports.clear()
    stage.nets.clear()
    report = audit(stage.host())
    assert "no such network" in report.findings[0].message
    assert mended(stage, report) == [None]


def test_a_port_in_a_network_with_another_bridge_is_not_made(stage: Stage) -> None:
    networked(stage)
    stage.net_ports.clear()
    stage.nets["default"] = Network(name="default", bridge="br1")
    report = repair(stage.host(), audit(stage.host()))
    assert [finding.repaired for finding in report.findings] == [False]
    assert "br1" in report.findings[0].message and "virbr0" in report.findings[0].message
    assert stage.net_ports == []


OTHER = "bbbbbbbb-0000-4000-8000-000000000002"


def test_a_port_of_a_domain_that_runs_without_it_is_deleted(stage: Stage) -> None:
    domain = networked(stage)
    stage.net_ports.append(port(OTHER, domain.uuid, 9))
    report = audit(stage.host())
    assert found(report) == [("port-orphaned", "52:54:00:00:00:09")]
    assert mended(stage, report) == [True]
    assert [each.uuid for each in stage.net_ports] == [PORT]


def test_a_port_of_a_domain_that_does_not_run_is_deleted(stage: Stage) -> None:
    domain = networked(stage)
    domain.live = None
    report = audit(stage.host())
    assert found(report) == [("port-orphaned", "52:54:00:00:00:01")]
    assert mended(stage, report) == [True]
    assert stage.net_ports == []


def test_a_port_that_came_into_use_since_the_audit_is_kept(stage: Stage) -> None:
    domain = networked(stage)
    live, domain.live = domain.live or "", None
    report = audit(stage.host())
    for text in (live, live.replace("00:01", "00:07"), live.replace(PORT, "another")):
        domain.live = text
        assert mended(stage, report) == [False]
    assert [each.uuid for each in stage.net_ports] == [PORT]


def test_a_port_whose_mac_is_in_use_is_said_and_kept(stage: Stage) -> None:
    domain = networked(stage)
    stage.net_ports.append(port(OTHER, domain.uuid, 1))
    report = audit(stage.host())
    assert found(report) == [("port-orphaned", "52:54:00:00:00:01")]
    assert mended(stage, report) == [None]


def test_a_port_of_the_definition_of_a_running_domain_is_kept(stage: Stage) -> None:
    domain = networked(stage)
    domain.config = definition("web", nic(1), nic(9))
    stage.net_ports.append(port(OTHER, domain.uuid, 9))
    assert mended(stage, audit(stage.host())) == [None]


def test_a_port_may_be_that_of_an_orphan_and_is_kept(stage: Stage) -> None:
    domain = networked(stage)
    stage.net_ports.append(port(OTHER, domain.uuid, 9))
    stage.held[domain.uuid] = frozenset({"vnet1", "vnet9"})
    report = audit(stage.host())
    assert found(report) == [("port-orphaned", "52:54:00:00:00:09"), ("orphan-tap", "vnet9")]
    assert mended(stage, report) == [None, None]


def test_a_port_of_a_pci_pool_is_never_deleted(stage: Stage) -> None:
    domain = networked(stage)
    stage.net_ports.append(port(OTHER, domain.uuid, 1, plug_type="hostdev-pci"))
    assert found(audit(stage.host())) == [], "attached by address: its NIC names no port"
    domain.live = None
    stage.net_ports = stage.net_ports[1:]
    report = audit(stage.host())
    assert found(report) == [("port-orphaned", "52:54:00:00:00:01")]
    assert mended(stage, report) == [None]


def test_a_port_of_another_connections_guest_is_none_of_our_business(stage: Stage) -> None:
    networked(stage)
    elsewhere = "cccccccc-0000-4000-8000-000000000003"
    stage.net_ports.append(port(OTHER, elsewhere, 9))
    stage.held[elsewhere] = frozenset()
    assert found(audit(stage.host())) == []


def test_a_port_of_nobody_is_deleted_only_if_the_owner_was_ours(stage: Stage) -> None:
    networked(stage)
    gone = StageDomain("past", None, None)
    stage.net_ports.append(port(OTHER, gone.uuid, 9))
    report = audit(stage.host())
    assert found(report) == [("port-orphaned", "52:54:00:00:00:09")]
    assert mended(stage, report) == [None]
    stage.past.append(operation(gone, OperationState.DONE))
    assert mended(stage, audit(stage.host())) == [True]
    assert [each.uuid for each in stage.net_ports] == [PORT]
    stage.net_ports.append(port(OTHER, gone.uuid, 9))
    assert found(audit(stage.host(), "web")) == [], "with one domain looked at, the others' ports say nothing"


# -- definitions -----------------------------------------------------------------------------------


def test_a_mac_or_an_alias_twice_is_found_once(stage: Stage) -> None:
    twin = nic(2).replace("00:02", "00:01")
    stage.add("web", nic(1), twin)
    report = audit(stage.host())
    assert found(report) == [("mac-duplicate", "52:54:00:00:00:01")]
    assert "In the live definition" in report.findings[0].message
    stage.all["web"].live = definition("web", nic(1), nic(2))
    assert "In the config definition" in audit(stage.host()).findings[0].message
    alike = definition("web", nic(1), nic(2).replace("ua-2", "ua-1"))
    stage.all["web"].live = stage.all["web"].config = alike
    assert found(audit(stage.host())) == [("alias-duplicate", "ua-1")]


def test_a_teaming_pair_shares_its_mac_and_a_third_may_not(stage: Stage) -> None:
    one = nic(1, extra="<teaming type='persistent'/>")
    two = nic(2, extra="<teaming type='transient' persistent='ua-1'/>").replace("00:02", "00:01")
    domain = stage.add("web", one, two)
    assert found(audit(stage.host())) == []
    domain.config = definition("web", one, two, nic(3).replace("00:03", "00:01"))
    assert found(audit(stage.host())) == [("mac-duplicate", "52:54:00:00:00:01")]


def test_nics_without_names_are_not_doubles(stage: Stage) -> None:
    bare = "<interface type='user'/>"
    stage.add("off", bare, bare).live = None
    assert found(audit(stage.host())) == []


def test_a_definition_that_differs_is_found_for_our_own_nics_only(stage: Stage) -> None:
    domain = stage.add("web", nic(1), nic(2), config=(nic(1, source="bridge='br1'"), nic(2, source="bridge='br1'")))
    assert found(audit(stage.host())) == []
    stage.records.append(record(domain))
    report = audit(stage.host())
    assert found(report) == [("config-differs", "ua-1")]
    assert "source bridge br0 becomes bridge br1" in report.findings[0].message


def test_what_libvirt_writes_differently_in_the_two_definitions_is_no_difference(stage: Stage) -> None:
    stage.nets["default"] = Network(name="default", bridge="br0")
    place = "<address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>"
    live = nic(1, kind="bridge", source=f"network='default' portid='{PORT}' bridge='br0'", extra=place)
    domain = stage.add("web", live, config=(nic(1, kind="network", source="network='default'", target=None),))
    stage.net_ports.append(port(PORT, domain.uuid))
    stage.records.append(record(domain))
    assert found(audit(stage.host())) == []
    other = place.replace("0x03", "0x05")
    domain.config = definition("web", nic(1, kind="network", source="network='default'", extra=other))
    assert "guest address 0000:00:03.0 becomes 0000:00:05.0" in audit(stage.host()).findings[0].message


# -- the journal -----------------------------------------------------------------------------------


def test_a_nic_that_went_by_itself_is_forgotten(stage: Stage) -> None:
    domain = stage.add("web", nic(1))
    stage.records += [record(domain, 1), record(domain, 2)]
    report = audit(stage.host())
    assert found(report) == [("nic-gone", "ua-2")]
    assert mended(stage, report) == [True]
    assert [each.alias for each in stage.records] == ["ua-1"]
    assert f"lock {domain.uuid}" in stage.calls


def test_neither_a_nic_of_the_definition_alone_is_gone_nor_one_whose_domain_is_no_more(stage: Stage) -> None:
    domain = stage.add("web", config=(nic(1),))
    stage.records.append(record(domain))
    assert found(audit(stage.host())) == []
    stage.all.clear()
    assert found(audit(stage.host())) == []


def test_a_nic_that_came_back_since_the_audit_is_kept(stage: Stage) -> None:
    domain = stage.add("web", nic(1))
    stage.records.append(record(domain, 2))
    report = audit(stage.host())
    domain.live = definition("web", nic(1), nic(2))
    assert mended(stage, report) == [False]
    assert len(stage.records) == 1


@pytest.mark.parametrize("state", [OperationState.RUNNING, OperationState.INCOMPLETE])
def test_an_operation_left_open_is_for_recover(stage: Stage, state: OperationState) -> None:
    domain = stage.add("web", nic(1))
    stage.open.append(operation(domain, state, "ua-1"))
    report = audit(stage.host())
    assert found(report) == [("operation-open", "ua-1")]
    assert report.findings[0].remedy == "Run `recover('web')`."
    assert mended(stage, report) == [None]


def test_an_operation_that_is_being_worked_on_is_none_nor_are_its_nics(stage: Stage) -> None:
    domain = stage.add("web")
    stage.records.append(record(domain))
    stage.open.append(operation(domain, OperationState.RUNNING, "ua-1"))
    stage.alive.add("op1")
    assert found(audit(stage.host())) == []


def test_a_pending_detach_is_a_disagreement_only_once_the_guest_has_let_go(stage: Stage) -> None:
    domain = stage.add("web", nic(1), nic(2))
    stage.records.append(record(domain))
    stage.open.append(operation(domain, OperationState.PENDING, "ua-1"))
    assert found(audit(stage.host())) == []
    domain.live = domain.config = definition("web", nic(2))
    stage.held[domain.uuid] = frozenset({"vnet2"})
    report = audit(stage.host())
    assert found(report) == [("operation-open", "ua-1")], "and not that the NIC is gone: recover says that"
    domain.live = None
    assert "does not run" in audit(stage.host()).findings[0].message


# -- what cannot be seen ---------------------------------------------------------------------------


def test_another_hosts_taps_are_not_looked_at(stage: Stage) -> None:
    stage.add("web", nic(9))
    stage.is_local = False
    report = audit(stage.host())
    assert report.findings == ()
    assert ["taps and bridges" in why for why in report.unseen] == [True]


def test_what_may_not_be_read_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    domain = stage.add("web", nic(1))
    del stage.held[domain.uuid]
    assert [why.split(",")[0] for why in audit(stage.host()).unseen] == ["the taps that QEMU holds open"]

    def refuse(*arguments: object) -> object:
        raise DomainMissing("it is broken")

    monkeypatch.setattr(stage, "names", refuse)
    monkeypatch.setattr(stage, "open_operations", refuse)
    report = audit(stage.host())
    assert [why.split(":")[0] for why in report.unseen[1:]] == ["networks and their ports", "the journal"]
    assert report.findings == ()


def test_a_report_is_changed_in_nothing_but_its_findings(stage: Stage) -> None:
    stage.add("web", nic(9))
    report = dataclasses.replace(audit(stage.host()), unseen=("something",))
    assert dataclasses.replace(repair(stage.host(), report), findings=report.findings) == report


def test_what_a_nic_is_connected_to_is_said_before_and_after(stage: Stage) -> None:
    of_network = nic(1, kind="network", source="network='nb'", target=None)
    domain = stage.add("web", nic(1), config=(of_network,))
    stage.records.append(record(domain))
    (one,) = audit(stage.host()).findings
    assert "source bridge br0 becomes network nb." in one.message
