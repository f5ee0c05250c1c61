"""What a look sees, and which NIC a selector means."""

from __future__ import annotations

import re

import pytest

from tests.fakes.stage import StageDomain, at, definition, nic
from virtnetplug import xml
from virtnetplug.errors import DomainMissing, NicAmbiguous, NicMissing
from virtnetplug.hotplug.look.find import find
from virtnetplug.hotplug.look.view import DomainView, look, same
from virtnetplug.model.operation import Half
from virtnetplug.model.pci import PciAddress

BOTH = (Half.LIVE, Half.CONFIG)


def seen(live: tuple[str, ...] | None, config: tuple[str, ...] | None) -> DomainView:
    texts = [None if nics is None else definition("web", *nics) for nics in (live, config)]
    return look(StageDomain("web", texts[0], texts[1]), BOTH)  # type: ignore[arg-type]


def names(view: DomainView) -> list[tuple[str | None, str | None]]:
    return [(live.alias if live else None, config.alias if config else None) for live, config in view.nics]


def without_alias(text: str) -> str:
    return text.split("<alias")[0] + "</interface>"


def automatic(text: str, alias: str) -> str:
    return without_alias(text).replace("</interface>", f"<alias name='{alias}'/></interface>")


def test_a_look_fetches_only_what_is_asked_and_what_there_is() -> None:
    domain = StageDomain("web", definition("web", nic(1)), None)
    view = look(domain, (Half.CONFIG,))  # type: ignore[arg-type]
    assert (view.live_xml, view.config_xml, domain.looks) == (None, None, 0)
    assert (view.live, view.config, view.topology, view.nics) == (None, None, None, ())
    view = look(domain, BOTH)  # type: ignore[arg-type]
    assert view.live is not None
    assert domain.looks == 1
    off = StageDomain("off", None, definition("off"))
    assert look(off, BOTH).live is None  # type: ignore[arg-type]
    assert off.looks == 1
    domain.gone = True
    with pytest.raises(DomainMissing):
        look(domain, BOTH)  # type: ignore[arg-type]


def test_a_domain_that_stops_between_the_two_looks_has_no_live_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    domain = StageDomain("web", definition("web"), definition("web", nic(1)))
    state = domain.state()
    domain.live = None
    monkeypatch.setattr(StageDomain, "state", lambda self: state)
    view = look(domain, BOTH)  # type: ignore[arg-type]
    assert view.live is None
    assert names(view) == [(None, "ua-1")]


def test_nics_of_two_definitions_are_one_by_alias_else_by_mac() -> None:
    by_mac = (automatic(nic(2), "net0"), without_alias(nic(2)))
    view = seen((nic(1), by_mac[0], nic(3)), (by_mac[1], nic(4), nic(1)))
    assert names(view) == [("ua-1", "ua-1"), ("net0", None), ("ua-3", None), (None, "ua-4")]
    assert view.nics[1][1] is not None
    assert str(view.nics[1][1].mac) == "52:54:00:00:00:02"


NET = "<interface type='{}'><mac address='52:54:00:00:00:05'/><source {}/>{}</interface>"


def called(text: str, alias: str) -> str:
    """The element with that alias, and with all else that it has."""
    return re.sub("<alias[^>]*>", "", text).replace("</interface>", f"<alias name='{alias}'/></interface>")


VIRTIO = "<model type='virtio'/>"


@pytest.mark.parametrize(
    ("live", "config", "is_one"),
    [
        (("bridge", "bridge='br0'", VIRTIO), ("bridge", "bridge='br0'", VIRTIO), True),
        (("bridge", "bridge='br0'", "<model type='rtl8139'/>"), ("bridge", "bridge='br0'", ""), True),
        (("bridge", "bridge='br0'", VIRTIO), ("bridge", "bridge='br0'", "<model type='e1000'/>"), False),
        (("bridge", "bridge='br0'", VIRTIO), ("bridge", "bridge='br1'", VIRTIO), False),
        (("direct", "dev='eth0' mode='bridge'", VIRTIO), ("bridge", "bridge='br0'", VIRTIO), False),
        (("direct", "dev='eth0' mode='vepa'", VIRTIO), ("direct", "dev='eth0'", VIRTIO), True),
        (("bridge", "network='lan' portid='p' bridge='br0'", VIRTIO), ("network", "network='lan'", VIRTIO), True),
        (("network", "network='lan' portgroup='a' bridge='v'", VIRTIO), ("network", "network='lan'", VIRTIO), True),
        (("network", "network='lan' bridge='virbr0'", VIRTIO), ("network", "network='blue'", VIRTIO), False),
        (("hostdev", "", ""), ("network", "network='pool0'", ""), True),
        (("hostdev", "", ""), ("bridge", "bridge='br0'", ""), False),
    ],
)
def test_without_an_alias_a_nic_is_one_by_mac_type_source_and_model(
    live: tuple[str, str, str], config: tuple[str, str, str], *, is_one: bool
) -> None:
    device = "<source><address type='pci' domain='0' bus='0x3b' slot='0x10' function='0x2'/></source>"
    for alias in ("net0", "ua-vnp1"):
        texts = called(NET.format(*live).replace("<source />", device), alias), NET.format(*config)
        pairs = seen((texts[0],), (texts[1],)).nics
        assert [(one is not None, other is not None) for one, other in pairs] == (
            [(True, True)] if is_one else [(True, False), (False, True)]
        )


