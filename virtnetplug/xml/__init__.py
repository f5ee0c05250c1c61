"""All that virtnetplug does with XML; the only room that knows lxml."""

from __future__ import annotations

from virtnetplug.xml.domains import devices, host_addresses, lockable_memory, memory_nodes, topology
from virtnetplug.xml.glimpses import NetGlimpse, glimpse, has_own_netdevs, may_have_doubles, nic_count, run_of, serving
from virtnetplug.xml.metadata import (
    NAMESPACE,
    carried_in,
    is_marked,
    metadata,
    metadata_text,
    travelling,
    travelling_text,
)
from virtnetplug.xml.nets import edit, element, interface, properties_of, strip_live
from virtnetplug.xml.networks import network, network_port, network_port_text, node_device_driver, restored_port_text
from virtnetplug.xml.parser import MAX_BYTES
from virtnetplug.xml.schema import validate
from virtnetplug.xml.versions import diff, merged

__all__ = [
    "MAX_BYTES",
    "NAMESPACE",
    "NetGlimpse",
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
