"""What operations need of libvirt's networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network, NetworkPort


class Networks(Protocol):
    """The networks a domain's NICs may name."""

    def network(self, name: str) -> Network:
        """The network of that name, active or not; raises `NetworkMissing`."""

    def names(self) -> Sequence[str]:
        """The names of all defined networks."""

    def ports(self, name: str) -> Sequence[NetworkPort]:
        """The ports of an active network; none for an inactive network."""

    def port_uuids(self, name: str) -> frozenset[str]:
        """The UUIDs of these ports alone, without a look at each port (``virNetworkListAllPorts``)."""

    def create_port(self, port: NetworkPort) -> NetworkPort:
        """Reserve exactly the device `port.host_address` of a pool (``virNetworkPortCreateXML`` with ``VIR_NETWORK_PORT_CREATE_RECLAIM``).

        Raises `ClaimTaken` if a port has the device already, and `HostDeviceUnfit` if the pool does not have it. Raises `NotSupported` for a
        network that is no pool of PCI devices, `NetworkInactive`, and `NetworkMissing`.
        """

    def port(self, network: str, uuid: str) -> NetworkPort | None:
        """The port of that UUID, or None; always None for an inactive network. Raises `NetworkMissing`."""

    def restore_port(self, net: Interface, *, owner_uuid: str, owner_name: str) -> NetworkPort:
        """Make the port whose UUID is the portid of `net`, from a live definition; a port that exists is no error.

        Raises `PortForeign` if the port has another MAC or owner, `NetworkInactive`, `NetworkMissing`.
        """

    def restart(self, name: str) -> None:
        """Stop a network and start it again, so that a pool lists the current VFs; raises `Failed`, nothing changed, while the network has ports.

        Raises `NetworkMissing`, and `NotSupported` for a transient network, which would vanish.
        """

    def delete_port(self, network: str, uuid: str) -> None:
        """``virNetworkPortDelete``; a port that is gone, or whose network is not active, is no error. Raises `NetworkMissing`."""
