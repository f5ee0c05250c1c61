"""A Xen domain as the rest of the program sees it: links named, NICs gone for good, and what libvirt does not list."""

from __future__ import annotations

import pytest

from tests.unit.adapters.xen.guests import MACS, Guest, net, vif
from virtnetplug import xml
from virtnetplug.adapters.xen.domain import Dom0, XenDomain
from virtnetplug.adapters.xen.tools import Done, Toolstack
from virtnetplug.errors import DeviceMissing, HypervisorFailed, NotSupported, XenStoreFailed
from virtnetplug.lifecycle import State
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Ends, GuestEvent, GuestEventKind, Stray

FIRST = net(0, "<target dev='vif7.0'/>")


def guest(*nets: str, config: tuple[str, ...] = ()) -> Guest:
    """A guest with a vif for each of its NICs."""
    vifs = [vif(number) for number in range(4) if any(MACS[f"ua-{number}"] in one for one in nets)]
    return Guest(live=list(nets), config=list(config), vifs_there=vifs)


def targets(text: str) -> list[str | None]:
    return [one.target for one in xml.glimpse(text)]


# -- the live definition -------------------------------------------------------------------------


def test_links_that_libvirt_does_not_name_are_named() -> None:
    there = guest(FIRST, net(1), net(2))
    there.vifs_there[2] = vif(2, link_name="mine")
    assert targets(there.domain.xml(Half.LIVE)) == ["vif7.0", "vif7.1", "mine"]


def test_such_a_name_is_libvirts_and_leaves_with_what_it_adds() -> None:
    there = guest(net(1))
    (named,) = xml.devices(there.domain.xml(Half.LIVE)).nets
    assert xml.strip_live(named.element) == net(1)


def test_xenstore_is_not_asked_where_all_is_named() -> None:
    there = guest(FIRST)
    assert there.domain.xml(Half.LIVE) == there.xml(Half.LIVE)
    assert there.domain.xml(Half.CONFIG) == there.xml(Half.CONFIG)
    assert there.calls == []


def test_who_may_not_ask_xenstore_sees_what_libvirt_says() -> None:
    there = guest(net(1))
    there.is_readable = False
    assert there.domain.xml(Half.LIVE) == there.xml(Half.LIVE)
    domain = there.domain
    domain.xml(Half.LIVE)
    assert domain.ends(MACS["ua-1"]) is None
    with pytest.raises(XenStoreFailed):
        domain.strays()


def test_both_ends_are_those_of_xenstore() -> None:
    there = guest(net(1), net(2))
    there.vifs_there = [vif(1, backend=State.INIT_WAIT), vif(3, frontend=None)]
    domain = there.domain
    domain.xml(Half.LIVE)
    assert domain.ends(MACS["ua-1"], "vif7.1") == Ends(State.CONNECTED, State.INIT_WAIT)
    assert domain.ends(MACS["ua-2"]) == Ends(None, None)
    assert domain.ends(MACS["ua-3"], "vif7.3") == Ends(None, State.CONNECTED)


def test_they_are_also_told_before_any_other_look() -> None:
    assert guest(FIRST).domain.ends(MACS["ua-0"], "vif7.0") == Ends(State.CONNECTED, State.CONNECTED)
    assert Guest(live=None).domain.ends(MACS["ua-0"]) == Ends(None, None)


def test_of_two_nics_of_one_mac_each_has_its_own_vif() -> None:
    there = Guest(live=[net(1).replace("br0", "br1"), net(1).replace("ua-1", "ua-5")])
    mac = MACS["ua-1"]
    there.vifs_there = [vif(1, bridge="br0"), vif(2, mac=mac, bridge="br1", backend=State.CLOSED)]
    domain = there.domain
    assert targets(domain.xml(Half.LIVE)) == ["vif7.2", "vif7.1"]
    assert domain.ends(mac, "vif7.1") == Ends(State.CONNECTED, State.CONNECTED)
    assert domain.ends(mac, "vif7.2") == Ends(State.CONNECTED, State.CLOSED)


