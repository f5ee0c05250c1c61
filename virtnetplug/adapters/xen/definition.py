"""The live definition as it is elsewhere: libvirt's Xen driver does not name the links of NICs that came while the guest ran."""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug import xml
from virtnetplug.adapters.xen.toolstack import NO_SCRIPT
from virtnetplug.model.interface import Interface
from virtnetplug.ports.xen import Vif


def lacks_targets(domain_xml: str) -> bool:
    """Whether some NIC does not say its link."""
    return any(net.target is None for net in xml.glimpse(domain_xml))


def with_targets(domain_xml: str, vifs: Sequence[Vif]) -> str:
    """`domain_xml` with ``<target dev=>`` in each NIC that has a vif."""
    nets = xml.devices(domain_xml).nets
    for net, vif in zip(nets, vifs_of(nets, vifs), strict=True):
        if net.target_dev is None and vif is not None:
            element = xml.edit(net.element, {"target_dev": vif.link})
            domain_xml = domain_xml.replace(net.element, element, 1)
    return domain_xml


def vifs_of(nets: Sequence[Interface], vifs: Sequence[Vif]) -> list[Vif | None]:
    """The vif of each NIC of one definition; no two have the same one.

    A vif is a NIC's by MAC and by the name of its link; by MAC and bridge if the definition does not name the link. If a bridge is not known, the MAC decides.
    A placeholder is in no bridge of its NIC's.
    """
    found: list[Vif | None] = [None] * len(nets)
    left = list(vifs)
    for is_its in (_has_its_link, _is_in_its_bridge, _may_be_in_its_bridge):
        for index, net in enumerate(nets):
            if found[index] is None and not net.is_hostdev:
                found[index] = next((vif for vif in left if vif.mac == str(net.mac) and is_its(vif, net)), None)
                left = [vif for vif in left if vif is not found[index]]
    return found


def vif_of(vifs: Sequence[Vif], mac: str, target: str | None) -> Vif | None:
    """The vif with that MAC whose link is called `target`."""
    return next((vif for vif in vifs if vif.mac == mac and vif.has_link(target)), None)


def _has_its_link(vif: Vif, net: Interface) -> bool:
    return vif.has_link(net.target_dev)


def _is_in_its_bridge(vif: Vif, net: Interface) -> bool:
    return net.target_dev is None and vif.bridge is not None and vif.bridge == net.source_bridge


def _may_be_in_its_bridge(vif: Vif, net: Interface) -> bool:
    return net.target_dev is None and (None in (vif.bridge, net.source_bridge) or vif.script == NO_SCRIPT)
