"""The live definition as it is elsewhere: libvirt's Xen driver does not name the links of NICs that came while the guest ran."""

from __future__ import annotations

from collections.abc import Mapping

from virtnetplug import xml
from virtnetplug.ports.xen import Vif


def link_name(vif: Vif) -> str:
    """Of the backend's link: as the hotplug script was told to call it, or as the kernel does (``xenvif_alloc``)."""
    return vif.link_name or f"vif{vif.domain_id}.{vif.number}"


def lacks_targets(domain_xml: str) -> bool:
    """Whether some NIC does not say its link."""
    return any(net.target is None for net in xml.glimpse(domain_xml))


def with_targets(domain_xml: str, vifs: Mapping[str, Vif]) -> str:
    """`domain_xml` with ``<target dev=>`` in each NIC of which `vifs`, by MAC, has one."""
    for net in xml.devices(domain_xml).nets:
        vif = vifs.get(str(net.mac))
        if net.target_dev is None and vif is not None and not net.is_hostdev:
            named = xml.edit(net.element, {"target_dev": link_name(vif)})
            domain_xml = domain_xml.replace(net.element, named, 1)
    return domain_xml