def test_two_of_one_bridge_have_not_the_same_one() -> None:
    there = Guest(live=[net(1), net(1).replace("ua-1", "ua-5")])
    there.vifs_there = [vif(1, bridge="br0"), vif(2, mac=MACS["ua-1"], bridge="br0")]
    assert sorted(map(str, targets(there.domain.xml(Half.LIVE)))) == ["vif7.1", "vif7.2"]


def test_a_vif_that_another_toolstack_made_with_the_mac_of_a_nic_is_not_its() -> None:
    there = Guest(live=[net(1)])
    there.vifs_there = [vif(2, mac=MACS["ua-1"], bridge="br9", frontend=None), vif(1, bridge="br0")]
    domain = there.domain
    assert targets(domain.xml(Half.LIVE)) == ["vif7.1"]
    assert domain.ends(MACS["ua-1"], "vif7.1") == Ends(State.CONNECTED, State.CONNECTED)
    with pytest.raises(NotSupported, match=r"ua-1 of web has vif7\.1, and vif7\.2 .*xl network-detach"):
        domain.detach("ua-1", Half.LIVE)
    assert len(there.vifs_there) == 2 and there.live == [net(1)]
    assert domain.strays() == (Stray("vif7.2", MACS["ua-1"], "br9"),)


ELSEWHERE = net(1).replace("br0", "br1").replace("ua-1", "ua-5")
"""A NIC with the MAC of ua-1, in another bridge."""


@pytest.mark.parametrize(
    ("nets", "bridge", "links"),
    [((net(1), ELSEWHERE), "br1", [None, "vif7.2"]), ((net(1),), "br9", [None])],
    ids=["that of another NIC", "that of xl"],
)
def test_a_lone_vif_in_another_bridge_is_not_the_nics(
    nets: tuple[str, ...], bridge: str, links: list[str | None]
) -> None:
    there = Guest(live=list(nets), vifs_there=[vif(2, mac=MACS["ua-1"], bridge=bridge)])
    domain = there.domain
    assert targets(domain.xml(Half.LIVE)) == links
    assert domain.ends(MACS["ua-1"]) == Ends(None, None)
    assert [stray.bridge for stray in domain.strays()] == ([] if len(nets) > 1 else ["br9"])
    with pytest.raises(NotSupported, match=r"ua-1 of web has no vif, and vif7\.2 .*xl network-detach"):
        domain.detach("ua-1", Half.LIVE)
    assert len(there.vifs_there) == 1 and there.live == list(nets)


def test_a_vif_with_another_link_than_the_definition_names_is_not_the_nics() -> None:
    there = Guest(live=[FIRST], vifs_there=[vif(3, mac=MACS["ua-0"], bridge="br0")])
    assert there.domain.ends(MACS["ua-0"], "vif7.0") == Ends(None, None)
    assert [stray.name for stray in there.domain.strays()] == ["vif7.3"]
    with pytest.raises(NotSupported, match=r"has no vif, and vif7\.3"):
        there.domain.detach("ua-0", Half.LIVE)


def test_the_link_of_an_hvm_guest_is_that_of_its_vif() -> None:
    there = Guest(live=[net(0, "<target dev='vif7.0-emu'/>")], vifs_there=[vif(0)])
    assert there.domain.ends(MACS["ua-0"], "vif7.0-emu") == Ends(State.CONNECTED, State.CONNECTED)
    assert there.domain.strays() == ()


def test_a_placeholder_that_was_left_is_what_libvirt_removes() -> None:
    there = Guest(live=[net(1)], vifs_there=[vif(1, bridge="xenbr0", script="/bin/true")])
    assert there.domain.strays() == ()
    there.domain.detach("ua-1", Half.LIVE)
    assert there.live == [] and there.vifs_there == []


# -- detach --------------------------------------------------------------------------------------


def test_it_detaches_by_the_element() -> None:
    there = guest(FIRST, net(1), config=(net(1),))
    there.domain.detach("ua-1", Half.LIVE)
    assert there.live == [FIRST] and there.config == [net(1)]
    there.domain.detach("ua-1", Half.CONFIG)
    assert there.config == []
    with pytest.raises(DeviceMissing, match="alias ua-1"):
        there.domain.detach("ua-1", Half.LIVE)


