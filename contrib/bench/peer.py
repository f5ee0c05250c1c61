"""One attach and one detach, against the guest path of a released Nova on the same guest.

Nova is in a Python environment of its own, which `contrib/bench/run --only nova` makes; nothing else needs it. What runs is Nova's own code:
`Host.get_guest`, `Guest.attach_device` and `LibvirtDriver._detach_with_retry`, as `attach_interface` and `detach_interface` call them.
Its database, Neutron and os-vif are left out.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import libvirt
from single import Ours, pairs
from stage import Stage
from table import Row

from virtnetplug.model.operation import Scope

ENVIRONMENT = Path(os.environ.get("VIRTNETPLUG_BENCH_NOVA", "/var/tmp/virtnetplug-bench-nova"))
MAC = "52:54:00:be:00:01"


def is_there() -> bool:
    """Whether the environment has been made."""
    return (ENVIRONMENT / "ready").exists()


def measure(stage: Stage) -> Iterator[Row]:
    """The pairs are measured by Nova's Python, which also has what virtnetplug needs: one process, one connection kind, one guest."""
    if not is_there():
        raise SystemExit(
            f"there is no Nova in {ENVIRONMENT}: 'contrib/bench/run --only nova' outside the namespace makes it"
        )
    command = [ENVIRONMENT / "bin" / "python", __file__, *(["--quick"] if stage.is_quick else [])]
    environment = {**os.environ, "OS_NOVA_DISABLE_EVENTLET_PATCHING": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    for row in json.loads(done.stdout.splitlines()[-1]):
        yield Row(**row)


class Nova:
    """Nova's own functions, in the order in which `attach_interface` and `detach_interface` call them."""

    def __init__(self, driver: Any, uuid: str, bridge: str, *, persistent: bool) -> None:
        from nova.virt.libvirt import config

        self._driver, self._persistent = driver, persistent
        self._instance = types.SimpleNamespace(uuid=uuid, name="bench")
        self._nic = config.LibvirtConfigGuestInterface()
        self._nic.net_type, self._nic.mac_addr, self._nic.source_dev, self._nic.model = "bridge", MAC, bridge, "virtio"
        self._nic.alias = None

    def attach(self, nic: str) -> None:
        from nova.compute import power_state

        guest = self._driver._host.get_guest(self._instance)
        live = guest.get_power_state(self._driver._host) in (power_state.RUNNING, power_state.PAUSED)
        guest.attach_device(self._nic, persistent=self._persistent, live=live)

    def detach(self, alias: str) -> None:
        guest = self._driver._host.get_guest(self._instance)
        get = functools.partial(guest.get_interface_by_cfg, self._nic)
        self._driver._detach_with_retry(guest, self._instance.uuid, get, device_name="tap")


def _driver(uri: str) -> Any:
    """A `LibvirtDriver`, unpatched but for its event thread: one event loop serves the process."""
    import nova.conf
    from nova import objects
    from nova.virt.libvirt import driver, guest, host

    given = nova.conf.CONF
    given([], project="nova", default_config_files=[])
    for name, value in (("connection_uri", uri), ("virt_type", "qemu")):
        given.set_override(name, value, group="libvirt")
    given.set_override("instances_path", os.environ.get("TMPDIR", "/tmp"))
    objects.register_all()
    logging.getLogger("nova").setLevel(logging.CRITICAL)
    for module in (driver, guest, host):
        module.libvirt = libvirt
    made = driver.LibvirtDriver(types.SimpleNamespace())
    made._host._event_handler.start = lambda: None
    made._host.initialize()
    return made


def _measure(*, is_quick: bool) -> list[dict[str, Any]]:
    found = []
    with ExitStack() as cleanup:
        stage = Stage(cleanup, is_quick=is_quick)
        uri = stage.libvirtd
        guest = stage.guests(stage.connect(uri), "peer", 1)[0]
        plugger, driver = stage.plugger(uri, "peer"), _driver(uri)
        for scope, said, most in ((Scope.LIVE, "live", None), (Scope.BOTH, "live+config", 1.3)):
            nova = Nova(driver, guest.uuid, stage.bridge, persistent=scope is Scope.BOTH)
            times = pairs(stage, Ours(plugger, guest.name, scope=scope), nova, stage.rounds(60))
            for step, least in (("attach", most), ("detach", most and 1.02)):
                ours, floor = times[step]
                what = f"{step}, libvirtd, {said}"
                found.append(
                    {"what": what, "floor_is": "Nova", "unit": "ms", "ours": ours, "floor": floor, "most": least}
                )
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    code = 1
    try:
        print(json.dumps(_measure(is_quick="--quick" in sys.argv)))
        code = 0
    finally:
        sys.stdout.flush()
        os._exit(code)  # Nova's executors have threads that are no daemons
