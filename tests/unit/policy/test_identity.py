"""Who may have whose identity, and what of it: a row for each kind of NIC."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.xml.examples import EXAMPLES
from virtnetplug import xml
from virtnetplug.model.identity import DomainMetadata, Identity
from virtnetplug.model.interface import FilterRef, Interface, Limit, VirtualPort, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.pci import PciAddress
from virtnetplug.policy.identity import ALWAYS, HOSTDEV, fault, take

MAC, ADDRESS = Mac("52:54:00:00:00:0e"), PciAddress(0, 0, 3, 0)
OPENVSWITCH = VirtualPort(type="openvswitch", interfaceid="09b11c53-8b5c-4eeb-8f00-d84eaa0aaa50", profileid="web")
WHOLE: dict[str, Any] = {
    "mac": MAC,
    "address": ADDRESS,
    "acpi_index": 7,
    "boot_order": 1,
    "virtualport": OPENVSWITCH,
    "source_portgroup": "gold",
    "vlan": Vlan((VlanTag(42),)),
    "bandwidth_inbound": Limit(average=1000),
    "bandwidth_outbound": Limit(average=1000, peak=2000),
    "link_state": "down",
    "filterref": FilterRef("clean-traffic"),
    "mtu": 1400,
    "port_isolated": True,
}
E = Interface(type="network", source_network="lan", model="virtio", alias="ua-e", target_dev="vnet0", **WHOLE)

KINDS: list[tuple[str, Interface, bool, set[str]]] = [
    ("the same network", Interface(type="network", source_network="lan"), False, set()),
    ("another network", Interface(type="network", source_network="wan"), False, {"source_portgroup"}),
    ("a bridge", Interface(type="bridge", source_bridge="br0"), False, {"source_portgroup"}),
    (
        "macvtap",
        Interface(type="direct", source_dev="eth0"),
        False,
        {"source_portgroup", "virtualport", "filterref", "mtu", "port_isolated"},
    ),
    (
        "a tap of another's",
        Interface(type="ethernet", target_dev="tap0"),
        False,
        {"source_portgroup", "virtualport", "vlan", "port_isolated"},
    ),
    (
        "slirp",
        Interface(type="user"),
        False,
        {
            *("source_portgroup", "virtualport", "vlan", "bandwidth_inbound", "bandwidth_outbound"),
            *("filterref", "mtu", "port_isolated"),
        },
    ),
    (
        "a VF by its address",
        Interface(type="hostdev", source_pci=PciAddress(0, 1, 16, 2)),
        True,
        {
            *("source_portgroup", "virtualport", "bandwidth_inbound", "bandwidth_outbound"),
            *("filterref", "mtu", "port_isolated"),
        },
    ),
    (
        "a VF of a pool",
        Interface(type="network", source_network="lan"),
        True,
        {
            *("source_portgroup", "virtualport", "bandwidth_inbound", "bandwidth_outbound"),
            *("filterref", "mtu", "port_isolated"),
        },
    ),
]


def kind_of(p: Interface, *, is_hostdev: bool) -> str:
    return HOSTDEV if is_hostdev else p.type


@pytest.mark.parametrize(("p", "is_hostdev", "missing"), [row[1:] for row in KINDS], ids=[row[0] for row in KINDS])
def test_each_kind_gets_what_it_can_hold_and_the_rest_is_named(
    p: Interface, is_hostdev: bool, missing: set[str]
) -> None:
    taken = take(E, p, kind_of(p, is_hostdev=is_hostdev))
    rate = {"max_rate": 8} if is_hostdev else {}
    assert taken.changes == {name: value for name, value in WHOLE.items() if name not in missing} | rate
    assert {name for name, _ in taken.left_out} == missing
    assert taken.loses_filter == ("filterref" in missing)
    assert all(why and "None" not in why for _, why in taken.left_out)


@pytest.mark.parametrize("p", [row[1] for row in KINDS], ids=[row[0] for row in KINDS])
def test_what_the_guest_knows_a_nic_by_goes_to_every_kind(p: Interface) -> None:
    for is_hostdev in (False, True):
        assert {name: WHOLE[name] for name in ALWAYS}.items() <= take(
            E, p, kind_of(p, is_hostdev=is_hostdev)
        ).changes.items()


def test_what_e_does_not_say_p_keeps() -> None:
    p = Interface(type="bridge", source_bridge="br0", **WHOLE)
    taken = take(Interface(type="bridge", mac=MAC), p, "bridge")
    assert (taken.changes, taken.left_out) == ({"mac": MAC, "link_state": "up"}, ())
    assert take(Interface(type="user"), Interface(type="user"), HOSTDEV).changes == {}


def test_nothing_else_of_e_is_taken() -> None:
    said = {name: values[0] for name, values in EXAMPLES.items() if name != "type"}
    e = Interface(type="network", **said)
    for p, is_hostdev in [(row[1], row[2]) for row in KINDS]:
        assert set(take(e, p, kind_of(p, is_hostdev=is_hostdev)).changes) <= {*WHOLE, "max_rate"}


@pytest.mark.parametrize(
    ("e", "p", "given"),
    [
        (None, None, None),
        ("up", None, None),
        (None, "up", None),
        ("down", None, "down"),
        ("down", "down", None),
        ("up", "down", "up"),
        (None, "down", "up"),
    ],
)
def test_the_link_state_is_e_s_whether_it_is_said_or_not(e: str | None, p: str | None, given: str | None) -> None:
    taken = take(Interface(type="user", link_state=e), Interface(type="user", link_state=p), "user")
    assert taken.changes.get("link_state") == given


@pytest.mark.parametrize(
    ("vlan", "why"),
    [
        (Vlan((VlanTag(0),)), None),
        (Vlan((VlanTag(4094),)), None),
        (Vlan((VlanTag(7),), trunk=False), None),
        (Vlan((VlanTag(4095),)), "up to 4094"),
        (Vlan((VlanTag(7),), trunk=True), "no trunk"),
        (Vlan((VlanTag(7), VlanTag(8))), "no trunk"),
        (Vlan((VlanTag(7, "untagged"),)), "no trunk"),
    ],
)
def test_a_vf_has_one_vlan(vlan: Vlan, why: str | None) -> None:
    taken = take(Interface(type="bridge", vlan=vlan), Interface(type="hostdev"), HOSTDEV)
    if why is None:
        assert (taken.changes, taken.left_out) == ({"vlan": vlan}, ())
    else:
        ((name, said),) = taken.left_out
        assert (name, taken.changes) == ("vlan", {})
        assert why in said


@pytest.mark.parametrize("of_e", [True, False])
def test_a_vf_with_a_port_profile_has_no_vlan_of_its_own(of_e: bool) -> None:
    port, vlan = VirtualPort(type="802.1Qbh", profileid="p"), Vlan((VlanTag(7),))
    e = Interface(type="network", vlan=vlan, virtualport=port if of_e else None)
    taken = take(e, Interface(type="hostdev", virtualport=None if of_e else port), HOSTDEV)
    assert taken.changes == ({"virtualport": port} if of_e else {})
    assert [name for name, _ in taken.left_out] == ["vlan"]
    bridged = take(e, Interface(type="network", virtualport=None if of_e else port), "network")
    assert bridged.changes["vlan"] == vlan


@pytest.mark.parametrize(
    ("average", "own", "rate"),
    [
        (125, None, 1),
        (126, None, 2),
        (1, None, 1),
        (124, None, 1),
        (125_000, None, 1000),
        (125_001, None, 1001),
        (1000, 100, 8),
        (1000, 5, 5),
        (1000, 0, 8),
        (None, 5, None),
        (0, None, None),
    ],
)
def test_a_vf_s_rate_is_never_below_what_e_had_nor_above_its_own(
    average: int | None, own: int | None, rate: int | None
) -> None:
    e = Interface(type="bridge", bandwidth_outbound=Limit(average=average, peak=9))
    taken = take(e, Interface(type="hostdev", max_rate=own), HOSTDEV)
    assert taken.changes.get("max_rate") == rate
    assert [name for name, _ in taken.left_out] == ["bandwidth_outbound"]
    assert "max_rate" not in take(e, Interface(type="bridge"), "bridge").changes


@given(st.integers(1, 10**9))
def test_a_rate_is_rounded_up_by_less_than_one(average: int) -> None:
    e = Interface(type="bridge", bandwidth_outbound=Limit(average=average))
    rate = take(e, Interface(type="hostdev"), HOSTDEV).changes["max_rate"]
    assert isinstance(rate, int)
    assert 0 <= rate * 1_000_000 - average * 8000 < 1_000_000


def test_what_is_taken_can_be_put_into_an_element() -> None:
    for p, is_hostdev in [(row[1], row[2]) for row in KINDS]:
        changes = {
            name: value
            for name, value in take(E, p, kind_of(p, is_hostdev=is_hostdev)).changes.items()
            if name != "max_rate"
        }
        net = xml.interface(xml.edit(xml.element(p), changes))
        assert {name: getattr(net, name) for name in changes} == changes


def test_the_marker_says_who_has_which_identity() -> None:
    e = Identity(alias="ua-e", vif="ua-p", live="<interface type='user'/>")
    metadata = DomainMetadata(identities=(Identity(alias="ua-f"), e))
    assert metadata.naming("ua-p") == e
    assert metadata.naming("ua-f") is None
    assert metadata.naming("") is None


CLAIMS = DomainMetadata(
    identities=(
        Identity(alias="ua-e", vif="ua-p"),
        Identity(alias="ua-f"),
        Identity(alias="ua-out", is_out=True),
    )
)


@pytest.mark.parametrize(
    ("e", "p", "words"),
    [
        ("ua-new", "ua-other", None),
        ("ua-f", "ua-other", None),
        ("ua-e", "ua-p", None),
        ("ua-new", "ua-f", None),
        ("ua-out", "ua-other", None),
        ("ua-e", "ua-q", "NIC ua-p has the claim on the identity of ua-e"),
        ("ua-f", "ua-p", "NIC ua-p has the claim on the identity of ua-e, and can have one"),
        ("ua-new", "ua-p", "NIC ua-p has the claim on the identity of ua-e, and can have one"),
        ("ua-new", "ua-new", "cannot have its own identity"),
        ("ua-new", "ua-e", "NIC ua-e has an identity that ua-p can take"),
        ("ua-new", "ua-out", "NIC ua-out has an identity that another NIC can take"),
        ("ua-p", "ua-other", "NIC ua-p has the claim on the identity of ua-e, and its own may go to nobody"),
    ],
)
def test_two_cannot_claim_one_and_one_cannot_claim_two(e: str, p: str, words: str | None) -> None:
    why = fault(CLAIMS, e, p)
    if words is None:
        assert why is None
        assert CLAIMS.with_identity(Identity(alias=e, vif=p)).naming(p) == Identity(alias=e, vif=p)
    else:
        assert why is not None
        assert words in why
