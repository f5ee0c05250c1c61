"""PCI devices, from a /sys made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.adapters.linux.sriov import BARE_PF, PF, VF0, VF1, Tree, igb
from virtnetplug.adapters.linux.pci import PciTree
from virtnetplug.errors import HostDeviceMissing
from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.pci import PciAddress


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return igb(tmp_path)


def at(text: str) -> PciAddress:
    return PciAddress.parse(text)


def test_every_network_pf_with_its_vfs_and_nothing_else(tree: Tree) -> None:
    found = list(PciTree(tree.root).devices())
    assert [str(device.address) for device in found] == [PF, VF0, VF1, BARE_PF]
    assert found[0] == PciDevice(
        address=at(PF), vendor="8086", device="10c9", driver="igb", iommu_group=10, numa_node=0, netdev="eth0",
        total_vfs=7, num_vfs=2,
    )  # fmt: skip
    assert found[1] == PciDevice(
        address=at(VF0), vendor="8086", device="10ca", driver="igbvf", iommu_group=11, pf=at(PF), vf_index=0,
        netdev="eth5",
    )  # fmt: skip
    assert (found[2].driver, found[2].vf_index, found[2].netdev) == ("vfio-pci", 1, None)
    assert (found[3].is_pf, found[3].num_vfs, found[3].netdev) == (True, 0, None)


def test_numvfs_itself_is_never_read(tree: Tree) -> None:
    """A read of it waits, unkillable, while a change of it waits for a guest (``sriov_numvfs_show``)."""
    (tree.devices / PF / "sriov_numvfs").unlink()
    assert PciTree(tree.root).device(at(PF)).num_vfs == 2


def test_one_device_is_the_same_alone(tree: Tree) -> None:
    look = PciTree(tree.root)
    assert [look.device(device.address) for device in look.devices()] == list(look.devices())
    plain = look.device(at("0000:00:03.0"))
    assert (plain.is_pf, plain.is_vf, plain.iommu_group, plain.numa_node) == (False, False, None, None)


def test_vfs_are_by_index_and_not_by_name(tree: Tree) -> None:
    pf = tree.devices / PF
    for number, vf in ((2, "0000:01:11.4"), (10, "0000:01:10.4")):
        tree.add(vf, device="10ca")
        (tree.devices / vf / "physfn").symlink_to(f"../{PF}")
        (pf / f"virtfn{number}").symlink_to(f"../{vf}")
    assert [vf.vf_index for vf in PciTree(tree.root).vfs(at(PF))] == [0, 1, 2, 10]
    assert PciTree(tree.root).vfs(at(BARE_PF)) == []


def test_what_is_not_there_is_missing(tree: Tree) -> None:
    look = PciTree(tree.root)
    for call in (look.device, look.vfs, look.group, look.is_link_up, look.vfio_names):
        with pytest.raises(HostDeviceMissing, match=r"0000:09:00\.0"):
            call(at("0000:09:00.0"))
    assert list(PciTree(tree.root / "empty").devices()) == []


def test_a_group_has_its_company(tree: Tree) -> None:
    tree.add("0000:01:12.0", device="ffff", driver="nvme", group=11)
    group = PciTree(tree.root).group(at(VF0))
    assert [(str(one.address), one.allows_company) for one in group] == [(VF0, False), ("0000:01:12.0", False)]
    assert [one.allows_company for one in PciTree(tree.root).group(at(VF1))] == [True]
    assert PciTree(tree.root).group(at("0000:00:03.0")) == []


def test_the_names_a_process_may_hold_it_by(tree: Tree) -> None:
    (tree.devices / VF1 / "vfio-dev/vfio3").mkdir(parents=True)
    assert PciTree(tree.root).vfio_names(at(VF1)) == {"/dev/vfio/12", "/dev/vfio/noiommu-12", "/dev/vfio/devices/vfio3"}
    assert PciTree(tree.root).vfio_names(at("0000:00:03.0")) == frozenset()


def test_the_link_is_up_only_with_a_carrier(tree: Tree) -> None:
    look, carrier = PciTree(tree.root), tree.devices / PF / "net/eth0/carrier"
    assert look.is_link_up(at(PF))
    carrier.write_text("0\n")
    assert not look.is_link_up(at(PF))
    carrier.unlink()  # of an interface that is down, reading it fails
    assert not look.is_link_up(at(PF))
    assert not look.is_link_up(at(BARE_PF))


def test_representors_are_not_the_pfs_own_interface(tree: Tree) -> None:
    tree.interface(BARE_PF, "enp2s0_0", 30, port="pf0vf0")
    tree.interface(BARE_PF, "enp2s0_1", 31, port="c1pf0vf1")
    assert PciTree(tree.root).device(at(BARE_PF)).netdev is None
    tree.interface(BARE_PF, "enp2s0np0", 32, port="p0")
    assert PciTree(tree.root).device(at(BARE_PF)).netdev == "enp2s0np0"
