"""What operations need of the host's network links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from virtnetplug.model.host_device import NetdevState
from virtnetplug.model.interface import Vlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One network device of the host: `master` is the bridge whose port the link is, `kind` as ``ip -d link`` names it.

    The kernel's master of an Open vSwitch port is the datapath; `master` is the port's bridge, unless Open vSwitch could not be asked.
    `isolated` and `learning` are flags of a Linux bridge's port, None for any other link.
    """

    name: str
    index: int
    kind: str | None = None
    master: str | None = None
    up: bool = False
    mac: str | None = None
    mtu: int | None = None
    isolated: bool | None = None
    learning: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPort:
    """What Open vSwitch keeps of a port: its NIC and domain, the parameters of its virtual port, its VLAN."""

    mac: str
    domain_uuid: str
    interface_id: str | None = None
    profile_id: str | None = None
    vlan: Vlan | None = None


class HostLinks(Protocol):
    """Links of the network namespace in which virtnetplug runs."""

    def links(self) -> Mapping[str, Link]:
        """All links, by name."""

    def link(self, name: str) -> Link | None:
        """The link of that name, or None."""

    def is_bridge(self, name: str) -> bool:
        """Whether the link is a Linux bridge or an Open vSwitch bridge."""

    def set_master(self, name: str, master: str | None) -> None:
        """Move a link into a Linux bridge, or (None) out of its bridge. Raises `BridgeMissing` or `Failed`, and then nothing has changed."""

    def join_switch(self, name: str, bridge: str, port: SwitchPort) -> None:
        """Make a link a port of this Open vSwitch bridge only, as libvirt does; the link must be in no Linux bridge. Raises `Failed`."""

    def leave_switch(self, name: str) -> None:
        """Remove a link from its Open vSwitch bridge; a link in no bridge is no error. Raises `Failed`."""

    def set_port(self, name: str, *, isolated: bool, only_mac: str | None = None) -> None:
        """Set what a bridge's port may do; with `only_mac`, the port neither learns nor is flooded, and gets frames for that MAC only."""

    def set_vlans(self, name: str, vlan: Vlan) -> None:
        """Put a Linux bridge's new port into these VLANs, instead of the VLAN in which a port begins."""

    def introduce(self, name: str, mac: str) -> None:
        """Announce to the bridge of the port `name`, and beyond the bridge, that `mac` is behind this port now. Raises `Failed`."""

    def learned(self, name: str, mac: str) -> str | None:
        """The port behind which the bridge of `name` last saw `mac`; None if nobody has sent from `mac` lately, or `name` does not learn."""

    def forget(self, name: str, mac: str) -> None:
        """Have the bridge look for `mac` everywhere, and not behind its port `name` any more, until `mac` sends. Raises `Failed`."""

    def state(self, name: str) -> NetdevState | None:
        """The state that a link loses with its driver; None if there is no such link."""

    def restore(self, name: str, wanted: NetdevState) -> None:
        """Restore what differs from `wanted`, including the name. Raises `Failed` naming what could not be restored."""

    def taps_of(self, domain_uuid: str) -> frozenset[str]:
        """Host devices that the domain's QEMU process holds open (``iff:`` in ``/proc/PID/fdinfo``); empty if that cannot be seen."""

    def taps_by_domain(self) -> Mapping[str, frozenset[str]]:
        """The same for every domain at once, by UUID; domains whose process cannot be looked at are left out."""