def test_a_vif_without_a_driver_gets_it_before() -> None:
    there = guest(net(1))
    there.unbound = {"vif-7-1"}
    there.domain.detach("ua-1", Half.LIVE)
    assert there.live == [] and there.calls == ["xenstore", "bind vif-7-1", "detach live"]


def test_what_libvirt_lists_for_ever_is_given_something_to_remove() -> None:
    """The driver cannot be bound again: libxl fails after the deed, and libvirt still lists the NIC."""
    there = guest(net(1))
    there.unbound, there.cannot_bind = {"vif-7-1"}, True
    there.domain.detach("ua-1", Half.LIVE)
    assert there.live == [] and there.vifs_there == []
    placeholder = f"network-attach mac={MACS['ua-1']} script=/bin/true"
    assert [call for call in there.calls if call != "xenstore"] == [
        "bind vif-7-1",
        "detach live",
        placeholder,
        "detach live",
    ]


@pytest.mark.parametrize("left", [None, vif(1, is_recorded=False)], ids=["nothing", "areas without a record"])
def test_so_is_one_of_which_that_happened_before(left: object) -> None:
    there = guest(net(1))
    there.vifs_there = [left] if left is not None else []  # type: ignore[list-item]
    there.domain.detach("ua-1", Half.LIVE)
    assert there.live == []


def test_an_error_with_the_vif_still_there_is_libvirts_answer() -> None:
    there = guest(net(1))
    there._remove = lambda element: (_ for _ in ()).throw(HypervisorFailed("libvirt says: busy"))  # type: ignore[method-assign]
    with pytest.raises(HypervisorFailed, match="busy"):
        there.domain.detach("ua-1", Half.LIVE)
    assert there.live == [net(1)] and "network-attach" not in " ".join(there.calls)


def test_an_assigned_device_is_libvirts_own_business() -> None:
    device = (
        "<interface type='hostdev'><mac address='00:16:3e:08:00:01'/><source><address type='pci' domain='0' bus='1' slot='0' function='0'/>"
        "</source><alias name='ua-1'/></interface>"
    )
    there = Guest(live=[device])
    with pytest.raises(HypervisorFailed, match="unknown"):
        there.domain.detach("ua-1", Half.LIVE)
    assert there.calls == ["detach live"]


# -- what libvirt does not list ------------------------------------------------------------------


def test_vifs_that_libvirt_does_not_list_are_strays() -> None:
    there = guest(FIRST)
    there.vifs_there += [vif(1), vif(2, mac=None), vif(3, domain_id=8)]
    assert there.domain.strays() == (Stray("vif7.1", MACS["ua-1"]), Stray("vif7.2", None))


def test_a_guest_that_does_not_run_has_none() -> None:
    assert Guest(live=None).domain.strays() == ()


def test_only_the_stray_that_is_meant_is_evicted() -> None:
    there = guest(FIRST)
    there.vifs_there += [vif(1), vif(2)]
    there.unbound = {"vif-7-1"}
    assert there.domain.evict(xml.interface(net(1)))
    assert [one.number for one in there.vifs_there] == [0, 2]
    there.vifs_there.append(vif(1, bridge="br9"))
    assert there.domain.evict(xml.interface(net(1))) and len(there.vifs_there) == 3
    assert "bind vif-7-1" in there.calls  # or xl would wait for it in vain


def test_what_libvirt_lists_is_not_evicted() -> None:
    there = guest(FIRST)
    assert there.domain.evict(xml.interface(FIRST))
    assert len(there.vifs_there) == 1


def test_areas_that_the_toolstack_has_no_record_of_are_said() -> None:
    there = guest()
    there.vifs_there = [vif(1, is_recorded=False)]
    with pytest.raises(XenStoreFailed, match=r"vif7\.1 .*only the end of the guest"):
        there.domain.evict(xml.interface(net(1)))


def test_what_xl_says_is_passed_on() -> None:
    def fail(words: object) -> Done:
        return Done([], 1, "", "warning: this\nlibxl: error: no such thing\n")

    with pytest.raises(XenStoreFailed, match=r"'xl network-detach 7 1' failed: libxl: error: no such thing"):
        Toolstack(fail).remove(7, 1)


