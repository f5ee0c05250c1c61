"""Figure 6: another bridge or network behind a NIC, against what is done without `rebind`: the longest silence of a TCP stream, and the time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import libvirt
from stage import Stage
from table import Row

from tests.real import links, linux_guest, namespace
from tests.real.linux_guest import LinuxGuest
from tests.real.segment import Segment, segment
from tests.real.stream import Stream
from virtnetplug.model.operation import Outcome, Result

NUMBER = 5
MAC = linux_guest.mac(NUMBER)
Way = Callable[[str], None]


@dataclass
class Ground:
    """A Linux guest in one of two bridges, or in the network beside them."""

    guest: LinuxGuest
    around: Segment
    bridges: tuple[str, str]
    network: libvirt.virNetwork
    environment: dict[str, str]

    def run(self, *words: str) -> None:
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr or done.stdout}")

    def ours(self, *words: str) -> None:
        """The whole command, as a process."""
        self.run(str(Path(sys.executable).with_name("virtnetplug")), "rebind", *words)

    def detach_and_attach(self, kind: str, source: str, *, now: str = "") -> None:
        """As it is done by hand: `now` is the kind that the NIC is of."""
        name = self.guest.name
        self.run("virsh", "detach-interface", name, now or kind, "--mac", MAC, "--live")
        self.run("virsh", "attach-interface", name, kind, source, "--mac", MAC, "--model", "virtio", "--live")

    def update(self, bridge: str) -> None:
        """As those do it who know."""
        file = namespace.PLACE / "update.xml"
        file.write_text(_element("bridge", bridge))
        self.run("virsh", "update-device", self.guest.name, str(file), "--live")

    def make_anew(self, bridge: str) -> None:
        links.ip("link", "del", bridge)
        links.ip("link", "add", bridge, "type", "bridge")
        links.ip("link", "set", bridge, "up")
        self.around.join(bridge)

    def restart_network(self) -> None:
        self.network.destroy()
        self.network.create()
        self.around.join(self.network.bridgeName())


@dataclass
class Times:
    """The longest silences and the durations of the rounds of each way, in milliseconds."""

    silences: dict[str, list[float]]
    durations: dict[str, list[float]]


def measure(stage: Stage) -> Iterator[Row]:
    """Rounds of all ways, whose order turns, on one guest with one stream."""
    ground = _ground(stage)
    name = ground.guest.name
    plugger = stage.plugger(stage.libvirtd, "heals")
    bare = Bare(stage.connect(stage.libvirtd), name)
    left, network = ground.bridges[0], ground.network.name()
    with Stream(linux_guest.address(NUMBER)) as stream:
        move = _rounds(
            stage.rounds(20),
            stream,
            {
                "ours": lambda bridge: ground.ours(name, MAC, "--bridge", bridge),
                "detach + attach": lambda bridge: ground.detach_and_attach("bridge", bridge),
                "update-device": ground.update,
            },
            ground.bridges,
        )
        ground.detach_and_attach("bridge", left)
        anew = _rounds(
            stage.rounds(12),
            stream,
            {
                "ours": lambda _: _healed(plugger.heal(bridge=left)),
                "detach + attach": lambda _: bare.swap(_element("bridge", left)),
            },
            before=lambda: ground.make_anew(left),
        )
        ground.detach_and_attach("network", network, now="bridge")
        restarted = _rounds(
            stage.rounds(12),
            stream,
            {
                "ours": lambda _: _healed(plugger.heal(network=network)),
                "detach + attach": lambda _: bare.swap(_element("network", network)),
                "our command": lambda _: ground.ours("--heal", "--network", network),
                "virsh": lambda _: ground.detach_and_attach("network", network),
            },
            before=ground.restart_network,
        )
    stream.check()
    virsh, python = "virsh detach + attach", "libvirt-python detach + attach"
    yield _row("rebind to a bridge, longest silence", virsh, move.silences, most=0.2)
    yield _row("rebind to a bridge, longest silence", "virsh update-device", move.silences, floor="update-device")
    yield _row("rebind to a bridge, whole command", virsh, move.durations)
    yield _row("rebind to a bridge, whole command", "virsh update-device", move.durations, floor="update-device")
    yield _row("heal, bridge made anew, longest silence", python, anew.silences, most=0.2)
    yield _row("heal, bridge made anew, call", python, anew.durations)
    yield _row("heal, network restarted, longest silence", python, restarted.silences, most=0.2)
    yield _row("heal, network restarted, call", python, restarted.durations)
    commands = "our command", "virsh"
    yield _row("heal, network restarted, longest silence, command", virsh, restarted.silences, *commands)
    yield _row("heal, network restarted, whole command", virsh, restarted.durations, *commands)


def _row(
    what: str, floor_is: str, times: dict[str, list[float]], ours: str = "ours", floor: str = "detach + attach",
    *, most: float | None = None,
) -> Row:  # fmt: skip
    return Row(what, floor_is, "ms", times[ours], times[floor], most=most)


def _healed(outcomes: Sequence[Outcome]) -> None:
    if [outcome.result for outcome in outcomes] != [Result.DONE]:
        raise RuntimeError(f"not healed: {outcomes}")


def _element(kind: str, source: str) -> str:
    return (
        f"<interface type='{kind}'><mac address='{MAC}'/><source {kind}='{source}'/><model type='virtio'/></interface>"
    )


class Bare:
    """What a program does that calls libvirt itself, and waits for the guest."""

    def __init__(self, connection: libvirt.virConnect, name: str) -> None:
        self._dom = connection.lookupByName(name)
        self._gone = threading.Event()
        connection.domainEventRegisterAny(
            self._dom, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, lambda *_: self._gone.set(), None
        )

    def swap(self, nic: str) -> None:
        """The NIC with that MAC out, and in again."""
        self._gone.clear()
        self._dom.detachDeviceFlags(nic, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        if not self._gone.wait(20):
            raise TimeoutError("the NIC is not gone after 20 s")
        self._dom.attachDeviceFlags(nic, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _rounds(
    number: int,
    stream: Stream,
    ways: dict[str, Way],
    bridges: tuple[str, str] = ("", ""),
    *,
    before: Callable[[], None] | None = None,
) -> Times:
    times = Times({name: [] for name in ways}, {name: [] for name in ways})
    names = list(ways)
    turns = 0
    for index in range(-1, number):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            turns += 1
            if before is not None:
                before()
            mark = stream.mark()
            ways[name](bridges[turns % 2])
            spent = time.monotonic() - mark
            stream.wait_flowing()
            if index >= 0:  # the first warms up
                times.silences[name].append(stream.longest_gap(since=mark) * 1000)
                times.durations[name].append(spent * 1000)
            stream.wait_flowing(200)  # until what TCP remembers of it no longer counts
    return times


def _ground(stage: Stage) -> Ground:
    connection = stage.connect(stage.libvirtd)
    around = stage.cleanup.enter_context(segment())
    bridges = (
        stage.cleanup.enter_context(links.bridge("brleft")),
        stage.cleanup.enter_context(links.bridge("brright")),
    )
    network = stage.cleanup.enter_context(links.network(stage.libvirtd, stp=False))
    for name in (*bridges, network.bridgeName()):
        around.join(name)
    place = namespace.PLACE / "rebinds"
    place.mkdir(parents=True)
    guest = linux_guest.start(connection, place, nets=[_element("bridge", bridges[0])])
    stage.cleanup.callback(linux_guest.remove, connection, [guest.uuid])
    environment = {
        **os.environ,
        "VIRTNETPLUG_STATE_DIR": str(stage.state_dir / "rebinds"),
        "LIBVIRT_DEFAULT_URI": "qemu:///system",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as installed: what is imported is compiled already
    return Ground(guest, around, bridges, network, environment)
