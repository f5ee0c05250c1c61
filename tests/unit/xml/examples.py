"""One value, and another, for every mapped field of an interface."""

from __future__ import annotations

from typing import Any

from virtnetplug.model.interface import FilterRef, Limit, Teaming, VirtualPort, Vlan, VlanTag
from virtnetplug.model.mac import Mac
from virtnetplug.model.pci import PciAddress

EXAMPLES: dict[str, tuple[Any, Any]] = {
    "type": ("network", "vds"),
    "mac": (Mac("52:54:00:00:00:01"), Mac("00:16:3e:ff:00:02")),
    "source_network": ("lan", "a & b <'\">"),
    "source_portgroup": ("web", "db"),
    "source_portid": ("6c0c1b52-73e3-4c46-9b0b-c0d0a0f3d7f1", "12"),
    "source_bridge": ("br0", "br-1"),
    "source_dev": ("eth0", "/dev/vhost-vdpa-0"),
    "source_name": ("backplane", "other"),
    "source_mode": ("passthrough", "server"),
    "source_type": ("unix", "vfio"),
    "source_path": ("/run/vhost user.sock", "/x"),
    "source_address": ("230.0.0.1", "10.1.1.1"),
    "source_port": (5558, 0),
    "source_pci": (PciAddress(0, 7, 0x10, 3), PciAddress(0xFFFF, 0xFF, 0x1F, 7)),
    "source_switchid": ("12345678-1234-1234-1234-123456789abc", "x"),
    "target_dev": ("tap0", "vnet9"),
    "target_managed": (True, False),
    "model": ("virtio", "e1000e"),
    "driver_name": ("vhost", "qemu"),
    "driver_queues": (4, 1),
    "link_state": ("down", "up"),
    "mtu": (1400, 65535),
    "bandwidth_inbound": (Limit(1, 2, 3, 4), Limit(average=8)),
    "bandwidth_outbound": (Limit(average=8), Limit(9, 10, 11)),
    "vlan": (Vlan((VlanTag(4095),)), Vlan((VlanTag(0, "untagged"), VlanTag(5, "tagged")), trunk=True)),
    "virtualport": (
        VirtualPort("802.1Qbg", "11", "1193047", "2", "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"),
        VirtualPort("openvswitch", profileid="p", interfaceid="i"),
    ),
    "port_isolated": (True, False),
    "filterref": (FilterRef("clean-traffic"), FilterRef("f", (("IP", "10.0.0.1"), ("IP", "10.0.0.2")))),
    "teaming": (Teaming("persistent"), Teaming("transient", "ua-net0")),
    "boot_order": (1, 2),
    "rom_enabled": (False, True),
    "rom_bar": (True, False),
    "rom_file": ("/usr/share/rom", "/r"),
    "alias": ("ua-1", "net0"),
    "address": (PciAddress(0, 1, 0, 0), PciAddress(0, 0xFF, 0x1F, 7)),
    "acpi_index": (1, 16383),
    "trust_guest_rx_filters": (True, False),
    "managed": (True, False),
    "coalesce_rx_frames": (32, 0),
    "script": ("/etc/qemu-ifup", "/bin/true"),
}
