"""The live definition as it is elsewhere: libvirt's Xen driver does not name the links of NICs that came while the guest ran."""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug import xml
from virtnetplug.ports.xen import Vif


def link_name(vif: Vif) -> str:
    """Of the backend's link: as the hotplug script was told to call it, or as the kernel does (``xenvif_alloc``)."""
    return vif.link_name or f"vif{vif.domain_id}.{vif.number}"


def lacks_targets(domain_xml: str) -> bool:
    """Whether some NIC does not say its link."""
    return any(net.target is None for net in xml.glimpse(domain_xml))


def with_targets(domain_xml: str, vifs: Sequence[Vif]) -> str:
    """`domain_xml` with ``<target dev=>`` in each NIC that has a vif. Of several vifs of one MAC a NIC gets one of its bridge, and no two NICs the same."""
    nets = xml.devices(domain_xml).nets
    named = {net.target_dev for net in nets}
    left = [vif for vif in vifs if link_name(vif) not in named]
    for net in nets:
        if net.target_dev is not None or net.is_hostdev:
            continue
        its = sorted((vif for vif in left if vif.mac == str(net.mac)), key=lambda vif: vif.bridge != net.source_bridge)
        if its:
            left.remove(its[0])
            element = xml.edit(net.element, {"target_dev": link_name(its[0])})
            domain_xml = domain_xml.replace(net.element, element, 1)
    return domain_xml


def vif_of(vifs: Sequence[Vif], mac: str, target: str | None) -> Vif | None:
    """The vif with that MAC; of several, that whose link is called `target`."""
    its = [vif for vif in vifs if vif.mac == mac]
    return next((vif for vif in its if len(its) == 1 or link_name(vif) == target), None)
