"""What operations need of libvirt's networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from virtnetplug.model.network import Network, NetworkPort


class Networks(Protocol):
    """The networks a domain's NICs may name."""

    def network(self, name: str) -> Network:
        """By name; raises `NetworkMissing`. An inactive one is returned, with ``active=False``."""

    def names(self) -> Sequence[str]:
        """All that are defined."""

    def ports(self, name: str) -> Sequence[NetworkPort]:
        """The ports of an active network; none for an inactive one."""

    def port_uuids(self, name: str) -> frozenset[str]:
        """The UUIDs of those ports alone, without reading each port (``virNetworkListAllPorts``)."""

    def delete_port(self, network: str, uuid: str) -> None:
        """``virNetworkPortDelete``; one that is gone already is no error."""
