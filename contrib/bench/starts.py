"""What a connection costs: `open` to the end of the first call, and the memory of each `Plugger`, against libvirt-python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import libvirt
from single import timed
from stage import Stage
from table import Row

import virtnetplug

PLUGGERS = 50

_MEMORY = f"""
import gc, pathlib, sys
import libvirt, virtnetplug
from virtnetplug.adapters.libvirt import loop
uri, state_dir, name, which = sys.argv[1:]
loop.start()

def size():
    gc.collect()
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])

def ours():
    plugger = virtnetplug.open(uri, state_dir=pathlib.Path(state_dir))
    plugger.list(name)
    return plugger

def floor():
    connection = libvirt.open(uri)
    domain = connection.lookupByName(name)
    domain.XMLDesc(0), domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    return connection

make = ours if which == "ours" else floor
kept = [make()]
before = size()
kept += [make() for _ in range({PLUGGERS})]
print((size() - before) / {PLUGGERS})
"""


def measure(stage: Stage) -> Iterator[Row]:
    uri = stage.libvirtd
    name = stage.guests(stage.connect(uri), "starts", 1)[0].name
    state_dir = stage.state_dir / "starts"

    def ours() -> None:
        with virtnetplug.open(uri, state_dir=state_dir) as plugger:
            plugger.list(name)

    def floor() -> None:
        connection = libvirt.open(uri)
        domain = connection.lookupByName(name)
        domain.XMLDesc(0)
        domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        connection.close()

    yield Row("open() to the end of the first list", "libvirt-python", "ms", *_pairs(ours, floor, stage.rounds(60)))

    def memory(which: str) -> float:
        command = [sys.executable, "-c", _MEMORY, uri, str(state_dir), name, which]
        return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)

    sizes = [(memory("ours"), memory("floor")) for _ in range(3)]
    yield Row("memory of each Plugger", "a virConnect", "KiB", *map(list, zip(*sizes, strict=True)))


def _pairs(ours: Callable[[], object], floor: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(-2, rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            spent = timed((ours, floor)[which])
            if number >= 0:
                times[which].append(spent)
    return times
