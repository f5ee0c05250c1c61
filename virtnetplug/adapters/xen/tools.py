"""Xen's own programs: the tools of xenstore (package xenstore-utils), and ``xl``, for the vifs that libvirt's Xen driver has lost sight of.

The tools of xenstore are of the same source as the xenstored they talk to. Why not a library: docs/decisions.md.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from virtnetplug.errors import XenStoreFailed

ANSWER_SECONDS = 20.0
"""How long one answer may take. Without a xenstored the tools wait for ever: they then ask the kernel, which waits for a xenstored."""

DONE_SECONDS = 120.0
"""How long one command may take. libxl waits 10 s for a backend, forces it, waits again, and gives each hotplug script 40 s."""

NO_SCRIPT = "/bin/true"
"""A hotplug script that puts a vif nowhere: its backend waits for ever for the script's answer."""

_LISTINGS = 5
"""How often a listing is tried in which something was removed."""

_LINE = re.compile(r'(?P<path>/[^ :]*)(?: = "(?P<value>.*)"|:)')
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|([0-7]{3})|(.))")
_LETTERS = {"t": "\t", "n": "\n", "r": "\r"}

Done = subprocess.CompletedProcess[str]
Run = Callable[[Sequence[str]], Done]


def run_program(words: Sequence[str], package: str, seconds: float, late: str) -> Done:
    """Run a program of `package` to its end. Raises `XenStoreFailed` if it is not installed, or, with the message `late`, if it does not end."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=seconds,
            process_group=0,
        )
    except FileNotFoundError:
        raise XenStoreFailed(f"'{words[0]}' is not installed. Install {package}.") from None
    except subprocess.TimeoutExpired:
        raise XenStoreFailed(late) from None


def run_tool(words: Sequence[str]) -> Done:
    """Run a tool of xenstore's to its end. Raises `XenStoreFailed` if the tool is not there, or xenstore does not answer."""
    late = (
        f"xenstore has not answered for {ANSWER_SECONDS:g} s. Check that xenstored runs; if it has ended, only a "
        "reboot of the host starts it again."
    )
    return run_program(words, "xenstore-utils", ANSWER_SECONDS, late)


class Tools:
    """xenstore as paths with values. Every method raises `XenStoreFailed` if xenstore cannot be asked."""

    def __init__(self, run: Run = run_tool) -> None:
        self._run = run

    def tree(self, path: str) -> Mapping[str, str | None]:
        """The values of all nodes below `path`, by the rest of their paths; empty if there is no such path.

        None is the value of a node that was removed during the listing or may not be read. ``xenstore-ls`` reads node by node: the answer
        is no snapshot.
        """
        for _ in range(_LISTINGS):
            done = self._run(["xenstore-ls", "-f", path])
            if done.returncode == 0:
                return dict(_nodes(done.stdout, path))
            if "No such file or directory" not in done.stderr:
                break
            if f"({path})" in done.stderr:
                return {}
        raise _failed(f"{path} cannot be listed", done)

    def children(self, path: str) -> frozenset[str]:
        """Names of the nodes directly below `path`; empty if there is no such path."""
        done = self._run(["xenstore-list", path])
        if done.returncode and "could not list path" not in done.stderr:
            raise _failed(f"{path} cannot be listed", done)
        return frozenset(done.stdout.split())

    def read(self, path: str) -> str | None:
        """The value of one node; None if there is no such node."""
        done = self._run(["xenstore-read", path])
        if done.returncode and "couldn't read path" not in done.stderr:
            raise _failed(f"{path} cannot be read", done)
        return None if done.returncode else done.stdout.removesuffix("\n")

    def write(self, path: str, value: str) -> None:
        """Write the value of one node; the tool would take a backslash for the beginning of an escape."""
        done = self._run(["xenstore-write", path, value.replace("\\", "\\\\")])
        if done.returncode:
            raise _failed(f"{path} cannot be written", done)

    def remove(self, path: str) -> None:
        """Remove a node and all below it; nothing if it is not there. The tool reports a node that is not there like a node that cannot be removed."""
        done = self._run(["xenstore-rm", path])
        above, _, name = path.rpartition("/")
        if done.returncode and name in self.children(above):
            raise _failed(f"{path} cannot be removed", done)


