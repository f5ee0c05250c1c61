"""All that virtnetplug does with XML; the only room that knows lxml."""

from __future__ import annotations

from virtnetplug.model.topology import Topology
from virtnetplug.xml.differences import diff
from virtnetplug.xml.domains import devices, host_addresses, lockable_memory, memory_nodes, topology
from virtnetplug.xml.glimpses import NetGlimpse, glimpse
from virtnetplug.xml.merging import merged
from virtnetplug.xml.metadata import NAMESPACE, metadata, metadata_text
from virtnetplug.xml.nets import TYPES, edit, element, interface, properties_of, strip_live
from virtnetplug.xml.networks import network, network_port, network_port_text, restored_port_text
from virtnetplug.xml.node_devices import node_device_driver
from virtnetplug.xml.parser import MAX_BYTES
from virtnetplug.xml.schema import validate
from virtnetplug.xml.skims import has_own_netdevs, may_have_doubles, nic_count, run_of, serving
from virtnetplug.xml.travelling import TRAVELLING, carried_in, is_marked, travelling, travelling_text

__all__ = [
    "MAX_BYTES",
    "NAMESPACE",
    "TRAVELLING",
    "TYPES",
    "NetGlimpse",
    "Topology",
    "carried_in",
    "devices",
    "diff",
    "edit",
    "element",
    "glimpse",
    "has_own_netdevs",
    "host_addresses",
    "interface",
    "is_marked",
    "lockable_memory",
    "may_have_doubles",
    "memory_nodes",
    "merged",
    "metadata",
    "metadata_text",
    "network",
    "network_port",
    "network_port_text",
    "nic_count",
    "node_device_driver",
    "properties_of",
    "restored_port_text",
    "run_of",
    "serving",
    "strip_live",
    "topology",
    "travelling",
    "travelling_text",
    "validate",
]