def test_of_two_nics_of_one_mac_the_scope_tells_which_is_meant() -> None:
    there, then = called(NET.format("bridge", "bridge='br0'", ""), "net0"), NET.format("bridge", "bridge='br1'", "")
    view = seen((there,), (then,))
    with pytest.raises(
        NicAmbiguous, match=r"you mean by the one definition that has it: `scope=Scope.LIVE` .* `scope=Scope.CONFIG`"
    ):
        find(view, "52:54:00:00:00:05")
    live, config = find(view, "52:54:00:00:00:05", (Half.LIVE,)), find(view, "52:54:00:00:00:05", (Half.CONFIG,))
    assert [one and one.source for one in (*live, *config)] == ["br0", None, None, "br1"]


def test_a_nic_is_the_same_under_another_alias_of_libvirts_at_its_address_alone() -> None:
    wanted = xml.interface(called(nic(1, extra=at(7)), "net0"))
    others = [called(nic(1, extra=at(8)), "net0"), nic(1, extra=at(7)), called(nic(2, extra=at(7)), "net0")]
    assert same([xml.interface(text) for text in others], wanted) is None
    renamed = xml.interface(called(nic(1, extra=at(7)), "net3"))
    assert same([*(xml.interface(text) for text in others), renamed], wanted) is renamed
    rewired = xml.interface(called(nic(1, source="bridge='br9'", extra=at(7)), "net0"))
    assert same([renamed, rewired], wanted) is rewired


def test_the_halves_of_a_teaming_pair_find_their_own_half() -> None:
    one = nic(1, extra="<teaming type='persistent'/>")
    two = nic(1, source="bridge='br1'", extra="<teaming type='transient' persistent='ua-1'/>")
    live = (automatic(one, "net0"), automatic(two, "net1"))
    view = seen(live, (without_alias(two), without_alias(one)))
    pairs = [(live.source, config.source) for live, config in view.nics if live and config]
    assert pairs == [("br0", "br0"), ("br1", "br1")]


def test_another_alias_of_ones_own_is_another_nic() -> None:
    renamed = nic(1).replace("ua-1", "ua-9")
    assert names(seen((nic(1),), (renamed,))) == [("ua-1", None), (None, "ua-9")]
    assert names(seen((automatic(nic(1), "net0"),), (renamed,))) == [("net0", "ua-9")]


@pytest.mark.parametrize(
    "selector", ["ua-2", " ua-2 ", "52:54:00:00:00:0b", "52-54-00-00-00-0B", "vnet2", "0000:00:07.0", "00:07.0"]
)
def test_a_nic_is_found_by_any_of_its_names(selector: str) -> None:
    two = nic(2, extra=at(7)).replace("00:02", "00:0b")
    live, config = find(seen((nic(1), two), (nic(1), two)), selector)
    assert live is not None
    assert config is not None
    assert (live.alias, config.alias) == ("ua-2", "ua-2")


def test_an_assigned_device_is_found_by_its_host_address() -> None:
    source = "<source><address type='pci' domain='0x0000' bus='0x3b' slot='0x10' function='0x2'/></source>"
    text = f"<interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:09'/>{source}<alias name='ua-9'/></interface>"
    view = seen((nic(1), text), None)
    live, config = find(view, "3b:10.2")
    assert live is not None
    assert (live.alias, config) == ("ua-9", None)
    assert view.host_address(live) == PciAddress(0, 0x3B, 0x10, 2)


def test_a_nic_of_one_definition_alone_is_found_there() -> None:
    view = seen((), (nic(1),))
    live, config = find(view, "ua-1")
    assert live is None
    assert config is not None


def test_nothing_or_several_that_match_are_listed() -> None:
    twins = (nic(1), nic(2).replace("00:02", "00:01"), nic(3))
    with pytest.raises(NicMissing, match=r"ua-3 \(52:54:00:00:00:03\)"):
        find(seen(twins, None), "vnet9")
    with pytest.raises(NicMissing, match="no NIC at all"):
        find(seen((), None), "vnet9")
    with pytest.raises(NicAmbiguous, match=r"means 2 NICs of domain web: ua-1 .*, ua-2 .*by its alias") as caught:
        find(seen(twins, None), "52:54:00:00:00:01")
    assert "ua-3" not in caught.value.message


def bare(number: int, extra: str = "") -> str:
    """A NIC that only a definition has, without an alias."""
    return nic(number, extra=extra).replace(f"<alias name='ua-{number}'/>", "")


@pytest.mark.parametrize(
    ("selector", "live", "config", "ways"),
    [
        ("ua-1", [nic(1)], [nic(2).replace("ua-2", "ua-1")], r"by its MAC or by the one definition"),
        ("52:54:00:00:00:01", [nic(1), nic(2).replace("00:02", "00:01")], [], r"by its alias\.$"),
        (
            "52:54:00:00:00:01",
            [],
            [bare(1, at(3)), bare(1, at(4))],
            r"by its guest address \(0000:00:03\.0, 0000:00:04\.0\)\.$",
        ),
        ("52:54:00:00:00:01", [], [bare(1), bare(1)], "Nothing tells them apart: give one of them an alias"),
    ],
)
def test_nics_that_match_are_told_apart_by_what_differs(
    selector: str, live: list[str], config: list[str], ways: str
) -> None:
    with pytest.raises(NicAmbiguous, match=ways):
        find(seen(tuple(live), tuple(config)), selector)
