"""A look at a host whose PFs count differently: an ice that counts, and an igb that does not."""

from __future__ import annotations

from virtnetplug.model.host_device import DeviceState, DeviceTree, DeviceUser, PciDevice, PfView, VfCounters, VfView
from virtnetplug.model.pci import PciAddress

PF = PciDevice(address=PciAddress(0, 1, 0, 0), netdev="eth0", numa_node=0, total_vfs=4, num_vfs=2)
OTHER = PciDevice(address=PciAddress(0, 2, 0, 0), netdev="eth1", total_vfs=4, num_vfs=1)
COUNTED = VfCounters(
    rx_packets=11,
    tx_packets=12,
    rx_bytes=1300,
    tx_bytes=2**40,
    broadcast=15,
    multicast=16,
    rx_dropped=17,
    tx_dropped=18,
)
WEB = DeviceUser(view="domain", domain="web", domain_uuid="4dea22b3-1d52-d8f3-2516-782e98ab3fa0", nic="ua-vf1")


def vf(number: int, state: DeviceState, pf: PciDevice = PF, **more: object) -> VfView:
    address = PciAddress(0, pf.address.bus, 0x10, number)
    return VfView(device=PciDevice(address=address, pf=pf.address), state=state, **more)  # type: ignore[arg-type]


def look() -> DeviceTree:
    """Both PFs, a VF of each lent to the same guest."""
    port = DeviceUser(view="port", domain="web", network="pool")
    lent = vf(0, DeviceState.ATTACHED, users=(port, WEB), counters=COUNTED)
    silent = vf(0, DeviceState.ATTACHED, OTHER, users=(WEB,))
    first = PfView(device=PF, link_up=True, pools=("pool",), vfs=(lent, vf(2, DeviceState.FREE)))
    return DeviceTree(pfs=(first, PfView(device=OTHER, link_up=False, vfs=(silent,))))
