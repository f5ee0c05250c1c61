"""libvirt's networks with their ports, and its node devices."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import libvirt

from virtnetplug import xml
from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor, dial, is_embedded
from virtnetplug.adapters.libvirt.faults import absent, miscounted, translate, translated
from virtnetplug.errors import (
    ClaimTaken,
    Failed,
    HostDeviceBusy,
    HostDeviceFailed,
    HostDeviceMissing,
    HostDeviceUnfit,
    HypervisorFailed,
    NetworkInactive,
    NetworkMissing,
    NotSupported,
    PortForeign,
    VirtnetplugError,
)
from virtnetplug.model.host_device import VFIO_DRIVER
from virtnetplug.model.interface import Interface
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.pci import PciAddress

_NO_PORT = (libvirt.VIR_ERR_NO_NETWORK_PORT, libvirt.VIR_ERR_OPERATION_INVALID)


class LibvirtNetworks:
    """`ports.host.Networks`: those a domain of this hypervisor may name.

    The embedded QEMU driver has no networks. It uses those of the ``network`` driver's daemon: ``network:///system`` for root, else
    ``network:///session``. The connection to that daemon is opened when it is first needed.
    """

    def __init__(self, hypervisor: LibvirtHypervisor) -> None:
        self._hypervisor = hypervisor
        self._lock = threading.Lock()
        self._own: libvirt.virConnect | None = None

    def network(self, name: str) -> Network:
        with self._handle(name) as handle:
            found = xml.network(handle.XMLDesc(0))
            active = bool(handle.isActive())
        return dataclasses.replace(found, active=active)

    def names(self) -> Sequence[str]:
        connection = self._connection()
        with translated(connection):
            return sorted(handle.name() for handle in connection.listAllNetworks(0))

    def ports(self, name: str) -> Sequence[NetworkPort]:
        texts: list[str] = []
        with self._handle(name) as handle:
            for port in self._ports(handle):
                with absent(libvirt.VIR_ERR_NO_NETWORK_PORT):  # gone since it was listed
                    texts.append(port.XMLDesc(0))
        return [xml.network_port(text, name) for text in texts]

    def port_uuids(self, name: str) -> frozenset[str]:
        with self._handle(name) as handle:
            return frozenset(port.UUIDString() for port in self._ports(handle))

    def create_port(self, port: NetworkPort) -> NetworkPort:
        """``virNetworkPortCreateXML`` with ``VIR_NETWORK_PORT_CREATE_RECLAIM``: this very device, or an error.

        Asked again for a port that is there already with this UUID and device, it gives that one.
        """
        wanted = dataclasses.replace(port, plug_type="hostdev-pci")
        with self._handle(port.network) as handle:
            try:
                made = handle.portCreateXML(xml.network_port_text(wanted), libvirt.VIR_NETWORK_PORT_CREATE_RECLAIM)
            except libvirt.libvirtError as error:
                there = None
                with suppress(VirtnetplugError):  # libvirt's refusal is the error that counts
                    there = self.port(port.network, port.uuid)
                if there is None:
                    _raise_refusal(error, handle, wanted)
                    raise
                if there.host_address == wanted.host_address:
                    return there
                raise ClaimTaken(
                    f"port {port.uuid} of network {port.network} is there already, and holds {there.host_address}"
                ) from None
            return xml.network_port(made.XMLDesc(0), port.network)

    def port(self, network: str, uuid: str) -> NetworkPort | None:
        with self._handle(network) as handle, absent(*_NO_PORT):
            return xml.network_port(handle.portLookupByUUIDString(uuid).XMLDesc(0), network)
        return None

    def restore_port(self, net: Interface, *, owner_uuid: str, owner_name: str) -> NetworkPort:
        """``virNetworkPortCreateXML`` with the UUID that `net` names; a port that is there already is that one, or `PortForeign`.

        A macvtap device's place is reclaimed as it is, as libvirtd does when it starts. A bridge's port is allocated: only an allocation also takes a
        guaranteed bandwidth (``networkAllocatePort``).
        """
        network, uuid = net.source_network or "", net.source_portid or ""
        text = xml.restored_port_text(net, owner_uuid=owner_uuid, owner_name=owner_name)
        with self._handle(network) as handle:
            flags = libvirt.VIR_NETWORK_PORT_CREATE_RECLAIM if net.type == "direct" else 0
            try:
                return xml.network_port(handle.portCreateXML(text, flags).XMLDesc(0), network)
            except libvirt.libvirtError as error:
                there = self.port(network, uuid)
                if there is None:
                    if "is not active" in (error.get_error_message() or ""):
                        raise _inactive(network) from None
                    raise
        if (there.mac, there.owner_uuid) != (net.mac, owner_uuid):
            raise PortForeign(
                f"port {uuid} of network {network} is there already, of {there.owner_name} for {there.mac}, not for {net.mac}"
            )
        return there

    def restart(self, name: str) -> None:
        """``virNetworkDestroy`` and ``virNetworkCreate``: ``networkCreateInterfacePool`` lists a PF's VFs once."""
        with self._handle(name) as handle:
            if not handle.isPersistent():
                raise NotSupported(f"network {name} is transient, and would be gone; define it anew")
            if self._ports(handle):
                raise Failed(
                    f"network {name} has ports, which it would lose; restart it once no NIC is in it",
                    reason="network-in-use",
                )
            if handle.isActive():
                handle.destroy()
            handle.create()

    def delete_port(self, network: str, uuid: str) -> None:
        """``virNetworkPortDelete``; one that is gone already is no error. A network that is not active has no port: ``net-destroy`` drops them."""
        with self._handle(network) as handle, absent(*_NO_PORT):
            handle.portLookupByUUIDString(uuid).delete(0)

    def close(self) -> None:
        """Let go of the extra connection, if there is one."""
        with self._lock:
            connection, self._own = self._own, None
        if connection is not None:
            with suppress(libvirt.libvirtError):
                connection.close()

    def _connection(self) -> libvirt.virConnect:
        if not is_embedded(self._hypervisor.uri):
            return self._hypervisor.connection
        with self._lock:
            if self._own is None:
                self._own = dial("network:///system" if os.geteuid() == 0 else "network:///session")
            return self._own

    def _ports(self, network: libvirt.virNetwork) -> Sequence[libvirt.virNetworkPort]:
        with absent(libvirt.VIR_ERR_NO_SUPPORT):
            return list(network.listAllPorts(0)) if network.isActive() else []
        return []

    @contextmanager
    def _handle(self, name: str) -> Iterator[libvirt.virNetwork]:
        """The network of that name; raises `NetworkMissing`. Errors of libvirt inside become errors of ours."""
        connection, found = self._connection(), None
        with translated(connection):
            with absent(libvirt.VIR_ERR_NO_NETWORK):
                found = connection.networkLookupByName(name)
            if found is None:
                there = ", ".join(sorted(handle.name() for handle in connection.listAllNetworks(0))) or "none at all"
                raise NetworkMissing(f"there is no network called '{name}'; defined are: {there}")
            yield found


