"""NICs to give a guest: a VF of a pool, a VF named by address, and what the PFs are."""

from __future__ import annotations

from virtnetplug.model.pci import PciAddress

PFS = ["0000:01:00.0", "0000:02:00.0"]
MAC = "52:54:00:bb:01:{:02x}"
VLAN = "<vlan><tag id='42'/></vlan>"


def pool_nic(number: int = 1, pool: str = "pool0", more: str = "") -> str:
    """A VF of a pool; its MAC and its alias (``ua-vf1``) are by `number`."""
    return (
        f"<interface type='network'><mac address='{MAC.format(number)}'/><source network='{pool}'/>{more}"
        f"<alias name='ua-vf{number}'/></interface>"
    )


def vf_nic(vf: str, managed: str, number: int = 1, more: str = "") -> str:
    """This very device; with an empty `managed` the element does not say it."""
    says = f" managed='{managed}'" if managed else ""
    return (
        f"<interface type='hostdev'{says}><mac address='{MAC.format(number)}'/><source>{pci(vf)}</source>"
        f"{more}<alias name='ua-vf{number}'/></interface>"
    )


def pci(address: str) -> str:
    """As ``<address>`` of libvirt's."""
    part = PciAddress.parse(address)
    return (
        f"<address type='pci' domain='0x{part.domain:04x}' bus='0x{part.bus:02x}' slot='0x{part.slot:02x}' "
        f"function='0x{part.function}'/>"
    )


def team(persistent: str = "ua-vf2", transient: int = 1) -> list[str]:
    """Both halves of a teaming pair: a virtio NIC on the bridge, and a VF of the pool with its MAC."""
    mac = MAC.format(transient)
    return [
        f"<interface type='bridge'><mac address='{mac}'/><source bridge='br0'/><model type='virtio'/>"
        f"<teaming type='persistent'/><alias name='{persistent}'/></interface>",
        pool_nic(transient, more=f"<teaming type='transient' persistent='{persistent}'/>"),
    ]
