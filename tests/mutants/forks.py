"""Jobs in forks of a process that has imported what tests need, so that none pays for its start; so many at a time."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tests.suites.parts import memory

Work: TypeAlias = Callable[[Path], Any]
"""It is given a directory that is gone after it; what it returns is plain values."""


@dataclass(frozen=True)
class Job:
    """`name` is that of its log. It is killed after `limit` seconds."""

    name: str
    work: Work
    limit: float = math.inf


class Pool:
    """At most `width` jobs at a time. What each says goes to a log in `place`."""

    def __init__(self, place: Path, width: int) -> None:
        self.place, self.width = place, width
        place.mkdir(parents=True, exist_ok=True)

    def log(self, name: str) -> Path:
        """What the job said."""
        return self.place / f"{name}.log"

    def run(self, jobs: Sequence[Job], tell: Callable[[str, Any], None] = lambda name, answer: None) -> dict[str, Any]:
        """The answer of each, None for one that died; `tell` hears of each as it ends. Whatever ends this ends them."""
        answers: dict[str, Any] = {}
        running: dict[int, tuple[Job, float]] = {}
        left = list(jobs)
        with tempfile.TemporaryDirectory(prefix="virtnetplug-mutants-", dir=memory()) as scratch:
            try:
                while left or running:
                    while left and len(running) < self.width:
                        job = left.pop(0)
                        running[self._start(job, Path(scratch))] = job, time.monotonic() + job.limit
                    if (name := _ended(running)) is not None:
                        answers[name] = _answer(Path(scratch) / f"{name}.json")
                        tell(name, answers[name])
            finally:
                for pid in running:
                    with suppress(ProcessLookupError, ChildProcessError):
                        os.killpg(pid, signal.SIGKILL)
                        os.waitpid(pid, 0)
        return answers

    def _start(self, job: Job, scratch: Path) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            os.setpgid(pid, pid)
            return pid
        status = 1
        try:
            os.setpgid(0, 0)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)  # also where the caller ignores it (nohup): tests send it
            signal.signal(signal.SIGINT, signal.default_int_handler)
            log = os.open(self.log(job.name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            own = scratch / job.name
            own.mkdir()
            os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(own / "hypothesis")
            answer = json.dumps(job.work(own))
            (scratch / f"{job.name}.json").write_text(answer)
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may come out of a fork and go on as the process it was made of
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def _ended(running: dict[int, tuple[Job, float]]) -> str | None:
    """Take one of them out whose process has ended, and give its name; those whose time is over are killed."""
    for pid, (job, end) in running.items():
        if os.waitpid(pid, os.WNOHANG)[0]:
            del running[pid]
            return job.name
        if time.monotonic() > end:
            os.killpg(pid, signal.SIGKILL)
    time.sleep(0.02)
    return None


def _answer(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None
