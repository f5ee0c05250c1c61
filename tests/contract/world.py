"""One host with a running guest, imaginary or real, as the contract suite sees it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virtnetplug import xml
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.lifecycle import State
from virtnetplug.model.operation import Half
from virtnetplug.model.travelling import Travelling


def _in_real_time(seconds: float, act: Callable[[], object]) -> None:
    threading.Timer(seconds, act).start()


_MADE_BY_LIBVIRT = re.compile(r"\s*<target dev=['\"]vnet\d+['\"]/>|\s*portid=['\"][^'\"]*['\"]|(?<=<domain) id='\d+'")

_CARRIED = re.compile(r"\s*<virtnetplug-guest:guest.*</virtnetplug-guest:guest>", re.DOTALL)
_EMPTY = re.compile(r"\s*<metadata(/>|>\s*</metadata>)")


@dataclass
class World:
    """`guest` has hold, resume, reset, destroy; `bridges` are two real or imaginary bridges; `network` is active."""

    host: Host
    guest: Any
    name: str
    bridges: tuple[str, str]
    network: str
    members: Callable[[str], set[str]]
    reopen: Callable[[], Host]
    state_dir: Path
    kind: str
    uri: str
    events: list[Any] = field(default_factory=list)
    stop_network: Callable[[], None] = lambda: None
    start_network: Callable[[], None] = lambda: None
    later: Callable[[float, Callable[[], object]], None] = _in_real_time
    """Has something happen so many seconds from now, while somebody waits."""

    def restart_network(self) -> None:
        """``net-destroy`` and ``net-start``: the NICs in it are cut off."""
        self.stop_network()
        self.start_network()

    @property
    def plugger(self) -> Plugger:
        return Plugger(self.host, lambda: None)

    def definition(self, half: Half) -> str:
        """That definition, without what libvirt makes anew for each backend and each run, and without what the guest carries with it."""
        text = _MADE_BY_LIBVIRT.sub("", self.host.hypervisor.domain(self.name).xml(half))
        return _EMPTY.sub("", _CARRIED.sub("", text))

    def taps(self) -> dict[str, int]:
        return {bridge: len(self.members(bridge)) for bridge in (*self.bridges, *self._network_bridge())}

    def ports(self) -> int:
        return len(self.host.networks.ports(self.network))

    def snapshot(self) -> dict[str, Any]:
        """All that an operation which was undone must leave as it was."""
        return {
            "live": self.definition(Half.LIVE),
            "config": self.definition(Half.CONFIG),
            "taps": self.taps(),
            "ports": self.ports(),
            "nics": sorted(
                nic.alias for nic in self.host.journal.nics(self.host.hypervisor.key) if nic.backend is not State.CLOSED
            ),
            "open": [record.id for record in self.host.journal.open_operations(self.host.hypervisor.key)],
        }

    def carries(self) -> Travelling:
        """What the guest carries with it."""
        return xml.carried_in(self.host.hypervisor.domain(self.name).xml(Half.LIVE))

    def bridge_nic(
        self, number: int = 1, *, bridge: str | None = None, extra: str = "", alias: str | None = None
    ) -> str:
        return (
            f"<interface type='bridge'><mac address='52:54:00:00:00:{number:02x}'/>"
            f"<source bridge='{bridge or self.bridges[0]}'/><model type='virtio'/>{extra}"
            f"<alias name='{alias or f'ua-nic{number}'}'/></interface>"
        )

    def network_nic(self, number: int = 1) -> str:
        return (
            f"<interface type='network'><mac address='52:54:00:00:00:{number:02x}'/>"
            f"<source network='{self.network}'/><model type='virtio'/><alias name='ua-nic{number}'/></interface>"
        )

    def _network_bridge(self) -> tuple[str, ...]:
        bridge = self.host.networks.network(self.network).bridge
        return () if bridge is None else (bridge,)
