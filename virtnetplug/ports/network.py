"""What operations need of libvirt's networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.pci import PciAddress


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

    def create_port(
        self,
        network: str,
        *,
        uuid: str,
        owner_uuid: str,
        owner_name: str,
        mac: str,
        host_address: PciAddress,
        managed: bool,
    ) -> NetworkPort:
        """Reserve exactly the device `host_address` of a pool (``virNetworkPortCreateXML`` with ``VIR_NETWORK_PORT_CREATE_RECLAIM``).

        Raises `ClaimTaken` where a port has it already, `HostDeviceUnfit` where the pool does not have it, `NetworkInactive`,
        `NetworkMissing`, `NotSupported` for a network that is no pool of PCI devices.
        """

    def port(self, network: str, uuid: str) -> NetworkPort | None:
        """One, or None; none of an inactive network. Raises `NetworkMissing`."""

    def restore_port(self, net: Interface, *, owner_uuid: str, owner_name: str) -> NetworkPort:
        """Make the port that `net`, of a live definition, names by its portid, with that UUID; one that is there is no error.

        Raises `PortForeign` if that one has another MAC or owner, `NetworkInactive`, `NetworkMissing`.
        """

    def restart(self, name: str) -> None:
        """Stop a network and start it again, so that a pool lists the VFs there are now; raises `Failed`, nothing changed, while it has ports.

        Raises `NetworkMissing`, and `NotSupported` for a transient network, which would be gone.
        """

    def delete_port(self, network: str, uuid: str) -> None:
        """``virNetworkPortDelete``; one that is gone already, or whose network is not active, is no error. Raises `NetworkMissing`."""
