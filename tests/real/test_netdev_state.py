"""A network interface made anew, and made as it was, against the kernel in a network namespace of each test's own. Needs root."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.real.namespace import wait_until
from tests.real.test_links import inside, ip
from virtnetplug.adapters.linux import netdev_state, rtnetlink
from virtnetplug.model.host_device import NetdevState, PfState

_MADE = "link add pf0 address 02:00:00:00:00:01 type veth peer name wire"


def told(*command: str) -> Any:
    """What ``ip -j`` says, without what is counted, numbered or timed."""
    text = subprocess.run(["ip", "-j", "-d", *command], check=True, capture_output=True, text=True).stdout
    return _without(json.loads(text))


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        ours = (
            "ifindex",
            "link_index",
            "link",
            "link_netnsid",
            "num_tx_queues",
            "num_rx_queues",
            "inet6_addr_gen_mode",
        )
        timers = ("bridge_id", "root_id", "designated_port", "no", "id", "hold_timer", "forward_delay_timer")
        return {key: _without(each) for key, each in value.items() if key not in (*ours, *timers)}
    return [_without(each) for each in value] if isinstance(value, list) else value


def all_of(name: str) -> tuple[Any, ...]:
    return (
        told("link", "show", "dev", name),
        told("address", "show", "dev", name),
        told("route", "show", "dev", name),
        told("-6", "route", "show", "dev", name),
    )


def is_settled() -> bool:
    """It has carrier and a link-local address that can be used: it is tentative until a worker of the kernel has looked at it, detection or not."""
    (link,), (addresses,) = told("link", "show", "dev", "pf0"), told("address", "show", "dev", "pf0")
    local = [each for each in addresses["addr_info"] if each["scope"] == "link"]
    return link["operstate"] == "UP" and bool(local) and not any("tentative" in each for each in local)


def without_detection() -> None:
    """Of duplicate addresses: an address would be tentative for a time of the kernel's choice."""
    for name in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{name}/accept_dad").write_text("0")


def index() -> int:
    raw = rtnetlink.get("pf0") or rtnetlink.get("eth7")
    assert raw is not None
    return raw.index


def made_anew() -> None:
    """As a driver makes it: under another name, down, with nothing of what it had."""
    ip("link del pf0")
    ip(_MADE)
    ip("link set wire up")
    ip("link set pf0 name eth7")


def make(state: NetdevState) -> list[str]:
    """Through JSON, as the journal keeps it."""
    kept = PfState.from_request(json.loads(json.dumps(PfState(driver="x", num_vfs=0, netdev=state).request)))
    assert kept.netdev is not None
    return netdev_state.restore(index(), kept.netdev)


BARE = ["link set pf0 mtu 1400 txqueuelen 500 promisc on allmulticast on up"]
ROUTED = [
    *BARE,
    "address add 10.7.0.1/24 brd + dev pf0",
    "address add 10.7.0.2/24 dev pf0 label pf0:1",
    "address add fd00:7::1/64 dev pf0 nodad",
    "route add 10.8.0.0/16 via 10.7.0.9 metric 5",
    "route add default via 10.7.0.254",
    "route add 10.9.0.0/16 dev pf0 mtu 1300",
    "-6 route add fd00:8::/64 via fd00:7::9",
]
BRIDGED = [*BARE, "link add br7 type bridge", "link set br7 up", "link set pf0 master br7"]
FLAGS = "isolated on hairpin on learning off flood off cost 7 priority 9 guard on"


@pytest.mark.parametrize("kind", ["bare", "down", "routed", "bridged"])
def test_what_was_set_is_there_again(kind: str) -> None:
    def work() -> None:
        without_detection()
        ip(_MADE)
        ip("link set wire up")
        for command in {"bare": BARE, "down": [], "routed": ROUTED, "bridged": BRIDGED}[kind]:
            ip(command)
        if kind == "bridged":
            subprocess.run(["bridge", "link", "set", "dev", "pf0", *FLAGS.split()], check=True)
        if kind != "down":
            wait_until(is_settled, "pf0 to have carrier, and a link-local address that is no longer tentative")
        before, state = all_of("pf0"), netdev_state.read(index())
        assert state.is_in_use is (kind in ("routed", "bridged")) and state.is_up is (kind != "down")
        made_anew()
        assert make(state) == []
        wait_until(lambda: all_of("pf0") == before, "pf0 to be as it was")
        assert make(state) == [] and all_of("pf0") == before, "once more changes nothing"

    inside(work)


def test_what_is_gone_meanwhile_is_named_and_all_else_done() -> None:
    def work() -> None:
        ip(_MADE)
        for command in BRIDGED:
            ip(command)
        state = netdev_state.read(index())
        ip("link del br7")
        made_anew()
        (fault, *more) = make(state)
        assert fault == "being in br7: there is no such link any more" and len(more) <= 1
        now = netdev_state.read(index())
        assert (now.name, now.mtu, now.is_up, now.is_promiscuous) == ("pf0", 1400, True, True)

    inside(work)


def test_what_stands_on_it_is_seen() -> None:
    def work() -> None:
        ip(_MADE)
        ip("link add link pf0 name pf0.7 type macvlan")
        ip("link add link wire name other type macvlan")
        assert netdev_state.above(index()) == ["pf0.7"]

    inside(work)