# -- update, limits, events ----------------------------------------------------------------------


def test_the_config_is_updated_by_out_and_in_again() -> None:
    there = guest(config=(net(1), net(2)))
    new = net(1).replace("br0", "br1")
    there.domain.update(new, Half.CONFIG)
    assert there.config == [net(2), new]
    with pytest.raises(HypervisorFailed):
        there.domain.update(new.replace("br1", "refused"), Half.CONFIG)
    assert there.config == [net(2), new]
    with pytest.raises(NotSupported):
        there.domain.update(new, Half.LIVE)


@pytest.mark.parametrize(
    ("element", "field"),
    [
        ("<interface type='user'/>", "type"),
        (net(1, "<model type='e1000'/>"), "model"),
        (net(1, "<filterref filter='clean-traffic'/>"), "filterref"),
        (net(1, "<mtu size='1400'/>"), "mtu"),
        (net(1, "<link state='down'/>"), "link_state"),
        (net(1, "<vlan><tag id='4'/></vlan>"), "vlan"),
        (net(1, "<port isolated='yes'/>"), "port_isolated"),
        (net(1, "<teaming type='persistent'/>"), "teaming"),
        (net(1, "<bandwidth><inbound average='1000'/></bandwidth>"), "bandwidth_inbound"),
        (net(1, "<address type='pci' domain='0' bus='0' slot='9' function='0'/>"), "address"),
        (net(1, "<driver queues='4'/>"), "driver_queues"),
    ],
)
def test_what_a_vif_cannot_have(element: str, field: str) -> None:
    asked = xml.interface(element)
    assert [lack.field for lack in Guest().domain.lacks(asked, asked.type)] == [field]


@pytest.mark.parametrize(
    "extra",
    [
        "<link state='up'/>",
        "<model type='netfront'/>",
        "<bandwidth><outbound average='1000'/></bandwidth>",
        "<script path='/x'/>",
        "<target dev='mine'/>",
        "<port isolated='no'/>",
        "<virtualport type='openvswitch'/><vlan><tag id='4'/></vlan>",
    ],
)
def test_what_it_can(extra: str) -> None:
    assert Guest().domain.lacks(xml.interface(net(1, extra)), "bridge") == ()


def test_what_is_emulated_depends_on_the_guest() -> None:
    emulated = xml.interface(net(1, "<model type='e1000'/>"))
    assert Guest(kind="hvm").domain.lacks(emulated, "bridge") == ()
    assert [lack.field for lack in Guest(live=None, config=[]).domain.lacks(emulated, "bridge")] == ["model"]


def test_devices_of_a_pool_are_not_for_xen() -> None:
    (lack,) = Guest().domain.lacks(
        xml.interface("<interface type='network'><source network='pool'/></interface>"), "hostdev"
    )
    assert "no PCI devices" in lack.why


def test_a_vif_that_has_gone_from_xenstore_is_told() -> None:
    there = guest(net(1), net(2))
    with there.domain.watch() as watch:
        there.events = [GuestEvent(GuestEventKind.ENDED)]
        assert watch.next(5) == GuestEvent(GuestEventKind.ENDED)
        there.vifs_there = [vif(2)]
        assert watch.next(5) == GuestEvent(GuestEventKind.REMOVED, "ua-1")
        assert there.changes == 1
        assert watch.next(0) is None


def test_without_xenstore_libvirts_events_are_left() -> None:
    there = guest(net(1))
    with there.domain.watch() as watch:
        there.is_readable = False
        there.vifs_there = []
        there.events = [GuestEvent(GuestEventKind.LOST)]
        assert watch.next(5) == GuestEvent(GuestEventKind.LOST)
        assert watch.next(0) is None


def test_on_another_host_than_dom0_there_are_libvirts_events_only() -> None:
    there = guest(net(1))
    there.events = [GuestEvent(GuestEventKind.LOST)]
    with XenDomain(there, Dom0(None, None, Toolstack(there.xl))).watch() as watch:  # type: ignore[arg-type]
        assert watch.next(0.0) == GuestEvent(GuestEventKind.LOST)
    assert there.calls == []
