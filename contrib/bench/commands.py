"""Figure 3: whole commands, as processes, from start to exit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from stage import Stage
from table import Row

MAC = "52:54:00:be:00:01"

Command = Sequence[str]


def measure(stage: Stage) -> Iterator[Row]:
    """Rounds of all, whose order turns; a sample is the attaching command and the detaching one, both of them whole."""
    uri = stage.libvirtd
    guest = stage.guests(stage.connect(uri), "command", 1)[0].name
    environment = {
        **os.environ,
        "VIRTNETPLUG_STATE_DIR": str(stage.state_dir / "commands"),
        "LIBVIRT_DEFAULT_URI": "qemu:///system",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as installed: what is imported is compiled already
    pairs = _pairs(guest, stage.bridge)
    times: dict[str, list[float]] = {name: [] for name in pairs}
    names = list(pairs)
    for number in range(-1, stage.rounds(20)):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            spent = sum(_run(command, environment) for command in pairs[name])
            if number >= 0:
                times[name].append(spent)
    live, both = times["virtnetplug"], times["virtnetplug --persistent"]
    yield Row("attach + detach commands, live", "virt-xml --update", "ms", live, times["virt-xml"], most=0.5)
    yield Row("the same, --persistent", "virt-xml --update", "ms", both, times["virt-xml"], most=0.5)
    yield Row("attach + detach commands, live", "virsh --live", "ms", live, times["virsh"], most=4)


def _pairs(guest: str, bridge: str) -> dict[str, tuple[Command, Command]]:
    """What attaches and what detaches; virt-xml changes the running guest and its definition, virsh what its flags name."""
    ours = str(Path(sys.executable).with_name("virtnetplug"))
    attach = (ours, "attach", guest, "--bridge", bridge, "--mac", MAC, "--model", "virtio")
    virt_xml = ("virt-xml", guest, "--update", "--network")
    return {
        "virtnetplug": (attach, (ours, "detach", guest, MAC)),
        "virtnetplug --persistent": ((*attach, "--persistent"), (ours, "detach", guest, MAC, "--persistent")),
        "virsh": (
            ("virsh", "attach-interface", guest, "bridge", bridge, "--mac", MAC, "--model", "virtio", "--live"),
            ("virsh", "detach-interface", guest, "bridge", "--mac", MAC, "--live"),
        ),
        "virt-xml": (
            (*virt_xml, f"bridge={bridge},mac={MAC},model=virtio", "--add-device"),
            (*virt_xml, f"mac={MAC}", "--remove-device"),
        ),
    }


def _run(command: Command, environment: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    spent = (time.perf_counter() - start) * 1000
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr or done.stdout}")
    return spent
