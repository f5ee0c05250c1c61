"""Two processes do anything at random to one real guest, and are killed now and then: in the end libvirt, the host and the journal agree.

``VIRTNETPLUG_SOAK=1000`` runs that many operations; ``--seed`` says which.
"""

from __future__ import annotations

import collections
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.environment import environment
from tests.real import links
from tests.real.command import Command
from tests.real.guests import Guest

pytestmark = pytest.mark.driver("daemon")

OPERATIONS = int(os.environ.get("VIRTNETPLUG_SOAK", "60"))
BETWEEN = 30
"""Operations of both processes between two looks at whether all agrees."""

WORKER = """
import pathlib, random, sys, virtnetplug
from virtnetplug.errors import VirtnetplugError
uri, state, domain, seed, *bridges = sys.argv[1:]
draw = random.Random(int(seed))
def one(plugger):
    number, scope = draw.randrange(3), draw.choice([None, virtnetplug.Scope.LIVE, virtnetplug.Scope.BOTH])
    alias, wait = f"ua-soak{number}", draw.choice([0.0, 2.0, 30.0])
    element = (
        f"<interface type='bridge'><mac address='52:54:00:5a:00:0{number}'/><source bridge='{draw.choice(bridges)}'/>"
        f"<model type='virtio'/><alias name='{alias}'/></interface>"
    )
    what = draw.choice(["attach", "attach", "detach", "detach", "update", "replace", "rebind", "recover"])
    if what == "attach":
        return what, plugger.attach(domain, [element], scope=scope, wait=wait).result.value
    if what == "detach":
        return what, plugger.detach(domain, alias, scope=scope, wait=wait).result.value
    if what == "update":
        changes = {"link_state": draw.choice(["up", "down"])}
        return what, plugger.update(domain, alias, changes, scope=scope, wait=wait).result.value
    if what == "replace":
        changes = {"mtu": draw.choice([1400, 1450])}
        return what, plugger.update(domain, alias, changes, scope=scope, replace=True, wait=wait).result.value
    if what == "rebind":
        return what, plugger.rebind(domain, alias, {"source_bridge": draw.choice(bridges)}, wait=wait).result.value
    return what, " ".join(outcome.result.value for outcome in plugger.recover(wait=wait)) or "nothing"
with virtnetplug.open(uri, state_dir=pathlib.Path(state)) as plugger:
    for line in sys.stdin:
        try:
            what, said = one(plugger)
        except VirtnetplugError as error:
            what, said = "error", f"{error.exit_code} {error.reason}"
        print(what, said, flush=True)
"""


class _Worker:
    """A process that does one operation for each line that it is given."""

    def __init__(self, command: Command, name: str, seed: int, bridges: tuple[str, str]) -> None:
        words = [sys.executable, "-c", WORKER, command.uri, str(command.state), name, str(seed), *bridges]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), bufsize=1
        )

    def do(self) -> str | None:
        """What came of the next one; None of a process that was killed in it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        return self.process.stdout.readline().strip() or None

    def close(self) -> None:
        self.process.kill()
        with suppress(BrokenPipeError), self.process:  # what it was told last it may not have read
            pass


def test_two_processes_that_are_killed_now_and_then(
    command: Command,
    guest: Callable[..., Guest],
    bridge: Callable[..., str],
    request: pytest.FixtureRequest,
) -> None:
    seed = request.config.getoption("--seed")
    draw, one, bridges = random.Random(seed), guest(), (bridge(), bridge())
    said: collections.Counter[str] = collections.Counter()
    killed, done, started = 0, 0, 0
    while done < OPERATIONS:
        workers = [_Worker(command, one.name, seed * 1_000_000 + started + number, bridges) for number in range(2)]
        started += len(workers)
        count = min(BETWEEN, OPERATIONS - done)
        victim = draw.choice([*workers, None])
        answers: list[str | None] = []

        def work(worker: _Worker, share: int, answers: list[str | None] = answers) -> None:
            answers.extend(worker.do() for _ in range(share))

        threads = [threading.Thread(target=work, args=(worker, count // 2)) for worker in workers]
        for thread in threads:
            thread.start()
        if victim is not None:
            threads[0].join(draw.uniform(0.2, 3.0))
            victim.process.send_signal(signal.SIGKILL)
            killed += 1
        for thread in threads:
            thread.join()
        for worker in workers:
            worker.close()
        done += count
        said.update(answer for answer in answers if answer is not None)
        _assert_agree(command, one, bridges, f"seed {seed}, after {done} operations, {killed} kills: {said}")
    print(f"{done} operations, {killed} kills: {dict(said)}")
    assert not any(answer.startswith("error 70") for answer in said), said
    assert sum(count for answer, count in said.items() if answer.endswith("done")) >= OPERATIONS // 6, said


def _assert_agree(command: Command, one: Guest, bridges: tuple[str, str], what: str) -> None:
    command.json("recover", "--wait", "600")
    assert command.json("recover").document["operations"] == [], what
    findings = json.loads(command.run("--json", "audit").out)["findings"]
    # an operation of the live half alone leaves the other one as it is: that is what was asked for
    assert [each for each in findings if each["kind"] != "config-differs"] == [], what
    live = {nic["alias"] for nic in command.json("list", one.name).document["nics"] if nic["live"]}
    assert live == set(one.aliases()), what
    assert sum(len(links.members(switch)) for switch in bridges) == len(live), what
