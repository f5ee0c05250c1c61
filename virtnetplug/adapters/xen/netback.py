"""dom0's drivers of vifs, in sysfs: xen-netback, unbound from a vif and bound again while the vif's guest runs.

Since Linux 5.6 (``allow_rebind`` of xen-netback, "xen-netback: support dynamic unbind/bind") the driver takes the rings as it finds them.
An older kernel has no such flag, closes the backend at unbind, and the guest loses its NIC.
"""

from __future__ import annotations

import errno
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from virtnetplug import retry
from virtnetplug.errors import HostDeviceFailed

FIRST_KERNEL = (5, 6)
MODULE = "xen-netback"
_LINK_SECONDS = 30.0
_LOAD_SECONDS = 60.0

Run = Callable[[Sequence[str]], None]


def run_modprobe(words: Sequence[str]) -> None:
    """Raises `HostDeviceFailed` with the program's own words."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LOAD_SECONDS, process_group=0
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostDeviceFailed(f"'{' '.join(words)}' failed ({error})") from None
    if done.returncode:
        raise HostDeviceFailed(f"'{' '.join(words)}' failed: {done.stderr.strip() or f'code {done.returncode}'}")


class XenVifDrivers:
    """`ports.xen.VifDrivers` of this dom0; `sys` and `proc` are where the file systems are looked for."""

    def __init__(self, sys: Path = Path("/sys"), proc: Path = Path("/proc"), run: Run = run_modprobe) -> None:
        bus = sys / "bus/xen-backend"
        self._driver, self._devices = bus / "drivers/vif", bus / "devices"
        self._proc = proc
        self._run = run

    def rebind_obstacle(self) -> str | None:
        """By the kernel's release, as the flag itself is not shown anywhere."""
        try:
            release = (self._proc / "sys/kernel/osrelease").read_text().strip()
        except OSError:
            release = ""
        found = re.match(r"(\d+)\.(\d+)", release)
        if found is None:
            return f"the kernel's release, '{release}', is none that is known"
        if (int(found[1]), int(found[2])) < FIRST_KERNEL:
            first = ".".join(str(part) for part in FIRST_KERNEL)
            return f"kernel {release} cannot bind a vif anew under a running guest; {first} is the first that can"
        return None

    def bound(self) -> frozenset[str]:
        return frozenset(place.name for place in self._driver.glob("vif-*"))

    def is_bound(self, name: str) -> bool:
        """By the driver's directory: the backend's state in xenstore does not show it."""
        return (self._driver / name).exists()

    def link(self, name: str) -> str | None:
        return min((place.name for place in self._devices.glob(f"{name}/net/*")), default=None)

    def unbind(self, name: str) -> None:
        """The kernel returns when the link is gone."""
        self._write("unbind", name)

    def bind(self, name: str) -> None:
        """The link comes when the guest's end has been read, at once or a little later."""
        self._write("bind", name)
        if not retry.until_true(lambda: self.link(name) is not None, seconds=_LINK_SECONDS):
            raise HostDeviceFailed(
                f"{name} has its driver, but no link after {_LINK_SECONDS:g} s. The kernel's log ('dmesg') says why."
            )

    def load(self) -> None:
        self._run(["modprobe", MODULE])

    def reload(self) -> None:
        """By ``modprobe``; the kernel refuses while a vif has the driver ("Module xen_netback is in use")."""
        self._run(["modprobe", "-r", MODULE])
        self.load()

    def _write(self, file: str, name: str) -> None:
        is_bind = file == "bind"
        if self.is_bound(name) is is_bind:
            return
        try:
            (self._driver / file).write_text(name)
        except OSError as error:
            if self.is_bound(name) is not is_bind:  # else somebody else did it meanwhile
                participle = "bound" if is_bind else "unbound"
                raise HostDeviceFailed(f"{name} cannot be {participle} ({_reason(error, file)})") from None


def _reason(error: OSError, file: str) -> str:
    reasons = {
        errno.EACCES: "only root can; run this as root",
        errno.EPERM: "only root can; run this as root",
        errno.ENODEV: "the kernel knows no such vif",
        errno.ENOENT: f"{MODULE} is not loaded: 'modprobe {MODULE}'",
    }
    return reasons.get(error.errno or 0, f"{error.strerror} from {file}")
