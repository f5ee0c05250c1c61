"""A backend that virtnetplug does not have: a vDPA device of the host, ``<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/>``.

The host uses the device as a NIC of its own (driver ``virtio_vdpa``) until a guest gets it. Then ``vhost_vdpa`` drives the device, and
makes the node that QEMU opens. The device's ``driver_override`` says that it was this backend that bound it. Nothing else is kept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from virtnetplug.backends import Backend, Ground, Order, Steps
from virtnetplug.errors import HostDeviceFailed
from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.audit import Finding
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase, Refusal
from virtnetplug.ports.domain import Domain

GUEST_DRIVER = "vhost_vdpa"


class Kernel:
    """The vdpa bus in sysfs, and the nodes of its devices."""

    root = Path("/")

    def write(self, path: str, text: str) -> None:
        """Write to a file of sysfs; raises `OSError`."""
        (self.root / path).write_text(text)

    def users(self, node: str) -> Sequence[int]:
        """The processes that have the node open."""
        found = []
        for link in self.root.glob("proc/[0-9]*/fd/*"):
            if link.is_symlink() and str(link.readlink()) == node:
                found.append(int(link.parts[-3]))
        return found


class Vdpa(Backend):
    """Actual type ``vdpa``."""

    plug_steps = (("bind_vhost_vdpa", Phase.PLUG),)
    attach_step = "attach_vdpa"
    release_step = "return_vdpa"
    updatable = ()
    migrates = False
    locks_memory = True
    audited_types = frozenset({"vdpa"})
    kernel = Kernel()

    def serves(self, actual: ActualDevice) -> bool:
        """See `Backend.serves`."""
        return actual.type == "vdpa"

    def refusals(
        self, ground: Ground, net: Interface, actual: ActualDevice, leaving: Interface | None = None
    ) -> Sequence[Refusal]:
        """See `Backend.refusals`."""
        name, node = net.alias or "the NIC", net.source_dev or ""
        if not self._device(node).is_dir():
            why = f"{name} cannot be connected: this host has no vDPA device for {node}; 'vdpa dev show' lists those there are."
            return [Refusal(reason="host-device-missing", nic=name, message=why)]
        if (users := self.kernel.users(node)) and (leaving is None or leaving.source_dev != node):
            why = f"{name} cannot be connected: process {min(users)} has {node} open."
            return [Refusal(reason="host-device-busy", nic=name, message=why)]
        return ()

    def plug(self, ground: Ground, order: Order, steps: Steps) -> Interface:
        """See `Backend.plug`."""
        node = order.net.source_dev or ""
        steps.effect("bind_vhost_vdpa", order.net.alias or "", lambda: self._bind(node), half=Half.LIVE)
        return order.net

    def unplug(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[str]:
        """See `Backend.unplug`."""
        node = net.source_dev or ""
        device = self._device(node)
        if not device.is_dir() or (self._driver(device) and self._override(device) != GUEST_DRIVER):
            return ()
        if users := self.kernel.users(node):  # the kernel would wait for them
            return [f"{node} is not returned to the host: process {min(users)} has it open"]
        self._write([("driver/unbind", device.name)] if self._driver(device) else [], device)
        self._write([("driver_override", "\n"), ("../../drivers_probe", device.name)], device)
        return ()

    def probe(self, ground: Ground, net: Interface) -> State | None:
        """See `Backend.probe`."""
        if not ground.hypervisor.is_local or not self._device(net.source_dev or "").is_dir():
            return None
        return (
            State.CONNECTED if self._driver(self._device(net.source_dev or "")) == GUEST_DRIVER else State.INITIALISED
        )

    def findings(self, ground: Ground, domain: Domain, net: Interface) -> Sequence[Finding]:
        """See `Backend.findings`."""
        node, device = net.source_dev or "", self._device(net.source_dev or "")
        if device.is_dir() and self._driver(device) == GUEST_DRIVER:
            return []
        message = f"{node}, which {net.alias} of {domain.name} has, is not on {GUEST_DRIVER} any more."
        who = {"domain": domain.name, "domain_uuid": domain.uuid, "nic": net.alias or "", "device": node}
        return [Finding(kind="device-driver", message=message, remedy="Detach the NIC and attach it again.", **who)]

    def end_of(self, net: Interface) -> str:
        """See `Backend.end_of`."""
        return net.source_dev or ""

    def is_driven(self, ground: Ground, domain: Domain, net: Interface) -> bool:
        """See `Backend.is_driven`."""
        return bool(self.kernel.users(net.source_dev or ""))

    def _device(self, node: str) -> Path:
        number = re.fullmatch(r"/dev/vhost-vdpa-(\d+)", node)
        return self.kernel.root / f"sys/bus/vdpa/devices/vdpa{number[1] if number else '-none'}"

    def _driver(self, device: Path) -> str:
        link = device / "driver"
        return link.readlink().name if link.is_symlink() else ""

    def _bind(self, node: str) -> None:
        device = self._device(node)
        if self._driver(device) == GUEST_DRIVER:
            return
        self._write([("driver_override", GUEST_DRIVER)], device)
        self._write([("driver/unbind", device.name)] if self._driver(device) else [], device)
        self._write([("../../drivers_probe", device.name)], device)

    def _override(self, device: Path) -> str:
        return (device / "driver_override").read_text().strip()

    def _write(self, files: Sequence[tuple[str, str]], device: Path) -> None:
        try:
            for name, text in files:
                self.kernel.write(os.path.normpath(f"sys/bus/vdpa/devices/{device.name}/{name}"), text)
        except OSError as error:
            raise HostDeviceFailed(f"{device.name} cannot be given another driver: {error.strerror}") from error


backend = Vdpa()
