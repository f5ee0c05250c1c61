"""xenstore, by its own command line tools (package xenstore-utils): read, written, watched.

They are of the same source as the xenstored they talk to. Why not a library: docs/decisions.md.
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
"""For one answer. Without a xenstored the tools wait for ever, as they then ask the kernel, which waits for it."""

_LISTINGS = 5
"""How often a listing is begun anew in which something was removed."""

_LINE = re.compile(r'(?P<path>/[^ :]*)(?: = "(?P<value>.*)"|:)')
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|([0-7]{3})|(.))")
_LETTERS = {"t": "\t", "n": "\n", "r": "\r"}

Done = subprocess.CompletedProcess[str]
Run = Callable[[Sequence[str]], Done]


def run_tool(words: Sequence[str]) -> Done:
    """Run one to its end. Raises `XenStoreFailed` if it is not there or does not answer."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=ANSWER_SECONDS,
            process_group=0,
        )
    except FileNotFoundError:
        raise XenStoreFailed(f"'{words[0]}' is not installed. Install xenstore-utils.") from None
    except subprocess.TimeoutExpired:
        raise XenStoreFailed(
            f"xenstore has not answered for {ANSWER_SECONDS:g} s. Check that xenstored runs; if it has ended, only a "
            "reboot of the host brings it back."
        ) from None


class Tools:
    """xenstore as paths with values."""

    def __init__(self, run: Run = run_tool) -> None:
        self._run = run

    def tree(self, path: str) -> Mapping[str, str | None]:
        """Everything below `path`, by the part of its path behind that; empty if it is not there.

        None is the value of a node that was removed during the listing or may not be read. ``xenstore-ls`` reads node by node: this is
        no snapshot.
        """
        for _ in range(_LISTINGS):
            done = self._run(["xenstore-ls", "-f", path])
            if done.returncode == 0:
                return dict(_nodes(done.stdout, path))
            if "No such file or directory" not in done.stderr:
                break
            if f"({path})" in done.stderr:
                return {}
        raise XenStoreFailed(f"{path} cannot be listed ({_said(done)}). {_remedy(done)}")

    def children(self, path: str) -> frozenset[str]:
        """Names of the nodes directly below `path`; empty if it is not there."""
        done = self._run(["xenstore-list", path])
        if done.returncode and "could not list path" not in done.stderr:
            raise XenStoreFailed(f"{path} cannot be listed ({_said(done)}). {_remedy(done)}")
        return frozenset(done.stdout.split())

    def read(self, path: str) -> str | None:
        """The value of one node; None if it is not there."""
        done = self._run(["xenstore-read", path])
        if done.returncode and "couldn't read path" not in done.stderr:
            raise XenStoreFailed(f"{path} cannot be read ({_said(done)}). {_remedy(done)}")
        return None if done.returncode else done.stdout.removesuffix("\n")

    def write(self, values: Mapping[str, str]) -> None:
        """Write them, all in one transaction if there are several."""
        words = [word for path, value in values.items() for word in (path, _escaped(value))]
        done = self._run(["xenstore-write", *words])
        if done.returncode:
            raise XenStoreFailed(f"{', '.join(values)} cannot be written ({_said(done)}). {_remedy(done)}")

    def remove(self, path: str) -> None:
        """Remove it and all that is below; nothing if it is not there. The tool says the same of what is not there and of what cannot be removed."""
        done = self._run(["xenstore-rm", path])
        above, _, name = path.rpartition("/")
        if done.returncode and name in self.children(above):
            raise XenStoreFailed(f"{path} cannot be removed ({_said(done)}). {_remedy(done)}")


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


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\")


def _said(done: Done) -> str:
    return done.stderr.strip().removeprefix(f"{done.args[0]}: ") or f"code {done.returncode}"


def _remedy(done: Done) -> str:
    if "Permission denied" in done.stderr:
        return "Run this as root."
    return "Check that this is a Xen host's dom0, and that xenstored runs."


class ToolWatch:
    """What ``xenstore-watch`` tells; to be made by `watch`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._pipe = process.stdout.fileno()
        self._pending = b""

    def next(self, timeout: float) -> bool:
        """Wait for a change; all that came by then is told as one. False after `timeout` seconds."""
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
    """Watch all that is below `paths`, which need not be there; returns once no change can be missed.

    xenstored tells of each watch once, at once: that is how it is known to be set. Raises `XenStoreFailed`.
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
    with process:  # one whose parent was killed ends with the next change it has to tell
        try:
            changes = ToolWatch(process)
            unset = set(paths)
            deadline = time.monotonic() + ANSWER_SECONDS
            while unset:
                told = changes.read(deadline - time.monotonic())
                if not told:
                    raise XenStoreFailed(
                        f"xenstore has set no watch for {ANSWER_SECONDS:g} s. Check that xenstored runs."
                    )
                unset.difference_update(told)
            yield changes
        finally:
            process.kill()
