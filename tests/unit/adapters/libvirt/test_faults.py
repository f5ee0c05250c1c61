"""What libvirt says when QEMU's monitor is lost, in the words of `src/qemu/qemu_monitor.c`."""

from __future__ import annotations

import libvirt
import pytest

from virtnetplug.adapters.libvirt.faults import translate
from virtnetplug.errors import EmulatorLost


@pytest.mark.parametrize(
    "text",
    [
        "Unable to read from monitor: Connection reset by peer",
        "Unable to write to monitor: Broken pipe",
        "internal error: End of file from qemu monitor (vm='web')",
        "internal error: end of file from qemu monitor",
    ],
)
def test_a_monitor_that_is_lost_is_an_emulator_that_is_lost(text: str) -> None:
    error = libvirt.libvirtError("call failed")
    error.err = (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_QEMU, text, 2, text, None, None, -1, -1)
    assert type(translate(error)) is EmulatorLost
