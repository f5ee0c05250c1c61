"""One network of Ethernet over several bridges, with an address of the host in it: a NIC may change its bridge and be reached."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.real import links

_numbers = itertools.count(1)


class Segment:
    """`join` as many bridges as there are."""

    def __init__(self, bridge: str) -> None:
        self._bridge = bridge
        self._made: dict[str, str] = {}

    def join(self, bridge: str) -> None:
        """Connect a bridge with the segment, again if it was made anew."""
        near = self._made.get(bridge, "")
        if not near or not links.exists(near):
            number = next(_numbers)
            near, far = f"seg{number}", f"seg{number}p"
            links.ip("link", "add", near, "type", "veth", "peer", "name", far)
            links.ip("link", "set", near, "master", self._bridge, "up")
            self._made[bridge] = near
        links.ip("link", "set", f"{near}p", "master", bridge, "up")

    def close(self) -> None:
        """Take the connections away."""
        for near in self._made.values():
            if links.exists(near):
                links.ip("link", "del", near)


@contextmanager
def segment(address: str = "10.9.0.1/24") -> Iterator[Segment]:
    """One, in which the host has `address`."""
    with ExitStack() as made:
        bridge = made.enter_context(links.bridge())
        links.ip("addr", "add", address, "dev", bridge)
        one = Segment(bridge)
        made.callback(one.close)
        yield one
