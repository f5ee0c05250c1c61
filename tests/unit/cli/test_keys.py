"""Every flag becomes the model value it says, alone, in --nic, and in an update."""

from __future__ import annotations

import pytest

from virtnetplug.cli.keys import BY_NAME, KEYS
from virtnetplug.cli.nic import changes_from_values, interface_from_values, values_from_text
from virtnetplug.errors import MacInvalid, PciAddressInvalid, UsageError
from virtnetplug.model.interface import FilterRef, Interface, Limit, Teaming, VirtualPort, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.pci import PciAddress

# text, the Interface field, its value, what else has to be said with it
CASES = {
    "type": ("user", "type", "user", {}),
    "network": ("default", "source_network", "default", {}),
    "bridge": ("br0", "source_bridge", "br0", {}),
    "dev": ("eth0", "source_dev", "eth0", {}),
    "source": ("blue", "source_network", "blue", {"type": "network"}),
    "mode": ("vepa", "source_mode", "vepa", {"dev": "eth0"}),
    "portgroup": ("gold", "source_portgroup", "gold", {"network": "default"}),
    "mac": ("52-54-00-AA-bb-01", "mac", Mac("52:54:00:aa:bb:01"), {"network": "default"}),
    "model": ("e1000e", "model", "e1000e", {"network": "default"}),
    "target": ("tap7", "target_dev", "tap7", {"network": "default"}),
    "alias": ("ua-x", "alias", "ua-x", {"network": "default"}),
    "vlan": (
        "10:untagged,20", "vlan", Vlan((VlanTag(10, "untagged"), VlanTag(20)), trunk=True), {"network": "default"},
    ),
    "mtu": ("9000", "mtu", 9000, {"network": "default"}),
    "link": ("down", "link_state", "down", {"network": "default"}),
    "boot-order": ("2", "boot_order", 2, {"network": "default"}),
    "queues": ("4", "driver_queues", 4, {"network": "default"}),
    "inbound": ("1000,2000,512,100", "bandwidth_inbound", Limit(1000, 2000, 512, 100), {"network": "default"}),
    "outbound": ("1000,,512", "bandwidth_outbound", Limit(1000, None, 512), {"network": "default"}),
    "filter": ("clean-traffic", "filterref", FilterRef("clean-traffic"), {"network": "default"}),
    "virtualport-type": ("openvswitch", "virtualport", VirtualPort("openvswitch"), {"bridge": "ovs0"}),
    "interfaceid": (
        "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f", "virtualport",
        VirtualPort("openvswitch", interfaceid="09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"),
        {"bridge": "ovs0", "virtualport-type": "openvswitch"},
    ),
    "profileid": (
        "menial", "virtualport", VirtualPort("openvswitch", profileid="menial"),
        {"bridge": "ovs0", "virtualport-type": "openvswitch"},
    ),
    "address": ("05:01.0", "address", PciAddress(0, 5, 1, 0), {"network": "default"}),
    "acpi-index": ("7", "acpi_index", 7, {"network": "default"}),
    "isolated": ("yes", "port_isolated", True, {"bridge": "br0"}),
    "trust-guest-rx-filters": ("no", "trust_guest_rx_filters", False, {"network": "default"}),
    "rx-frames": ("32", "coalesce_rx_frames", 32, {"network": "default"}),
    "vf": ("0000:01:10.2", "vf", PciAddress(0, 1, 0x10, 2), {"network": "vfs"}),
    "pf": ("eth0", "pf", "eth0", {"network": "vfs"}),
    "trust": ("yes", "trust", True, {"network": "vfs"}),
    "spoofchk": ("no", "spoofchk", False, {"network": "vfs"}),
    "max-rate": ("1000", "max_rate", 1000, {"network": "vfs"}),
    "min-rate": ("100", "min_rate", 100, {"network": "vfs"}),
    "vlan-qos": ("3", "vlan_qos", 3, {"network": "vfs"}),
    "vlan-proto": ("802.1ad", "vlan_proto", "802.1ad", {"network": "vfs"}),
    "teaming": ("transient:ua-backup", "teaming", Teaming("transient", "ua-backup"), {"network": "default"}),
}  # fmt: skip


def test_every_key_has_a_case() -> None:
    assert set(CASES) == {key.name for key in KEYS}


@pytest.mark.parametrize("name", CASES)
def test_a_flag_sets_its_field_of_an_attach(name, run, plugger):
    text, field, value, others = CASES[name]
    ran = run("attach", "web1", *(f"--{key}={other}" for key, other in others.items()), f"--{name}", text)
    assert ran.code == 0, ran.err
    ((_, domain, (interface,), scope, wait),) = plugger.calls
    assert (domain, scope, wait) == ("web1", None, 30.0)
    assert getattr(interface, field) == value
    assert interface == interface_from_values({**others, name: text})


@pytest.mark.parametrize("name", CASES)
def test_a_nic_text_says_the_same_as_the_flags(name):
    text, _, _, others = CASES[name]
    written = ",".join(f"{key}={value}" for key, value in {**others, name: text}.items())
    assert values_from_text(written) == {**others, name: text}


@pytest.mark.parametrize("name", [key.name for key in KEYS if key.for_update])
def test_a_flag_sets_its_field_of_an_update(name, run, plugger):
    text, field, value, others = CASES[name]
    ran = run("update", "web1", "ua-1", *(f"--{key}={other}" for key, other in others.items()), f"--{name}", text)
    assert ran.code == 0, ran.err
    ((_, domain, nic, changes, _, replace, _),) = plugger.calls
    assert (domain, nic, replace) == ("web1", "ua-1", False)
    assert changes[field] == value


