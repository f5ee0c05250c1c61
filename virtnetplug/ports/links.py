"""What operations need of the host's network links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from virtnetplug.model.host_device import NetdevState
from virtnetplug.model.interface import Vlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One network device of the host: `master` is the bridge it is a port of, `kind` as ``ip -d link`` names it.

    Of an Open vSwitch bridge's port, whose master in the kernel is the datapath, it is that bridge, unless Open vSwitch could not be asked.
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
    """What an Open vSwitch bridge keeps of a NIC that is its port: whose it is, the parameters of its virtual port, its VLAN."""

    mac: str
    domain_uuid: str
    interface_id: str | None = None
    profile_id: str | None = None
    vlan: Vlan | None = None


class HostLinks(Protocol):
    """Links of the network namespace virtnetplug runs in."""

    def links(self) -> Mapping[str, Link]:
        """All, by name."""

    def link(self, name: str) -> Link | None:
        """One, or None."""

    def is_bridge(self, name: str) -> bool:
        """A Linux bridge or an Open vSwitch bridge."""

    def set_master(self, name: str, master: str | None) -> None:
        """Put a link into a Linux bridge, or out of the one it is in."""

    def join_switch(self, name: str, bridge: str, port: SwitchPort) -> None:
        """Make a link a port of an Open vSwitch bridge, and of no other, as libvirt does; it must be in no Linux bridge. Raises `Failed`."""

    def leave_switch(self, name: str) -> None:
        """Take a link out of whichever Open vSwitch bridge it is a port of; none is no error. Raises `Failed`."""

    def set_port(self, name: str, *, isolated: bool, only_mac: str | None = None) -> None:
        """Set what a bridge's port may do; with `only_mac` it neither learns nor is flooded, and only what is for that MAC goes there."""

    def set_vlans(self, name: str, vlan: Vlan) -> None:
        """Have a Linux bridge's port that has just joined be in these VLANs, instead of the one that it begins in."""

    def introduce(self, name: str, mac: str) -> None:
        """Tell the bridge that `name` is a port of, and all beyond it, that `mac` is behind this port now."""

    def learned(self, name: str, mac: str) -> str | None:
        """The port behind which the bridge that `name` is a port of last saw `mac`; None if nobody has sent from it lately, or `name` does not learn."""

    def forget(self, name: str, mac: str) -> None:
        """Have the bridge not look for `mac` behind its port `name` any more, but everywhere, until it sends; nothing if it does not."""

    def state(self, name: str) -> NetdevState | None:
        """All of a link that goes with its driver; None if there is none of that name."""

    def restore(self, name: str, wanted: NetdevState) -> None:
        """Make the link so, its name, too, as far as it is not. Raises `Failed` naming what it did not get."""

    def taps_of(self, domain_uuid: str) -> frozenset[str]:
        """Host devices the domain's QEMU process holds open (``iff:`` in ``/proc/PID/fdinfo``); empty if that cannot be seen."""

    def taps_by_domain(self) -> Mapping[str, frozenset[str]]:
        """The same for every domain at once, by UUID; a domain whose process cannot be looked at is not in it."""
