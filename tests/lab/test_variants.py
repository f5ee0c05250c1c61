"""Every way to ask for a VF, watched from outside the program: before, while the guest has it, and after."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import libvirt
import pytest

from tests.lab import sriov, views
from tests.lab.figures import IS_LONG, long
from tests.lab.nics import MAC, PFS, VLAN, pci, pool_nic, vf_nic
from tests.real.guests import Guest
from virtnetplug import Plugger, Result, xml
from virtnetplug.cli.nic import interface_from_values
from virtnetplug.errors import VirtnetplugError
from virtnetplug.model.operation import Scope

Pool = Callable[..., str]

PLACES = {"pc": "0000:00:1d.0", "q35": "0000:03:00.0"}
"""A free place in the small guest of each machine."""

PF1 = "<pf dev='pf1'/>"
TWO = "".join(pci(f"0000:02:10.{function}") for function in (2, 4))

POOLS: dict[str, tuple[str, str]] = {
    "pool of a PF, managed": (PF1, "yes"),
    "pool of a PF, unmanaged": (PF1, "no"),
    "pool of a PF, managed or not unsaid": (PF1, ""),
    "pool of addresses, managed": (TWO, "yes"),
    "pool of addresses, unmanaged": (TWO, "no"),
    "pool of addresses, managed or not unsaid": (TWO, ""),
}
DEVICES = {"device, managed": "yes", "device, unmanaged": "no", "device, managed or not unsaid": ""}


def check_cycle(plugger: Plugger, vm: Guest, nic: str, pool: str | None, place: str) -> None:
    """Attach `nic`, which asks for VLAN 42, a MAC, an alias and a `place`, and detach it, looking at all there is to see."""
    connection = vm.dom.connect()
    before = views.everything(plugger, vm)
    lines = views.vf_lines()
    assert pool is None or (views.connections(connection, pool), ports(connection, pool)) == (0, {})
    (attached,) = plugger.attach(vm.name, [nic]).nics
    vf = str(attached.host_address)
    check_lent(vm, vf, place)
    now = views.vf_lines()
    assert (now[vf]["address"], now[vf]["vlan_list"][0]["vlan"]) == (MAC.format(1), 42)
    assert {**now, vf: None} == {**lines, vf: None}
    if pool is not None:
        assert (views.connections(connection, pool), ports(connection, pool)) == (1, {vf: vm.name})
    assert plugger.audit().findings == ()
    outcome = plugger.detach(vm.name, "ua-vf1", wait=600)
    assert (outcome.result, outcome.warnings) == (Result.DONE, ())
    views.assert_back(plugger, vm, before)
    assert views.vf_lines() == lines
    assert pool is None or (views.connections(connection, pool), ports(connection, pool)) == (0, {})
    assert plugger.audit().findings == ()


def check_lent(vm: Guest, vf: str, place: str) -> None:
    """The guest has one net and one hostdev of it, which is on VFIO and libvirt gives to nobody else."""
    devices = xml.devices(vm.dom.XMLDesc())
    (net,), (hostdev,) = devices.nets, devices.hostdevs
    assert (net.type, str(net.mac), net.alias, str(net.address)) == ("hostdev", MAC.format(1), "ua-vf1", place)
    assert (str(hostdev.host_address), hostdev.parent) == (vf, "ua-vf1")
    assert sriov.driver(vf) == "vfio-pci" and sriov.net_names(vf) == []
    node = vm.dom.connect().nodeDeviceLookupByName("pci_" + vf.replace(":", "_").replace(".", "_"))
    with pytest.raises(libvirt.libvirtError, match=f"in use by driver QEMU, domain {vm.name}"):
        node.reAttach()


def ports(connection: libvirt.virConnect, pool: str) -> dict[str, str]:
    """The devices that its ports name, with their owners."""
    found = {}
    for port in connection.networkLookupByName(pool).listAllPorts():
        root = ElementTree.fromstring(port.XMLDesc())
        address, owner = root.find("plug[@type='hostdev-pci']/address"), root.findtext("owner/name")
        assert address is not None and owner is not None
        part = {name: int(address.attrib[name], 16) for name in ("domain", "bus", "slot", "function")}
        found["{domain:04x}:{bus:02x}:{slot:02x}.{function:x}".format(**part)] = owner
    return found


@pytest.mark.parametrize("variant", POOLS if IS_LONG else list(POOLS)[1:4:2])
def test_a_pool(plugger: Plugger, vm: Guest, pool: Pool, variant: str) -> None:
    source, managed = POOLS[variant]
    name = pool(source, managed=managed)
    more = VLAN + pci(PLACES["pc"])
    check_cycle(plugger, vm, pool_nic(pool=name, more=more), name, PLACES["pc"])


@pytest.mark.parametrize("variant", DEVICES if IS_LONG else ["device, unmanaged"])
def test_a_device_by_address(plugger: Plugger, vm: Guest, variant: str) -> None:
    vf = sriov.vfs(PFS[0])[2]
    check_cycle(plugger, vm, vf_nic(vf, DEVICES[variant], more=VLAN + pci(PLACES["pc"])), None, PLACES["pc"])


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        pytest.param({"network": "mixed", "pf": PFS[1]}, "0000:02:10.2", marks=long),
        ({"network": "mixed", "pf": "pf0"}, "0000:01:10.6"),
        ({"network": "mixed", "vf": "0000:02:10.4"}, "0000:02:10.4"),
        ({"vf": "0000:02:10.6"}, "0000:02:10.6"),
    ],
)
def test_a_vf_of_ones_choice(plugger: Plugger, vm: Guest, pool: Pool, asked: dict[str, str], wanted: str) -> None:
    """By its address or its PF, of a pool that has VFs of both, or by itself; as the command reads it."""
    name = pool(pci("0000:01:10.6") + TWO, managed="yes")
    before = views.everything(plugger, vm)
    request = {**asked, "network": name} if "network" in asked else asked
    (nic,) = plugger.attach(vm.name, [interface_from_values(request)]).nics
    assert str(nic.host_address) == wanted and sriov.driver(wanted) == "vfio-pci"
    assert list(ports(vm.dom.connect(), name)) == ([wanted] if "network" in asked else [])
    assert plugger.detach(vm.name, nic.alias, wait=600).result is Result.DONE
    views.assert_back(plugger, vm, before)


@long
def test_on_q35(plugger: Plugger, guest: Callable[..., Guest]) -> None:
    vm = guest(machine="q35")
    more = VLAN + pci(PLACES["q35"])
    check_cycle(plugger, vm, pool_nic(more=more + "<model type='virtio'/>"), "pool0", PLACES["q35"])  # a VF has none
    check_cycle(plugger, vm, vf_nic(sriov.vfs(PFS[1])[3], "no", more=more), None, PLACES["q35"])


def with_boot_orders(vm: Guest) -> Guest:
    """The guest, not running so far, boots by the order of its devices from now on."""
    root = ElementTree.fromstring(vm.dom.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    (system,), (disk,) = root.findall("os"), root.findall("devices/disk")
    for boot in system.findall("boot"):
        system.remove(boot)
    ElementTree.SubElement(disk, "boot", order="1")
    vm.dom = vm.dom.connect().defineXML(ElementTree.tostring(root, "unicode"))
    vm.dom.create()
    vm.wait_ready()
    return vm


@long
def test_boot_order(plugger: Plugger, guest: Callable[..., Guest], vm: Guest) -> None:
    """libvirt takes one for a running guest that boots by device, unless it is taken; `vm` boots by <os>."""
    ordered = with_boot_orders(guest(running=False))
    before = views.everything(plugger, ordered)
    plugger.attach(ordered.name, [pool_nic(more="<boot order='2'/>")], scope=Scope.BOTH)
    for inactive in (False, True):
        found = ordered.xml(inactive=inactive).find("devices/interface/boot")
        assert found is not None and found.get("order") == "2"
    plugger.detach(ordered.name, "ua-vf1", scope=Scope.BOTH, wait=600)
    views.assert_back(plugger, ordered, before)
    for name, order, why in ((ordered.name, 1, "already used"), (vm.name, 2, "os/boot")):
        with pytest.raises(VirtnetplugError, match=why) as caught:
            plugger.attach(name, [pool_nic(more=f"<boot order='{order}'/>")])
        assert (caught.value.reason, caught.value.exit_code) == ("hypervisor-failed", 4)
    views.assert_back(plugger, ordered, before)