@pytest.mark.parametrize("name", [key.name for key in KEYS if key.can_clear])
@pytest.mark.parametrize("nothing", ["none", ""])
def test_none_clears_a_property_in_an_update(name, nothing):
    assert changes_from_values({name: nothing}) == {BY_NAME[name].field.partition(".")[0]: None}


@pytest.mark.parametrize("name", [key.name for key in KEYS])
def test_an_empty_value_is_refused_in_an_attach(name):
    with pytest.raises(UsageError):
        interface_from_values({"network": "default", name: ""})


def test_a_vf_by_itself_is_a_device_that_libvirt_binds():
    vf = PciAddress(0, 1, 0x10, 2)
    assert interface_from_values({"vf": "01:10.2"}) == Interface(type="hostdev", source_pci=vf, managed=True)
    assert interface_from_values({"vf": "01:10.2", "type": "hostdev"}).source_pci == vf


def test_fields_not_said_are_none():
    assert interface_from_values({"network": "default"}) == Interface(type="network", source_network="default")


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ({"network": "x"}, {"type": "network", "source_network": "x"}),
        ({"bridge": "x"}, {"type": "bridge", "source_bridge": "x"}),
        (
            {"dev": "x", "mode": "bridge"},
            {
                "type": "direct", "source_dev": "x", "source_mode": "bridge", "source_network": None,
                "source_portgroup": None, "source_portid": None, "source_bridge": None,
            },
        ),
        ({"mode": "vepa"}, {"source_mode": "vepa"}),
    ],
)  # fmt: skip
def test_a_source_brings_its_type_into_an_update(source, changes):
    assert changes_from_values(source) == changes


def test_the_second_spelling_of_dev():
    assert values_from_text("direct=eth0") == {"dev": "eth0"}


def test_booleans_may_stand_alone(run, plugger):
    assert values_from_text("bridge=br0,isolated,vlan=1,2,trust-guest-rx-filters") == {
        "bridge": "br0", "isolated": "yes", "vlan": "1,2", "trust-guest-rx-filters": "yes",
    }  # fmt: skip
    assert run("attach", "--bridge", "br0", "--isolated", "web1").code == 0
    assert run("attach", "web1", "--bridge", "br0", "--isolated", "no").code == 0
    assert [call[2][0].port_isolated for call in plugger.calls] == [True, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("netwrok=x", "Did you mean network"),
        ("zzzzzz=1", "Known are"),
        ("network", "network=NAME"),
        ("network=a,b", "no key 'b'"),
        ("network=a,network=b", "there twice"),
        ("", "no key ''"),
    ],
)
def test_a_bad_nic_text_says_what_to_change(text, said):
    with pytest.raises(UsageError, match=said):
        values_from_text(text)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "what the NIC connects to"),
        ({"network": "a", "bridge": "b"}, "only one of --network and --bridge"),
        ({"network": "a", "type": "bridge"}, "leave --type out"),
        ({"type": "bridge"}, "add --bridge"),
        ({"source": "a"}, "--source needs --type"),
        ({"source": "a", "type": "network", "network": "b"}, "leave one out"),
        ({"type": "netwrok"}, "not 'netwrok'"),
        ({"network": "a", "vlan": "4096"}, "0 to 4095"),
        ({"network": "a", "vlan": "10:native"}, "0 to 4095"),
        ({"network": "a", "vlan": "10:"}, "0 to 4095"),
        ({"network": "a", "vlan": "1,,2"}, "0 to 4095"),
        ({"network": "a", "mtu": "67"}, "68 to 65535"),
        ({"network": "a", "mtu": "²"}, "68 to 65535"),
        ({"network": "a", "mtu": "9" * 5000}, "68 to 65535"),
        ({"network": "a", "link": "sideways"}, "up or down"),
        ({"network": "a", "inbound": "fast"}, "average"),
        ({"network": "a", "inbound": ",,,"}, "average"),
        ({"network": "a", "outbound": "1,2,3,4"}, "average"),
        ({"network": "a", "isolated": "maybe"}, "yes or no"),
        ({"network": "a", "teaming": "transient"}, "partner"),
        ({"type": "hostdev"}, "add --vf"),
        ({"pf": "eth0", "vf": "0000:01:10.2"}, "add --network"),
        ({"type": "bridge", "bridge": "a", "pf": "eth0"}, "add --network"),
    ],
)
def test_a_contradiction_says_what_to_change(values, said):
    with pytest.raises(UsageError, match=said):
        interface_from_values(values)


def test_addresses_are_refused_by_their_own_reason():
    with pytest.raises(MacInvalid):
        interface_from_values({"network": "a", "mac": "01:00:5e:00:00:01"})
    with pytest.raises(PciAddressInvalid):
        interface_from_values({"network": "a", "address": "0000:00:20.0"})


def test_an_update_needs_a_change_and_a_whole_virtualport():
    with pytest.raises(UsageError, match="nothing to update"):
        changes_from_values({})
    with pytest.raises(UsageError, match="--virtualport-type"):
        changes_from_values({"interfaceid": "x"})
    with pytest.raises(UsageError, match="removes it all"):
        changes_from_values({"virtualport-type": "none", "interfaceid": "x"})
