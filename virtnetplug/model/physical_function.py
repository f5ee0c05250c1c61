"""An SR-IOV physical function (PF) as it has to be again after its driver was bound anew or the number of its VFs changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NetdevState:
    """What a network interface loses when its driver is unbound. All plain values, as the journal keeps them.

    `queue_length` in packets, `mtu` in bytes. `port` are the flags of a bridge's port (``IFLA_BRPORT_…``), `addresses` and `routes` the kernel's
    own messages of what a person or program set (``struct ifaddrmsg``, ``struct rtmsg`` with their attributes), each in hexadecimal.
    """

    name: str
    mac: str | None = None
    mtu: int | None = None
    queue_length: int | None = None
    is_up: bool = False
    is_promiscuous: bool = False
    hears_all_multicast: bool = False
    has_carrier: bool = False
    master: str | None = None
    port: str = ""
    addresses: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()

    @property
    def is_in_use(self) -> bool:
        """Whether the host itself does something with it."""
        return self.master is not None or (self.is_up and bool(self.addresses))


@dataclass(frozen=True, slots=True, kw_only=True)
class PfState:
    """`netdev` is None where the driver made none, or it is in another network namespace."""

    driver: str | None
    num_vfs: int
    netdev: NetdevState | None = None

    @property
    def request(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> PfState:
        """What the journal has."""
        netdev = request["netdev"]
        lists = {name: tuple(netdev[name]) for name in ("addresses", "routes")} if netdev is not None else {}
        return cls(
            driver=request["driver"],
            num_vfs=request["num_vfs"],
            netdev=None if netdev is None else NetdevState(**{**netdev, **lists}),
        )
