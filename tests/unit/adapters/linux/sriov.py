"""A ``/sys`` made of files, as the kernel's looks on a host with an Intel igb: two PFs, VFs on the first."""

from __future__ import annotations

from pathlib import Path

PF, BARE_PF, VF0, VF1 = "0000:01:00.0", "0000:02:00.0", "0000:01:10.0", "0000:01:10.2"


class Tree:
    """Files below `root`; an interface is known by its index and MAC."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.devices = root / "bus/pci/devices"
        self.devices.mkdir(parents=True)

    def add(
        self, address: str, *, device: str, driver: str | None = None, group: int | None = None, node: int = -1
    ) -> Path:
        place = self.devices / address
        place.mkdir()
        for name, text in (
            ("vendor", "0x8086"),
            ("device", f"0x{device}"),
            ("class", "0x020000"),
            ("numa_node", f"{node}"),
        ):
            (place / name).write_text(f"{text}\n")
        if driver is not None:
            self.bind(address, driver)
        if group is not None:
            members = self.root / f"kernel/iommu_groups/{group}/devices"
            members.mkdir(parents=True, exist_ok=True)
            (members / address).symlink_to(place)
            (place / "iommu_group").symlink_to(members.parent)
        return place

    def bind(self, address: str, driver: str) -> None:
        folder = self.root / "bus/pci/drivers" / driver
        folder.mkdir(parents=True, exist_ok=True)
        (self.devices / address / "driver").unlink(missing_ok=True)
        (self.devices / address / "driver").symlink_to(folder)

    def interface(self, address: str, name: str, index: int, *, mac: str = "02:00:00:00:00:01", port: str = "") -> Path:
        place = self.devices / address / "net" / name
        place.mkdir(parents=True)
        for file, text in (
            ("ifindex", index),
            ("address", mac),
            ("mtu", 1500),
            ("carrier", 1),
            ("phys_port_name", port),
        ):
            (place / file).write_text(f"{text}\n")
        return place

    def pf(self, address: str, *, total: int, vfs: tuple[str, ...] = (), **options: object) -> Path:
        place = self.add(address, device="10c9", **options)  # type: ignore[arg-type]
        (place / "sriov_totalvfs").write_text(f"{total}\n")
        (place / "sriov_numvfs").write_text(f"{len(vfs)}\n")
        for index, vf in enumerate(vfs):
            (place / f"virtfn{index}").symlink_to(f"../{vf}")
            (self.devices / vf / "physfn").symlink_to(f"../{address}")
        return place


def igb(root: Path) -> Tree:
    """Two PFs and two VFs; an audio device and a network device without SR-IOV beside them."""
    tree = Tree(root)
    tree.add(VF0, device="10ca", driver="igbvf", group=11)
    tree.add(VF1, device="10ca", driver="vfio-pci", group=12)
    tree.pf(PF, total=7, vfs=(VF0, VF1), driver="igb", group=10, node=0)
    tree.pf(BARE_PF, total=7, driver="igb", group=20, node=1)
    tree.interface(PF, "eth0", 2, mac="52:54:00:aa:00:01")
    tree.interface(VF0, "eth5", 7)
    tree.add("0000:00:1b.0", device="293e")
    (tree.devices / "0000:00:1b.0" / "class").write_text("0x040300\n")
    (tree.devices / "0000:00:1b.0" / "sriov_totalvfs").write_text("4\n")
    tree.add("0000:00:03.0", device="1000", driver="virtio-pci")
    tree.add("10000:e1:00.0", device="10c9")
    return tree
