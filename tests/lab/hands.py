"""What an administrator's hands may do to VFs, behind everybody's back; some of it waits until a guest lets go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import sriov
from tests.real.namespace import wait_until


class Writing:
    """A write to sysfs that may wait for a guest, for ever, and cannot be killed."""

    def __init__(self, place: Path, text: str) -> None:
        self._thread = threading.Thread(target=place.write_text, args=(text,), daemon=True)
        self._thread.start()

    def is_done(self, seconds: float = 0.0) -> bool:
        """Whether it is, after so many seconds at most."""
        self._thread.join(seconds)
        return not self._thread.is_alive()


def set_numvfs(pf: str, number: int) -> Writing:
    """``echo N > sriov_numvfs``."""
    return Writing(sriov.DEVICES / pf / "sriov_numvfs", str(number))


def make_vfs(pf: str, number: int = 4) -> None:
    """Make the VFs of a PF that has none, and wait until each has its driver and its interface."""
    assert set_numvfs(pf, number).is_done(60)
    wait_until(lambda: len(sriov.vfs(pf)) == number and all(map(is_home, sriov.vfs(pf))), f"the VFs of {pf}")


def is_home(vf: str) -> bool:
    """Whether it is the host's, with its link."""
    return sriov.driver(vf) == "igbvf" and len(sriov.net_names(vf)) == 1


def unbind(vf: str) -> Writing:
    """Take it from its driver."""
    return Writing(sriov.DEVICES / vf / "driver/unbind", vf)


def bind(vf: str, driver: str) -> None:
    """Give it to a driver, whatever has it now; ``igbvf`` is its own."""
    (sriov.DEVICES / vf / "driver_override").write_text("\n" if driver == "igbvf" else driver)
    if sriov.driver(vf) is not None:
        assert unbind(vf).is_done(60)
    Path("/sys/bus/pci/drivers_probe").write_text(vf)
    wait_until(lambda: is_home(vf) if driver == "igbvf" else sriov.driver(vf) == driver, f"{vf} to be on {driver}")


@contextmanager
def opened(vf: str) -> Iterator[None]:
    """Have its VFIO group open, as DPDK has, while inside."""
    group = (sriov.DEVICES / vf / "iommu_group").resolve().name
    handle = os.open(f"/dev/vfio/{group}", os.O_RDWR)
    try:
        yield
    finally:
        os.close(handle)