def _inactive(name: str) -> NetworkInactive:
    return NetworkInactive(f"network {name} is not active; start it with 'virsh net-start {name}'")


def _raise_refusal(error: libvirt.libvirtError, network: libvirt.virNetwork, wanted: NetworkPort) -> None:
    """The error of ours for what ``networkNotifyPort`` and ``networkPortCreateXML`` say; none if it says something else."""
    text, name = error.get_error_message() or "", wanted.network
    if "already in use by a different" in text:
        raise ClaimTaken(
            f"{wanted.host_address} is in use: a port of network {name} holds it for another NIC"
        ) from None
    if "is not active" in text:
        raise _inactive(name) from None
    if "doesn't have PCI device" not in text:
        return
    if not xml.network(network.XMLDesc(0)).is_pool:
        raise NotSupported(
            f"network {name} is no pool of PCI devices (<forward mode='hostdev'>); name one that is"
        ) from None
    raise HostDeviceUnfit(
        f"network {name} does not have the device {wanted.host_address}; 'virsh net-dumpxml {name}' shows those it has"
    ) from None


_DRIVER = "vfio"
_BUSY = ("is in use by driver", "is still in use", "is still active", "Not detaching active", "Not reattaching active")
"""What virHostdevPCINodeDevicePrepare, virHostdevIsPCINodeDeviceUsed, virPCIDeviceDetach and virPCIDeviceReattach say."""


class LibvirtNodeDevices:
    """`ports.host.NodeDevices` on the connection of a hypervisor."""

    def __init__(self, hypervisor: LibvirtHypervisor) -> None:
        self._hypervisor = hypervisor

    def driver(self, address: PciAddress) -> str | None:
        """From ``virNodeDeviceGetXMLDesc``, which looks afresh (``nodeDeviceUpdateDriverName``)."""
        with self._asked(address, "look at"):
            return xml.node_device_driver(self._handle(address).XMLDesc(0))

    def detach(self, address: PciAddress) -> None:
        with self._asked(address, "detach"):
            self._handle(address).detachFlags(_DRIVER, 0)

    def reattach(self, address: PciAddress) -> None:
        """``virNodeDeviceReAttach``; a device that another driver has is left as it is.

        A device without a driver, which somebody took from vfio-pci by hand, still has vfio-pci as its ``driver_override``. libvirt clears that.
        """
        with self._asked(address, "reattach"):
            handle = self._handle(address)
            if xml.node_device_driver(handle.XMLDesc(0)) in (VFIO_DRIVER, None):
                handle.reAttach()

    def _handle(self, address: PciAddress) -> libvirt.virNodeDevice:
        return self._hypervisor.connection.nodeDeviceLookupByName(_name(address))

    @contextmanager
    def _asked(self, address: PciAddress, doing: str) -> Iterator[None]:
        try:
            yield
        except libvirt.libvirtError as error:
            text = (error.get_error_message() or str(error)).strip()
            if error.get_error_code() == libvirt.VIR_ERR_NO_NODE_DEVICE:
                raise HostDeviceMissing(
                    f"libvirt knows no PCI device {address}; `devices()` shows those there are"
                ) from None
            if any(words in text for words in _BUSY):
                more = miscounted(text, self._hypervisor.connection)
                raise HostDeviceBusy(f"{address} is in use, so libvirt does not {doing} it ({text}{more})") from None
            fault = translate(error, self._hypervisor.connection)
            if type(fault) is HypervisorFailed:
                raise HostDeviceFailed(f"libvirt cannot {doing} {address}: {text}") from None
            raise fault from None


def _name(address: PciAddress) -> str:
    """As libvirt names a PCI device (``udevGenerateDeviceName``)."""
    return f"pci_{str(address).translate(str.maketrans(':.', '__'))}"
