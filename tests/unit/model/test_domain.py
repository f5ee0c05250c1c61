"""nets and hostdevs never disagree."""

from __future__ import annotations

import pytest

from virtnetplug.errors import InvariantBroken
from virtnetplug.model.domain import DomainDevices, Hostdev
from virtnetplug.model.interface import Interface
from virtnetplug.model.pci import PciAddress


def net(alias: str | None, kind: str = "bridge") -> Interface:
    return Interface(type=kind, alias=alias)


def hostdev(slot: int, *, alias: str | None = None, parent: str | None = None) -> Hostdev:
    return Hostdev(host_address=PciAddress(0, 1, slot, 0), alias=alias, parent=parent)


VF = net("ua-vf", "hostdev")
OWNED = hostdev(0x10, alias="hostdev0", parent="ua-vf")


def test_a_domain_as_libvirt_shows_it_holds() -> None:
    devices = DomainDevices((net("net0"), net("net1"), VF), (OWNED, hostdev(0x11, alias="hostdev1")))
    assert len(devices.nets) == 3


def test_a_net_and_its_own_hostdev_may_share_an_alias() -> None:
    shared = hostdev(0x10, alias="ua-vf", parent="ua-vf")
    assert DomainDevices((VF,), (shared,)).hostdevs == (shared,)


def test_nets_without_an_alias_as_in_config_are_fine() -> None:
    assert DomainDevices((net(None), net(None), net(None, "hostdev"))).nets[0].alias is None


@pytest.mark.parametrize(
    ("nets", "hostdevs", "fault"),
    [
        ((net("ua-a"), net("ua-a")), (), "alias ua-a names more than one device"),
        ((net("ua-a"),), (hostdev(1, alias="ua-a"),), "alias ua-a names more than one device"),
        ((), (hostdev(1, alias="ua-a"), hostdev(2, alias="ua-a")), "alias ua-a names more than one device"),
        ((), (hostdev(1), hostdev(1)), "host device 0000:01:01.0 is assigned twice"),
        ((VF,), (OWNED, hostdev(0x10)), "host device 0000:01:10.0 is assigned twice"),
        ((VF,), (), "hostdev net ua-vf owns 0 host devices, and must own exactly one"),
        ((VF,), (OWNED, hostdev(0x11, parent="ua-vf")), "hostdev net ua-vf owns 2 host devices"),
        ((), (OWNED,), "names the net ua-vf as its parent, which is no hostdev net"),
        ((net("ua-vf"),), (OWNED,), "names the net ua-vf as its parent, which is no hostdev net"),
    ],
)
def test_every_disagreement_is_named(nets: tuple[Interface, ...], hostdevs: tuple[Hostdev, ...], fault: str) -> None:
    with pytest.raises(InvariantBroken) as caught:
        DomainDevices(nets, hostdevs)
    assert fault in caught.value.message
    assert caught.value.reason == "invariant-broken"