def _nodes(listing: str, path: str) -> Iterator[tuple[str, str | None]]:
    for line in listing.splitlines():
        if (found := _LINE.fullmatch(line)) and found["path"].startswith(f"{path}/"):
            value = found["value"]
            yield found["path"][len(path) + 1 :], None if value is None else _ESCAPE.sub(_unescaped, value)


def _unescaped(found: re.Match[str]) -> str:
    """``sanitise_value`` in ``xenstore_client.c``, backwards."""
    hexadecimal, octal, letter = found.groups()
    if hexadecimal or octal:
        return chr(int(hexadecimal, 16) if hexadecimal else int(octal, 8))
    return _LETTERS.get(letter, letter)


def _failed(what: str, done: Done) -> XenStoreFailed:
    words = done.stderr.strip().removeprefix(f"{done.args[0]}: ") or f"code {done.returncode}"
    is_refused = "Permission denied" in done.stderr
    remedy = "Run this as root." if is_refused else "Check that this is a Xen host's dom0, and that xenstored runs."
    return XenStoreFailed(f"{what} ({words}). {remedy}")


class ToolWatch:
    """The output of ``xenstore-watch``; made by `watch`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._pipe = process.stdout.fileno()
        self._pending = b""

    def next(self, timeout: float) -> bool:
        return bool(self.read(timeout))

    def read(self, timeout: float) -> list[str]:
        """The paths that changed. Raises `XenStoreFailed` if the tool has ended."""
        deadline = time.monotonic() + timeout
        while select.select([self._pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            data = os.read(self._pipe, 65536)
            if not data:
                raise XenStoreFailed("xenstore-watch has ended. Check that xenstored runs.")
            *lines, self._pending = (self._pending + data).split(b"\n")
            if lines:
                return [line.decode(errors="replace") for line in lines]
        return []


@contextmanager
def watch(paths: Sequence[str]) -> Iterator[ToolWatch]:
    """Watch all that is below `paths`, which need not exist; returns once no change can be missed.

    xenstored reports each path once, as soon as its watch is set. Raises `XenStoreFailed`.
    """
    try:
        process = subprocess.Popen(
            ["xenstore-watch", *paths],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
    except FileNotFoundError:
        raise XenStoreFailed("'xenstore-watch' is not installed. Install xenstore-utils.") from None
    with process:  # if this process is killed, xenstore-watch ends with the next change it reports
        try:
            changes = ToolWatch(process)
            unset = set(paths)
            deadline = time.monotonic() + ANSWER_SECONDS
            while unset:
                reported = changes.read(deadline - time.monotonic())
                if not reported:
                    raise XenStoreFailed(
                        f"xenstore has set no watch for {ANSWER_SECONDS:g} s. Check that xenstored runs."
                    )
                unset.difference_update(reported)
            yield changes
        finally:
            process.kill()


def run_xl(words: Sequence[str]) -> Done:
    """Run a command to its end. Raises `XenStoreFailed` if the program is not there or does not end."""
    late = f"'{' '.join(words)}' has not ended within {DONE_SECONDS:g} s"
    return run_program(words, "xen-utils-common", DONE_SECONDS, late)


class Toolstack:
    """libxl as its command line has it, which works on the same records in xenstore as libvirt's driver."""

    def __init__(self, run: Run = run_xl) -> None:
        self._run = run

    def remove(self, domain_id: int, number: int) -> None:
        """``xl network-detach``: by force, after 10 s, where the guest does not release the vif. Raises `XenStoreFailed` if the vif stays."""
        self._do(["xl", "network-detach", str(domain_id), str(number)])

    def add_placeholder(self, domain_id: int, mac: str) -> None:
        """Add a vif with this MAC that never connects: libvirt forgets a NIC only if there is something to remove."""
        self._do(["xl", "network-attach", str(domain_id), f"mac={mac}", f"script={NO_SCRIPT}"])

    def _do(self, words: Sequence[str]) -> None:
        done = self._run(words)
        if done.returncode:
            errors = done.stderr.strip().splitlines() or [f"code {done.returncode}"]
            raise XenStoreFailed(f"'{' '.join(words)}' failed: {errors[-1]}")
