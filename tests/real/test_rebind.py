"""Rebinds under a Linux guest with a TCP stream running: no reset, every byte right, the longest silence of each measured.

As often as VIRTNETPLUG_REBINDS says, 10 times without it; the silences are printed.
"""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import libvirt
import pytest

import virtnetplug
from tests.real import links, linux_guest
from tests.real.linux_guest import LinuxGuest
from tests.real.namespace import wait_until
from tests.real.segment import Segment, segment
from tests.real.stream import Stream
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Result, Scope

TIMES = int(os.environ.get("VIRTNETPLUG_REBINDS", "10"))
NIC = "ua-front"
pytestmark = pytest.mark.timeout(900 + 60 * TIMES)


@dataclass
class Ward:
    """A guest in `around`, on the first of two bridges, with a network beside them."""

    guest: LinuxGuest
    plugger: Plugger
    around: Segment
    bridges: tuple[str, str]
    network: libvirt.virNetwork

    def said_since(self, place: int) -> str:
        """What the guest has said from that character on. Of its boot no loss of a link is still to come once a stream flows."""
        return self.guest.said()[place:]

    def restart_network(self) -> None:
        """All that is in it is cut off; what connects its bridge with the rest is an administrator's, and is put back."""
        self.network.destroy()
        self.network.create()
        self.around.join(self.network.bridgeName())


@pytest.fixture
def ward(
    connection: libvirt.virConnect,
    uri: str,
    place: Path,
    bridge: Callable[..., str],
    network: Callable[..., libvirt.virNetwork],
) -> Iterator[Ward]:
    with ExitStack() as made:
        around = made.enter_context(segment())
        bridges, net = (bridge(), bridge()), network("isolated", stp=False)
        for name in (*bridges, net.bridgeName()):
            around.join(name)
        nic = (
            f"<interface type='bridge'><mac address='{linux_guest.mac(5)}'/><source bridge='{bridges[0]}'/>"
            f"<model type='virtio'/><alias name='{NIC}'/><rom enabled='no'/></interface>"
        )
        guest = linux_guest.start(connection, place, nets=[nic])
        made.callback(linux_guest.remove, connection, [guest.uuid])
        plugger = made.enter_context(virtnetplug.open(uri, state_dir=place / "state"))
        yield Ward(guest, plugger, around, bridges, net)
        print("The guest's last words:", guest.said()[-3000:], sep="\n")  # shown if the test fails


def lost(said: str) -> list[str]:
    """The lines that tell of a NIC or link that went."""
    return [line for line in said.splitlines() if "carrier=0" in line or "up=0" in line or line.startswith("GONE")]


def tell(what: str, gaps: list[float]) -> None:
    ordered = sorted(gaps)
    ninth = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    print(
        f"{what}, {len(gaps)} times: longest silence {statistics.median(gaps):.3f} s (median), {ninth:.3f} (p90), {ordered[-1]:.3f} (most)"
    )


def test_another_bridge_or_network(ward: Ward) -> None:
    targets = [
        {"source_bridge": ward.bridges[1]},
        {"source_network": ward.network.name()},
        {"source_bridge": ward.bridges[0]},
    ]
    gaps = []
    with Stream(linux_guest.address(5)) as stream:
        seen = len(ward.guest.said())
        for number in range(TIMES):
            mark = stream.mark()
            outcome = ward.plugger.rebind(ward.guest.name, NIC, targets[number % 3])
            assert (outcome.result, outcome.warnings) == (Result.DONE, ())
            stream.wait_flowing()
            gaps.append(stream.longest_gap(since=mark))
    stream.check()
    tell("rebind", gaps)
    assert not lost(ward.said_since(seen))
    assert statistics.median(gaps) < 10, (
        "nothing was heard of the guest until it was asked for: 0.05 s on a quiet machine"
    )
    assert ward.plugger.audit().findings == ()


def test_its_network_is_restarted(ward: Ward) -> None:
    ward.plugger.rebind(ward.guest.name, NIC, {"source_network": ward.network.name()}, scope=Scope.BOTH)
    whole, gaps = [], []
    with Stream(linux_guest.address(5)) as stream:
        seen = len(ward.guest.said())
        for _ in range(TIMES):
            start = stream.mark()
            ward.restart_network()
            mark = stream.mark()
            (outcome,) = ward.plugger.heal(network=ward.network.name())
            assert (outcome.result, outcome.warnings) == (Result.DONE, ())
            stream.wait_flowing()
            gaps.append(stream.longest_gap(since=mark))
            whole.append(stream.longest_gap(since=start))
    stream.check()
    tell("heal after net-destroy and net-start", gaps)
    tell("with the restart itself", whole)
    assert not lost(ward.said_since(seen))
    assert ward.plugger.audit().findings == ()


def test_its_bridge_is_made_anew(ward: Ward) -> None:
    bridge = ward.bridges[0]
    with Stream(linux_guest.address(5)) as stream:
        for _ in range(max(TIMES // 10, 1)):
            links.ip("link", "del", bridge)
            links.ip("link", "add", bridge, "type", "bridge")
            links.ip("link", "set", bridge, "up")
            ward.around.join(bridge)
            assert [outcome.result for outcome in ward.plugger.heal()] == [Result.DONE]
            stream.wait_flowing()
    stream.check()


def test_a_link_that_is_to_flap_does(ward: Ward) -> None:
    with Stream(linux_guest.address(5)) as stream:
        seen = len(ward.guest.said())
        ward.plugger.rebind(ward.guest.name, NIC, {"source_bridge": ward.bridges[1]}, flap_link=True)
        stream.wait_flowing()
    stream.check()
    # Linux tells of a link's changes once a second.
    wait_until(lambda: re.search("carrier=0.*carrier=1", ward.said_since(seen), re.DOTALL), "the link to flap")


def test_a_nic_that_is_replaced_keeps_its_connections(ward: Ward) -> None:
    """To another VLAN-less kind of backend libvirt cannot go in place: out and in again, same MAC, alias, address, and so the same IP."""
    with Stream(linux_guest.address(5)) as stream:
        mark = stream.mark()
        # More than before: of less the other end learns nothing, and a bridge drops what it sends again in one piece.
        outcome = ward.plugger.update(ward.guest.name, NIC, {"mtu": 2000}, replace=True)
        assert outcome.result is Result.DONE
        stream.wait_flowing()
        tell("replacement", [stream.longest_gap(since=mark)])
    stream.check()
