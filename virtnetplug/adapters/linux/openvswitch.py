"""Open vSwitch, through ``ovs-vsctl`` as libvirt does (``src/util/virnetdevopenvswitch.c``): the kernel knows its datapath only.

All bridges share one datapath, ``ovs-system``, which is the master of each of their ports; the database knows the bridge of a port.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from virtnetplug.errors import Failed
from virtnetplug.model.interface import Vlan
from virtnetplug.ports.host import SwitchPort

KIND = "openvswitch"
"""The kind of the datapath's link, and of each bridge's."""

_SECONDS = 5


def is_bridge(name: str) -> bool | None:
    """Whether Open vSwitch has a bridge of that name; None if Open vSwitch cannot be asked."""
    answer = _run("--", "br-exists", name)
    return None if answer is None else answer[0] == 0


def bridges() -> Mapping[str, str]:
    """The bridge of each port, by the name of the link; empty if Open vSwitch cannot be asked."""
    answer = _run(
        "--format=json", "--", "--columns=name,ports", "list", "Bridge", "--", "--columns=_uuid,name", "list", "Port"
    )
    if answer is None or answer[0]:
        return {}
    of_bridges, of_ports = (json.loads(line)["data"] for line in answer[1].splitlines())
    names = {uuid[1]: name for uuid, name in of_ports}
    return {names[port]: bridge for bridge, ports in of_bridges for port in _members(ports) if port in names}


def join(name: str, bridge: str, port: SwitchPort) -> None:
    """Make a link a port of `bridge`, and of no other, in one transaction (``virNetDevOpenvswitchAddPort``); raises `Failed`."""
    ids = {
        "attached-mac": port.mac, "iface-id": port.interface_id, "vm-id": port.domain_uuid, "port-profile": port.profile_id,
        "iface-status": "active",
    }  # fmt: skip
    external = [f"external-ids:{key}={json.dumps(value)}" for key, value in ids.items() if value]
    _order(
        f"put '{name}' into the Open vSwitch bridge '{bridge}'",
        "--", "--if-exists", "del-port", name,
        "--", "add-port", bridge, name, *_vlan(port.vlan),
        "--", "set", "Interface", name, *external,
    )  # fmt: skip


def leave(name: str) -> None:
    """Remove a link from its Open vSwitch bridge; a link in none is no error (``virNetDevOpenvswitchRemovePort``). Raises `Failed`."""
    _order(f"take '{name}' out of its Open vSwitch bridge", "--", "--if-exists", "del-port", name)


def _members(value: Sequence[Any]) -> list[str]:
    """UUIDs of a column that refers to others: a single UUID is written without its set (RFC 7047, 5.1)."""
    kind, content = value
    return [uuid for _, uuid in (content if kind == "set" else [value])]


def _vlan(vlan: Vlan | None) -> list[str]:
    """``virNetDevOpenvswitchConstructVlans``."""
    if vlan is None or not vlan.tags:
        return []
    native = next((tag for tag in vlan.tags if tag.native_mode is not None), None)
    words = [f"vlan_mode=native-{native.native_mode}", f"tag={native.id}"] if native is not None else []
    if vlan.trunk or len(vlan.tags) > 1:
        return [*words, "trunk=" + ",".join(str(tag.id) for tag in vlan.tags)]
    return words or [f"tag={vlan.tags[0].id}"]


def _order(what: str, *words: str) -> None:
    answer = _run(*words)
    if answer is None:
        raise Failed(f"Could not {what}: this host has no ovs-vsctl.", reason="link-not-set")
    if answer[0]:
        raise Failed(f"Open vSwitch would not {what}: {answer[2].strip() or answer[0]}.", reason="link-not-set")


def _run(*words: str) -> tuple[int, str, str] | None:
    import shutil  # with subprocess a millisecond of every command's start, and few hosts have Open vSwitch
    import subprocess

    program = shutil.which("ovs-vsctl")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, f"--timeout={_SECONDS}", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            process_group=0,
        )
    except OSError:
        return None
    return done.returncode, done.stdout, done.stderr
