"""The tree of the host's devices: who has each VF, and what is wrong with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.stage import Stage
from virtnetplug.errors import ConnectionLost, HostDeviceFailed, HostDeviceUnfit, HypervisorFailed, NotSupported
from virtnetplug.hotplug.report.devices import device_tree
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import DeviceState, DeviceTree, DeviceUser, VfCounters, VfView
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.pci import PciAddress

PF, OTHER_PF = PciAddress.parse("0000:01:00.0"), PciAddress.parse("0000:02:00.0")
FIRST, SECOND = PciAddress.parse("0000:01:10.0"), PciAddress.parse("0000:01:10.2")
SOURCE = "<source><address domain='0x0000' bus='0x01' slot='0x10' function='0x0'/></source>"
NIC = f"<interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:01'/>{SOURCE}<alias name='ua-vf'/></interface>"


class Shelf(Stage):
    """A stage whose journal also holds devices."""

    shelf: list[Holding]

    def holdings(self, hypervisor: str | None = None, domain_uuid: str | None = None) -> list[Holding]:
        its = (one for one in self.shelf if hypervisor in (None, one.hypervisor))
        return [one for one in its if domain_uuid in (None, one.domain_uuid)]


@pytest.fixture
def stage() -> Shelf:
    one = Shelf()
    one.shelf = []
    one.nets["vfs"] = Network(name="vfs", forward="hostdev", pf="eth0")
    one.nets["listed"] = Network(name="listed", forward="hostdev", addresses=(PciAddress.parse("0000:02:10.0"),))
    one.nets["default"] = Network(name="default", forward="nat", bridge="virbr0")
    return one


def vf(tree: DeviceTree, address: PciAddress = FIRST) -> VfView:
    return next(vf for pf in tree.pfs for vf in pf.vfs if vf.device.address == address)


def held(**changes: object) -> Holding:
    one = Holding(
        address=FIRST, uri="u", hypervisor="h", domain_uuid="d", domain_name="web1", domain_id=3, alias="ua-vf", mac="", managed=True,
        network="vfs", port="p", operation_id="op-1",
    )  # fmt: skip
    return replace(one, **changes)  # type: ignore[arg-type]


def lend(stage: Shelf) -> None:
    stage.add("web1", NIC)
    stage.devices.detach(FIRST)
    stage.devices.held[FIRST] = {77}


def test_a_host_with_nothing_amiss(stage: Shelf) -> None:
    tree = device_tree(stage.host())
    assert [(pf.device.address, pf.link_up, pf.pools, len(pf.vfs)) for pf in tree.pfs] == [
        (PF, True, ("vfs",), 4),
        (OTHER_PF, True, ("listed",), 4),
    ]
    every = [vf for pf in tree.pfs for vf in pf.vfs]
    assert {vf.state for vf in every} == {DeviceState.FREE}
    assert not any(vf.users or vf.problems or vf.settings is None for vf in every)
    assert tree.unseen == ()


def test_a_vf_that_a_domain_has(stage: Shelf) -> None:
    lend(stage)
    stage.net_ports.append(
        NetworkPort(
            uuid="p", network="vfs", owner_name="web1", owner_uuid="d", mac=Mac("52:54:00:00:00:01"), host_address=FIRST
        )
    )
    stage.shelf.append(held())
    found = vf(device_tree(stage.host()))
    assert (found.state, found.problems) == (DeviceState.ATTACHED, ())
    assert found.users == (
        DeviceUser(view="domain", domain="web1", domain_uuid=stage.all["web1"].uuid, nic="ua-vf"),
        DeviceUser(view="port", domain="web1", domain_uuid="d", nic="52:54:00:00:00:01", network="vfs", port="p"),
        DeviceUser(
            view="journal", domain="web1", domain_uuid="d", nic="ua-vf", network="vfs", port="p", operation="op-1"
        ),
        DeviceUser(view="process", pid=77),
    )
    assert vf(device_tree(stage.host()), SECOND).state is DeviceState.FREE


def test_a_domain_that_does_not_run_has_nothing(stage: Shelf) -> None:
    stage.add("web1", NIC).live = None
    assert vf(device_tree(stage.host())).state is DeviceState.FREE


def test_states_and_what_is_wrong_with_each(stage: Shelf) -> None:
    def problem() -> tuple[DeviceState, str]:
        found = vf(device_tree(stage.host()))
        (text,) = found.problems
        return found.state, text

    lend(stage)
    stage.devices.replace(FIRST, driver="igbvf")
    assert problem() == (DeviceState.ATTACHED, "a domain has it, and its driver is igbvf instead of vfio-pci")
    stage.all.clear()
    stage.devices.replace(FIRST, driver="vfio-pci")
    state, text = problem()
    assert state is DeviceState.BUSY and "process 77 has it open" in text
    stage.devices.held.clear()
    state, text = problem()
    assert state is DeviceState.FREE and "virsh nodedev-reattach pci_0000_01_10_0" in text
    stage.devices.reattach(FIRST)
    stage.net_ports.append(NetworkPort(uuid="p9", network="vfs", owner_name="web9", host_address=FIRST))
    state, text = problem()
    assert state is DeviceState.RESERVED and "port p9 of network vfs keeps it for web9" in text
    stage.shelf.append(held())
    assert vf(device_tree(stage.host())).state is DeviceState.HELD
    assert vf(device_tree(stage.host())).problems == ()
    stage.shelf[0] = held(quarantine="its vlan is 7, and was 0")
    state, text = problem()
    assert state is DeviceState.QUARANTINED and "its vlan is 7, and was 0" in text


def test_company_in_the_group(stage: Shelf) -> None:
    stage.devices.replace(SECOND, iommu_group=stage.devices.found[FIRST].iommu_group)
    (text,) = vf(device_tree(stage.host())).problems
    assert "shares IOMMU group 11 with 0000:01:10.2 (driver igbvf)" in text
    stage.devices.detach(SECOND)
    assert vf(device_tree(stage.host())).problems == ()
    stage.devices.replace(FIRST, iommu_group=None)
    (text,) = vf(device_tree(stage.host())).problems
    assert "no IOMMU group" in text


def test_what_is_wrong_with_a_pf(stage: Shelf) -> None:
    stage.devices.links[PF] = False
    stage.devices.set_numvfs(OTHER_PF, 0)
    first, second = device_tree(stage.host()).pfs
    assert not first.link_up and "link down" in first.problems[0] and "ip link set eth0 up" in first.problems[0]
    assert second.vfs == () and "no VFs" in second.problems[0]
    stage.devices.replace(PF, netdev=None, driver=None)
    first = device_tree(stage.host()).pfs[0]
    assert "no network interface (driver missing)" in first.problems[0]
    assert first.vfs[0].settings is None


def test_what_cannot_be_seen_is_said_once_and_the_rest_is_shown(stage: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (FIRST, SECOND):
        stage.devices.detach(address)
    stage.devices.faults = {"vfio_users": HostDeviceFailed("root sees them"), "settings": HostDeviceUnfit("no netlink")}

    def broken(*_: object) -> list[object]:
        raise HypervisorFailed("no networks here")

    monkeypatch.setattr(stage, "names", broken)
    tree = device_tree(stage.host())
    assert sorted(tree.unseen) == [
        "processes: root sees them",
        "the pools: no networks here",
        "the settings of the VFs: no netlink",
    ]
    assert len(tree.pfs) == 2 and vf(tree).settings is None


def test_another_hosts_devices_are_not_looked_for(stage: Shelf) -> None:
    stage.is_local = False
    with pytest.raises(NotSupported, match="another host"):
        device_tree(stage.host())
    assert stage.devices.calls == []


def test_counters_are_those_of_vfs_that_a_guest_has_and_asked_of_their_pf_alone(stage: Shelf) -> None:
    counted = VfCounters(rx_packets=7)
    stage.devices.counted = {FIRST: counted, SECOND: counted}
    assert vf(device_tree(stage.host())).counters is None
    assert not any(call.startswith("counters") for call in stage.devices.calls), "nobody has one"
    lend(stage)
    tree = device_tree(stage.host())
    assert (vf(tree).counters, vf(tree, SECOND).counters) == (counted, None)
    assert [call for call in stage.devices.calls if call.startswith("counters")] == [f"counters {PF}"]


def test_counters_that_cannot_be_read_are_named(stage: Shelf) -> None:
    lend(stage)
    stage.devices.faults["counters"] = HostDeviceFailed("Message too long")
    tree = device_tree(stage.host())
    assert vf(tree).counters is None
    assert tree.unseen == ("the counters of the VFs: Message too long",)


def test_no_device_is_free_because_the_connection_was_lost(stage: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    lend(stage)

    def broken(*_: object) -> list[object]:
        raise ConnectionLost("the connection to libvirt broke")

    monkeypatch.setattr(stage, "definitions", broken)
    with pytest.raises(ConnectionLost):
        device_tree(stage.host())
