"""The vifs of a live definition's NICs: libvirt's Xen driver does not name the links of NICs that came while the guest ran."""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug import xml
from virtnetplug.adapters.xen.toolstack import NO_SCRIPT
from virtnetplug.model.interface import Interface
from virtnetplug.ports.xen import Vif


def with_targets(domain_xml: str, vifs: Sequence[Vif]) -> str:
    """`domain_xml` with ``<target dev=>`` in each NIC that has a vif."""
    nets = xml.devices(domain_xml).nets
    for net, vif in zip(nets, vifs_of(nets, vifs), strict=True):
        if net.target_dev is None and vif is not None:
            element = xml.edit(net.element, {"target_dev": vif.link})
            domain_xml = domain_xml.replace(net.element, element, 1)
    return domain_xml


def vifs_of(nets: Sequence[Interface], vifs: Sequence[Vif]) -> list[Vif | None]:
    """The vif of each NIC of one definition; no two NICs have the same vif.

    A NIC and its vif have the same MAC and the same name of the link. If the definition does not name the link, they have the same bridge.
    If a bridge is not known, the MAC decides. The bridge of a placeholder is another than the NIC's.
    """
    found: list[Vif | None] = [None] * len(nets)
    left = list(vifs)
    for is_its in (_has_its_link, _is_in_its_bridge, _may_be_in_its_bridge):
        for index, net in enumerate(nets):
            if found[index] is None and not net.is_hostdev:
                found[index] = next((vif for vif in left if vif.mac == str(net.mac) and is_its(vif, net)), None)
                left = [vif for vif in left if vif is not found[index]]
    return found


def _has_its_link(vif: Vif, net: Interface) -> bool:
    return vif.has_link(net.target_dev)


def _is_in_its_bridge(vif: Vif, net: Interface) -> bool:
    return net.target_dev is None and vif.bridge is not None and vif.bridge == net.source_bridge


def _may_be_in_its_bridge(vif: Vif, net: Interface) -> bool:
    return net.target_dev is None and (None in (vif.bridge, net.source_bridge) or vif.script == NO_SCRIPT)
