"""All that virtnetplug does with XML; the only room that knows lxml. Other rooms use the names that are imported here under their own name."""

from __future__ import annotations

from virtnetplug.xml.documents import devices as devices
from virtnetplug.xml.documents import edit as edit
from virtnetplug.xml.documents import element as element
from virtnetplug.xml.documents import host_addresses as host_addresses
from virtnetplug.xml.documents import interface as interface
from virtnetplug.xml.documents import lockable_memory as lockable_memory
from virtnetplug.xml.documents import memory_nodes as memory_nodes
from virtnetplug.xml.documents import network as network
from virtnetplug.xml.documents import network_port as network_port
from virtnetplug.xml.documents import network_port_text as network_port_text
from virtnetplug.xml.documents import node_device_driver as node_device_driver
from virtnetplug.xml.documents import properties_of as properties_of
from virtnetplug.xml.documents import restored_port_text as restored_port_text
from virtnetplug.xml.documents import strip_live as strip_live
from virtnetplug.xml.documents import topology as topology
from virtnetplug.xml.glimpses import NetGlimpse as NetGlimpse
from virtnetplug.xml.glimpses import glimpse as glimpse
from virtnetplug.xml.glimpses import has_own_netdevs as has_own_netdevs
from virtnetplug.xml.glimpses import may_have_doubles as may_have_doubles
from virtnetplug.xml.glimpses import nic_count as nic_count
from virtnetplug.xml.glimpses import run_of as run_of
from virtnetplug.xml.glimpses import serving as serving
from virtnetplug.xml.metadata import NAMESPACE as NAMESPACE
from virtnetplug.xml.metadata import carried_in as carried_in
from virtnetplug.xml.metadata import is_marked as is_marked
from virtnetplug.xml.metadata import metadata as metadata
from virtnetplug.xml.metadata import metadata_text as metadata_text
from virtnetplug.xml.metadata import travelling as travelling
from virtnetplug.xml.metadata import travelling_text as travelling_text
from virtnetplug.xml.parser import MAX_BYTES as MAX_BYTES
from virtnetplug.xml.parser import validate as validate
from virtnetplug.xml.versions import diff as diff
from virtnetplug.xml.versions import merged as merged
