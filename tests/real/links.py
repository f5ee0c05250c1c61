"""Bridges and libvirt networks for the tests."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import libvirt

_numbers = itertools.count(1)


def ip(*words: str) -> str:
    """Run ``ip`` and give what it says."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def exists(link: str) -> bool:
    """Whether the host has such a link now."""
    return Path("/sys/class/net", link).exists()


def members(bridge: str) -> set[str]:
    """The links in a bridge; none in one that is not there."""
    place = Path("/sys/class/net", bridge, "brif")
    return {path.name for path in place.iterdir()} if place.exists() else set()


@contextmanager
def bridge(name: str | None = None) -> Iterator[str]:
    """A bridge that is up, removed at the end if it is still there."""
    name = name or f"br{next(_numbers)}"
    ip("link", "add", name, "type", "bridge")
    ip("link", "set", name, "up")
    try:
        yield name
    finally:
        if exists(name):
            ip("link", "del", name)


@contextmanager
def network(
    uri: str,
    kind: Literal["isolated", "nat", "bridge"] = "isolated",
    *,
    name: str | None = None,
    bridge: str | None = None,
    extra: str = "",
    active: bool = True,
    stp: bool = True,
) -> Iterator[libvirt.virNetwork]:
    """A libvirt network, started if `active`; removed at the end, whatever is left of it.

    `bridge` is the existing bridge for kind ``bridge``, and the name of the one libvirt makes otherwise; `extra` is
    XML to go into ``<network>``: portgroups, a vlan, a virtualport. With `stp`, as libvirt has it, a port of its own bridge forwards
    4 seconds after it joined.
    """
    number = next(_numbers)
    name = name or f"net{number}"
    address = f"<ip address='192.168.{100 + number % 100}.1' netmask='255.255.255.0'/>"
    xml = {
        "isolated": f"<bridge name='{bridge or f'vbr{number}'}' stp='{'on' if stp else 'off'}'/>",
        "nat": f"<forward mode='nat'/><bridge name='{bridge or f'vbr{number}'}'/>{address}",
        "bridge": f"<forward mode='bridge'/><bridge name='{bridge}'/>",
    }[kind]
    connection = libvirt.open(uri)
    net = connection.networkDefineXML(f"<network><name>{name}</name>{xml}{extra}</network>")
    try:
        if active:
            net.create()
        yield net
    finally:
        remove_network(uri, name)


def remove_network(uri: str, name: str) -> None:
    """Stop and undefine it; safe when a test did so already."""
    for net in libvirt.open(uri).listAllNetworks():
        if net.name() == name:
            if net.isActive():
                net.destroy()
            if net.isPersistent():
                net.undefine()
