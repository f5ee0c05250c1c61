"""SIGINT, SIGTERM and SIGHUP to the real command: what it says, the journal and the guest agree."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real.command import Answer, Command, finish
from tests.real.daemon import Daemon
from tests.real.guests import Guest
from tests.real.test_processes import wait_for
from virtnetplug.adapters.daemon import key_from_uri
from virtnetplug.adapters.sqlite import SqliteJournal

pytestmark = pytest.mark.driver("daemon")

Start = Callable[..., Guest]
Bridge = Callable[..., str]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ASKED = "waiting for the guest to let go"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has a signal come inside an fsync of a process that preloads it."""
    source, built = Path(__file__).with_name("signal_in_fsync.c"), tmp_path_factory.mktemp("library") / "signal.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", built, source, "-ldl"], check=True)
    return built


@pytest.mark.parametrize("number", SIGNALS)
def test_while_a_guest_is_waited_for(command: Command, guest: Start, bridge: Bridge, number: signal.Signals) -> None:
    one = guest()
    command("attach", one.name, "--bridge", bridge(), "--alias", "ua-a", "--persistent")
    one.hold()
    process = command.start("detach", one.name, "ua-a", "--persistent", "--wait", "600", "-v", "--json")
    wait_for(process, ASKED)
    process.send_signal(number)
    answer = finish(process)
    assert answer.code == 128 + number and "Traceback" not in answer.err
    assert (answer.document["result"], answer.document["reason"]) == ("interrupted", "interrupted")
    assert "virtnetplug recover" in answer.document["message"]
    (record,) = command.json("history", one.name, "--limit", "1").document["operations"]
    assert (record["state"], record["reason"]) == ("pending", "interrupted")
    assert one.aliases() == ["ua-a"]
    one.resume()
    command("recover", one.name, "--wait", "30")
    assert one.aliases() == [] and command("recover").out == "nothing to recover\n"


def test_while_another_operation_is_waited_for(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    command("list", one.name)  # for the journal's directory
    with SqliteJournal.open(command.state).lock(str(key_from_uri(command.uri)), one.uuid):
        process = command.start("attach", one.name, "--bridge", switch, "-v")
        wait_for(process, "another operation is working on domain")
        process.send_signal(signal.SIGTERM)
        answer = finish(process)
    assert answer.code == 143 and "nothing of it was touched" in answer.err
    assert one.aliases() == [] and command.json("history", one.name).document["operations"] == []


def test_while_a_recovery_waits(command: Command, guest: Start, bridge: Bridge) -> None:
    one = guest()
    command("attach", one.name, "--bridge", bridge(), "--alias", "ua-a")
    one.hold()
    command("detach", one.name, "ua-a", "--wait", "0.1", code=75)
    process = command.start("recover", one.name, "--wait", "600", "-v")
    wait_for(process, ASKED)
    process.send_signal(signal.SIGHUP)
    answer = finish(process)
    assert answer.code == 129 and "virtnetplug recover" in answer.err
    one.resume()
    command("recover", one.name, "--wait", "30")
    assert one.aliases() == []


@pytest.mark.parametrize("asked", ["attach", "detach"])
def test_inside_each_fsync_of_the_journal(
    command: Command, guest: Start, bridge: Bridge, library: Path, tmp_path: Path, asked: str
) -> None:
    one, switch = guest(), bridge()
    attach = ("attach", one.name, "--bridge", switch, "--alias", "ua-a", "--persistent")
    detach = ("detach", one.name, "ua-a", "--persistent", "--wait", "30")
    words, opposite = (attach, detach) if asked == "attach" else (detach, attach)
    if asked == "detach":
        command(*attach)
    ends = []
    for number, answer in _interrupted(command, library, tmp_path, words):
        operations = command.json("history", one.name, "--limit", "1").document["operations"]
        state = next((each["state"] for each in operations if each["operation"] == asked), "")
        what = (number, answer, state)
        assert answer.code in (0, 128 + number), what
        message = answer.document["message"]
        if answer.code == 0:
            assert state == "done", what
        elif "virtnetplug recover" in message:
            assert state == "pending", what
            command("recover", one.name, "--wait", "30")
        else:
            assert state in ("undone", "") and ("was undone" in message or "touched" in message), what
        is_done = answer.code == 0 or state == "pending"
        assert (one.aliases() == ["ua-a"]) == (is_done == (asked == "attach")), what
        assert command("recover").out == "nothing to recover\n", what
        if is_done:
            command(*opposite)
        ends.append(answer.code)
    assert ends[-1] == 0 and ends[0] != 0 and len(ends) > 3, ends
    command("audit")


def _interrupted(
    command: Command, library: Path, directory: Path, words: tuple[str, ...]
) -> Iterator[tuple[int, Answer]]:
    """The command with a signal in its first fsync, in its second one, and so on: the signal and the answer, while there is such an fsync."""
    for at in itertools.count(1):
        number, mark = SIGNALS[at % 3], directory / f"mark-{at}"
        answer = finish(
            command.start(
                "--json", *words,
                LD_PRELOAD=str(library), SIGNAL_AT=str(at), SIGNAL_NUMBER=str(int(number)), SIGNAL_MARK=str(mark),
            )
        )  # fmt: skip
        if not mark.exists():
            assert answer.code == 0 and json.loads(answer.out)["result"] == "done"
            return
        yield number, answer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_while_a_daemon_that_hangs_is_connected_to(
    command: Command, mortal_libvirtd: Daemon, number: signal.Signals
) -> None:
    os.kill(mortal_libvirtd.pid, signal.SIGSTOP)
    try:
        process = command.start("list")
        assert process.stderr is not None and "connecting" in process.stderr.readline()
        process.send_signal(number)
        answer = finish(process)
    finally:
        os.kill(mortal_libvirtd.pid, signal.SIGCONT)
    assert answer.code == 128 + number and "nothing was touched" in answer.err
