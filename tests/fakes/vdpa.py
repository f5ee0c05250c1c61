"""The kernel's vdpa bus as a directory tree that reacts to writes (``drivers/vdpa/vdpa.c``, ``drivers/vhost/vdpa.c``)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

HOST_DRIVER, GUEST_DRIVER = "virtio_vdpa", "vhost_vdpa"


class FakeVdpaBus:
    """As strict as the kernel: a device has one driver, and a node that is open keeps its driver.

    `opened` says which nodes QEMU has open. `fail` is called at the write number `break_at` (from 0), `after` it happened or before; of a
    process that `is_dead` every later write fails.
    """

    def __init__(self, root: Path, opened: Callable[[], Sequence[str]], devices: int = 2) -> None:
        self.root, self._opened = root, opened
        self.writes: list[tuple[str, str]] = []
        self.break_at, self.after, self.is_dead = -1, False, False
        self.fail: Callable[[], None] = lambda: None
        for driver in (HOST_DRIVER, GUEST_DRIVER):
            (root / "sys/bus/vdpa/drivers" / driver).mkdir(parents=True)
        (root / "dev").mkdir()
        for number in range(devices):
            (self._device(f"vdpa{number}")).mkdir(parents=True)
            (self._device(f"vdpa{number}") / "driver_override").write_text("(null)\n")
            self._bind(f"vdpa{number}", HOST_DRIVER)

    def write(self, path: str, text: str) -> None:
        """What the kernel does with a write to sysfs."""
        number, name = len(self.writes), text.strip()
        self.writes.append((path, text))
        if self.is_dead or (number == self.break_at and not self.after):
            self.fail()
        if path.endswith("/driver_override"):
            (self.root / path).write_text(f"{name or '(null)'}\n")
        elif path.endswith("/driver/unbind"):
            self._unbind(name)
        elif path == "sys/bus/vdpa/drivers_probe":
            self._probe(name)
        else:
            raise OSError(errno.EACCES, "Permission denied")
        if number == self.break_at:
            self.fail()

    def users(self, node: str) -> Sequence[int]:
        """The processes that have the node open."""
        return [4711] if node in self._opened() else []

    def driver(self, name: str) -> str:
        """The driver of that device; empty if it has none."""
        link = self._device(name) / "driver"
        return link.readlink().name if link.is_symlink() else ""

    def state(self) -> dict[str, tuple[str, str, bool]]:
        """Driver, override and node of each device."""
        return {
            device.name: (
                self.driver(device.name),
                (device / "driver_override").read_text(),
                self._node(device.name).exists(),
            )
            for device in sorted((self.root / "sys/bus/vdpa/devices").iterdir())
        }

    def _device(self, name: str) -> Path:
        return self.root / "sys/bus/vdpa/devices" / name

    def _node(self, name: str) -> Path:
        return self.root / "dev" / name.replace("vdpa", "vhost-vdpa-")

    def _bind(self, name: str, driver: str) -> None:
        (self._device(name) / "driver").symlink_to(self.root / "sys/bus/vdpa/drivers" / driver)
        if driver == GUEST_DRIVER:
            self._node(name).touch()

    def _unbind(self, name: str) -> None:
        if not self.driver(name):
            raise OSError(errno.ENODEV, "No such device")
        node = self._node(name)
        assert f"/dev/{node.name}" not in self._opened(), f"unbinding {name} would wait for QEMU (vhost_vdpa_remove)"
        (self._device(name) / "driver").unlink()
        node.unlink(missing_ok=True)

    def _probe(self, name: str) -> None:
        """``driver_match_device``: the override, or the first driver that registered."""
        override = (self._device(name) / "driver_override").read_text().strip()
        if not self.driver(name):
            self._bind(name, HOST_DRIVER if override == "(null)" else override)
