"""Which NICs are cut off, seen twice."""

from __future__ import annotations

import pytest

from tests.fakes.stage import Stage, nic
from virtnetplug.errors import NotSupported
from virtnetplug.hotplug.audit.severed import severed
from virtnetplug.model.network import Network
from virtnetplug.ports.host import Link

PORT = "aaaaaaaa-0000-4000-8000-000000000001"


@pytest.fixture
def stage() -> Stage:
    """One guest of three NICs, of which the first is fine."""
    stage = Stage()
    stage.bridge("br0", "vnet1")
    stage.bridge("br1")
    stage.nets["blue"] = Network(name="blue", bridge="br1")
    stage.there["vnet2"] = Link(name="vnet2", index=2, kind="tun", up=True)
    stage.there["vnet3"] = Link(name="vnet3", index=3, kind="tun", master="br1", up=True)
    source = f"network='blue' portid='{PORT}' bridge='br1'"
    stage.add("web", nic(1), nic(2), nic(3, kind="network", source=source))
    return stage


def aliases(stage: Stage, **chosen: str) -> list[str]:
    return [alias for _, alias in severed(stage.host(), **chosen)]


def test_those_without_their_bridge_or_their_port_are_found_and_chosen_from(stage: Stage) -> None:
    assert aliases(stage) == ["ua-2", "ua-3"]
    assert aliases(stage, network="blue") == ["ua-3"]
    assert aliases(stage, bridge="br0") == ["ua-2"]
    assert aliases(stage, bridge="br1", network="blue") == ["ua-3"]
    assert aliases(stage, bridge="br9") == []
    assert aliases(stage, domain="web") == ["ua-2", "ua-3"]


def test_only_what_is_so_at_both_looks(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation may be at it just now."""
    now = stage.links()
    later = {**now, "vnet2": Link(name="vnet2", index=2, kind="tun", master="br0", up=True)}
    looks = iter([now, later])
    monkeypatch.setattr(stage, "links", lambda: next(looks))
    assert aliases(stage) == ["ua-3"]


def test_a_host_that_cannot_be_looked_at(stage: Stage) -> None:
    stage.is_local = False
    with pytest.raises(NotSupported, match="another host"):
        severed(stage.host())


def test_a_guest_that_does_not_run_has_none(stage: Stage) -> None:
    stage.all["web"].live = None
    assert aliases(stage) == []
