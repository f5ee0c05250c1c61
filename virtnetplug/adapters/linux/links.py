"""The host's links: read from the kernel over netlink, written with pyroute2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from virtnetplug.adapters.linux import processes, rtnetlink
from virtnetplug.adapters.linux.rtnetlink import RawLink
from virtnetplug.errors import BridgeMissing, Failed
from virtnetplug.ports.links import Link

_OVS_SECONDS = 5


class LinuxLinks:
    """`HostLinks` of the network namespace of the calling thread; `proc` is where the processes are looked for."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def links(self) -> Mapping[str, Link]:
        """All, by name, from one dump."""
        raw = rtnetlink.dump()
        names = {link.index: link.name for link in raw}
        return {link.name: _link(link, names.get(link.master)) for link in raw}

    def link(self, name: str) -> Link | None:
        """One, or None."""
        raw = rtnetlink.get(name)
        if raw is None:
            return None
        master = rtnetlink.get_index(raw.master) if raw.master else None
        return _link(raw, master.name if master else None)

    def is_bridge(self, name: str) -> bool:
        """A Linux bridge, or an Open vSwitch bridge of the kernel's datapath or (asked of ``ovs-vsctl``) of another."""
        raw = rtnetlink.get(name)
        if raw is None:
            return False
        return raw.kind == "bridge" or (raw.kind in ("openvswitch", "tun") and _is_ovs_bridge(raw))

    def set_master(self, name: str, master: str) -> None:
        """Put a link into a Linux bridge (``IFLA_MASTER``); raises `BridgeMissing` or `Failed`, nothing changed."""
        link, bridge = rtnetlink.get(name), rtnetlink.get(master)
        # Checked first: the kernel lets the old bridge go before it finds that the new one is none (do_set_master).
        if bridge is None or bridge.kind != "bridge":
            raise BridgeMissing(f"There is no Linux bridge '{master}' on this host; make it, or name another.")
        if link is None:
            raise Failed(
                f"There is no link '{name}' on this host to put into bridge '{master}'.", reason="link-missing"
            )
        _enslave(link, bridge)

    def taps_of(self, domain_uuid: str) -> frozenset[str]:
        """Taps the domain's QEMU process holds open; empty if that cannot be seen."""
        return self.taps_by_domain().get(domain_uuid.lower(), frozenset())

    def taps_by_domain(self) -> Mapping[str, frozenset[str]]:
        """Taps by domain UUID, for every QEMU process that may be looked at; one scan of ``/proc``."""
        return processes.taps_by_domain(self._proc)


def _link(raw: RawLink, master: str | None) -> Link:
    return Link(name=raw.name, index=raw.index, kind=raw.kind, master=master, up=raw.is_up, mac=raw.mac, mtu=raw.mtu)


def _is_ovs_bridge(raw: RawLink) -> bool:
    """As Open vSwitch says; without its tools, a link of its kernel datapath is taken for one."""
    import shutil  # with subprocess a millisecond of every command's start, and few hosts have Open vSwitch
    import subprocess

    program = shutil.which("ovs-vsctl")
    if program is None:
        return raw.kind == "openvswitch"
    try:
        answer = subprocess.run(
            [program, f"--timeout={_OVS_SECONDS}", "--", "br-exists", raw.name], capture_output=True, check=False
        )
    except OSError:
        return raw.kind == "openvswitch"
    return answer.returncode == 0


def _enslave(link: RawLink, bridge: RawLink) -> None:
    from pyroute2 import IPRoute, NetlinkError  # a tenth of a second to import, and only repairs write

    try:
        with IPRoute() as route:
            route.link("set", index=link.index, master=bridge.index)
    except NetlinkError as error:
        raise Failed(
            f"The kernel would not put '{link.name}' into bridge '{bridge.name}': {error.args[-1]}. "
            "It takes CAP_NET_ADMIN: run this as root.",
            reason="link-not-set",
        ) from error
