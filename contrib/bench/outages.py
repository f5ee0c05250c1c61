"""Figure 7, inside the SR-IOV lab. It shows how long a guest does not answer pings while a NIC's place is handed over to a VF and back.

Without teaming, against the same by hand (``virsh`` detaches the emulated NIC and attaches the VF with its MAC); with teaming, against without.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stage import Stage
from table import Row

from tests.lab.linux_guest import BACKUP, LinuxGuest
from tests.lab.pings import Pings
from virtnetplug import Plugger

HOST, GUEST, MAC = "10.9.6.1", "10.9.6.3", "52:54:0a:09:06:03"
SETTLING = 6.0
"""Seconds in which an emulated guest within an emulated host has a VF up."""

EMULATED = (
    f"<interface type='bridge'><mac address='{MAC}'/><source bridge='br0'/><model type='virtio'/>"
    "<alias name='ua-front'/></interface>"
)
FAST = "<interface type='network'><source network='pool0'/><alias name='{}'/></interface>"
BY_HAND = f"<interface type='network'><mac address='{MAC}'/><source network='pool0'/></interface>"


def measure(stage: Stage) -> Iterator[Row]:
    """Rounds of all three ways, on one guest."""
    connection = stage.connect(stage.lab)
    guest = LinuxGuest(connection, "q35")
    try:
        with _address():
            guest.wait_answers(guest.address, 60)
            times = _rounds(stage, guest)
    finally:
        guest.destroy()
    yield Row("silence, over, no teaming", "virsh", "ms", times["ours over"], times["virsh over"])
    yield Row("silence, back, no teaming", "virsh", "ms", times["ours back"], times["virsh back"])
    yield Row("silence, over, teaming", "no teaming", "ms", times["team over"], times["ours over"])
    yield Row("silence, back, teaming", "no teaming", "ms", times["team back"], times["ours back"])


def _rounds(stage: Stage, guest: LinuxGuest) -> dict[str, list[float]]:
    plugger = stage.plugger(stage.lab, "outages")
    times: dict[str, list[float]] = {
        f"{way} {where}": [] for way in ("ours", "virsh", "team") for where in ("over", "back")
    }
    files = _files(Path("/run"))
    plugger.attach(guest.name, [EMULATED])
    guest.wait_up(MAC, "virtio_net", 60)
    for _ in range(stage.rounds(10)):
        for way, address, (over, back) in (
            ("ours", GUEST, _ours(plugger, guest, "ua-front", "ua-fast")),
            ("virsh", GUEST, _virsh(guest, files)),
            ("team", guest.address, _ours(plugger, guest, BACKUP, "ua-team")),
        ):
            times[f"{way} over"].append(_silence(address, over))
            times[f"{way} back"].append(_silence(address, back))
    return times


def _silence(address: str, change: Callable[[], object]) -> float:
    """Milliseconds without an answer, from before the change until the guest has had time to see the NIC, and answers."""
    with Pings(address) as pings:
        mark = pings.mark()
        change()
        time.sleep(SETTLING)
        pings.wait_answered(timeout=120)
        return pings.longest_gap(mark) * 1000


def _ours(
    plugger: Plugger, guest: LinuxGuest, emulated: str, fast: str
) -> tuple[Callable[[], object], Callable[[], object]]:
    return (
        lambda: plugger.handover(guest.name, emulated, FAST.format(fast), wait=60),
        lambda: plugger.handback(guest.name, emulated, wait=60),
    )


def _virsh(guest: LinuxGuest, files: dict[str, Path]) -> tuple[Callable[[], object], Callable[[], object]]:
    def swap(come: str, kind: str) -> None:
        _run("virsh", "detach-interface", guest.name, kind, "--mac", MAC, "--live")
        _run("virsh", "attach-device", guest.name, str(files[come]), "--live")

    return lambda: swap("fast", "bridge"), lambda: swap("emulated", "hostdev")


def _files(place: Path) -> dict[str, Path]:
    found = {}
    for name, text in (("fast", BY_HAND), ("emulated", EMULATED)):
        found[name] = place / f"outage-{name}.xml"
        found[name].write_text(text)
    return found


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL)


@contextmanager
def _address() -> Iterator[None]:
    """An address of the host in the network of the NIC that is handed over."""
    _run("ip", "address", "add", f"{HOST}/24", "dev", "br0")
    try:
        yield
    finally:
        _run("ip", "address", "del", f"{HOST}/24", "dev", "br0")
