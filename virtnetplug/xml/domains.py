"""What a whole domain definition says of its NICs, its PCI devices and its PCI buses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache

from lxml import etree

from virtnetplug.errors import XmlInvalid
from virtnetplug.model.devices import DomainDevices
from virtnetplug.model.hostdev import Hostdev
from virtnetplug.model.interface import Interface
from virtnetplug.model.pci import PciAddress
from virtnetplug.model.topology import PciController, Topology
from virtnetplug.xml.elements import HostdevElement
from virtnetplug.xml.kinds import part, whole
from virtnetplug.xml.nets import net_from
from virtnetplug.xml.parser import MAX_DEFINITION_BYTES, root_from
from virtnetplug.xml.written import slices

_BUS = part("bus", 0xFF, 2)
_SLOT = part("slot", 0x1F, 2)
_INDEX = whole(0, 0xFFFF)


@lru_cache(maxsize=32)  # an operation looks again and again, and mostly nothing has changed
def devices(domain_xml: str) -> DomainDevices:
    """All nets and PCI hostdevs of a domain definition; each net's `element` is its text, byte for byte.

    A hostdev net owns a `Hostdev` whose parent is the net's alias. In a config a net may have no alias: its host device
    cannot name it then, and stands without a parent. Raises `InvariantBroken` where the lists disagree.
    """
    root = root_from(domain_xml, "domain", limit=MAX_DEFINITION_BYTES)
    nodes = root.findall("devices/interface")
    texts = slices(domain_xml, "interface", len(nodes))
    nets = tuple(net_from(node, text) for node, text in zip(nodes, texts, strict=True))
    owned = (_owned(net) for net in nets if net.is_hostdev)
    return DomainDevices(nets, (*(dev for dev in owned if dev is not None), *_hostdevs(root)))


def host_addresses(domain_xml: str) -> frozenset[PciAddress]:
    """The host PCI devices a domain definition gives to the guest, those of its nets included; reads nothing else of it."""
    root = root_from(domain_xml, "domain", limit=MAX_DEFINITION_BYTES)
    nodes = (*root.iterfind("devices/interface[@type='hostdev']"), *root.iterfind("devices/hostdev[@type='pci']"))
    found = (HostdevElement.properties["host_address"].read(node) for node in nodes)
    return frozenset(address for address in found if address is not None)


def memory_nodes(domain_xml: str) -> frozenset[int]:
    """The host NUMA nodes the guest's memory is on (``<numatune><memory nodeset=>``); none where it may be on any."""
    root = root_from(domain_xml, "domain", limit=MAX_DEFINITION_BYTES)
    memory = root.find("numatune/memory[@nodeset]")
    nodes: set[int] = set()
    for text in [] if memory is None else memory.get("nodeset", "").split(","):
        first, _, last = text.strip().lstrip("^").partition("-")
        span = range(int(first), int(last or first) + 1)
        nodes = nodes - set(span) if text.strip().startswith("^") else nodes | set(span)
    return frozenset(nodes)


def lockable_memory(domain_xml: str) -> tuple[int, int] | None:
    """The guest's memory, and how much of it its QEMU may lock (``<memtune><hard_limit>``), in KiB.

    None where nothing limits that, or where a device need not have all memory: the guest has a virtual IOMMU.
    """
    root = root_from(domain_xml, "domain", limit=MAX_DEFINITION_BYTES)
    memory, limit = root.find("memory"), root.find("memtune/hard_limit")
    if memory is None or limit is None or root.find("devices/iommu") is not None:
        return None
    return _kibibytes(memory), _kibibytes(limit)


def _kibibytes(node: etree._Element) -> int:
    """libvirt writes no other unit."""
    if node.get("unit", "KiB") != "KiB" or not (node.text or "").strip().isdecimal():
        raise XmlInvalid(f"line {node.sourceline}: <{node.tag}> is not a number of KiB")
    return int(node.text or "")


@lru_cache(maxsize=32)  # as `devices`
def topology(domain_xml: str) -> Topology:
    """The machine, and which slots of its PCI buses are taken."""
    root = root_from(domain_xml, "domain", limit=MAX_DEFINITION_BYTES)
    kind = root.find("os/type")
    taken: dict[int, set[int]] = defaultdict(set)
    for address in root.iterfind("devices//address[@type='pci'][@slot]"):
        parent = address.getparent()
        if parent is not None and parent.tag != "source":  # a <source> address is the host's
            taken[_number(address, "bus", _BUS.read)].add(_number(address, "slot", _SLOT.read))
    return Topology(
        name=root.findtext("name", ""),
        uuid=root.findtext("uuid", ""),
        virt_type=root.get("type", ""),
        arch="" if kind is None else kind.get("arch", ""),
        machine="" if kind is None else kind.get("machine", ""),
        emulator=root.findtext("devices/emulator"),
        controllers=tuple(
            PciController(index, node.get("model", ""), frozenset(taken[index]), _takes_hotplug(node))
            for index, node in _pci_controllers(root)
        ),
    )


def _owned(net: Interface) -> Hostdev | None:
    if net.source_pci is None:  # a USB device: no PCI device is assigned
        return None
    return Hostdev(
        host_address=net.source_pci,
        managed=bool(net.managed),
        alias=net.alias,
        address=net.address,
        parent=net.alias,
    )


def _hostdevs(root: etree._Element) -> Iterator[Hostdev]:
    for node in root.iterfind("devices/hostdev[@type='pci']"):
        fields = {name: item.read(node) for name, item in HostdevElement.properties.items()}
        if fields["host_address"] is not None:
            yield Hostdev(**fields)


def _pci_controllers(root: etree._Element) -> Iterator[tuple[int, etree._Element]]:
    for node in root.iterfind("devices/controller[@type='pci']"):
        yield _number(node, "index", _INDEX.read), node


def _takes_hotplug(controller: etree._Element) -> bool:
    target = controller.find("target")
    return target is None or target.get("hotplug") != "off"


def _number(node: etree._Element, name: str, read: object) -> int:
    assert callable(read)
    try:
        return int(read(node.get(name, "0")))
    except ValueError:
        raise XmlInvalid(
            f"line {node.sourceline}: <{node.tag} {name}='{node.get(name)}'> is not a number in range"
        ) from None
