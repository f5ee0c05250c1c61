"""A TCP stream to a guest's echo server: is every byte back, in order, and how long was the silence?

    with Stream(address) as stream:
        mark = stream.mark()
        …                                    # what may disturb it
        stream.wait_flowing()
        gap = stream.longest_gap(since=mark)
        stream.check()                       # no reset, and all that came is what was sent

Blocks of 1 KiB, each with its number and content of its own, go out at a steady pace, so that a lost segment is noticed by those
that follow it, as in any busy connection, and the silence is that of the network, not of a timer.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import select
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType

from tests.real.linux_guest import ECHO
from tests.real.namespace import PATIENCE, wait_until

BLOCK = 1024
PACE = 0.002
"""Seconds between two blocks."""

MOST_UNDERWAY = 256
"""Blocks that are sent and not back yet: half a second's."""


def block(number: int) -> bytes:
    """That block: its number, and content that no other has."""
    return number.to_bytes(8, "big") + random.Random(number).randbytes(BLOCK - 8)


def longest_gap(times: list[float], since: float) -> float:
    """The longest time between two of `times`, from `since` until now, both ends included. Another thread may add to them."""
    later = itertools.takewhile(lambda at: at > since, reversed(times[:]))
    ordered = [since, *sorted(later), time.monotonic()]
    return max(end - start for start, end in itertools.pairwise(ordered))


class Stream:
    """One; it connects again after a reset, and counts that."""

    def __init__(self, address: str, port: int = ECHO, *, pace: float = PACE) -> None:
        self._to = (address, port)
        self._pace = pace
        self._times: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._sent, self._received = hashlib.sha256(), hashlib.sha256()
        self._telling = threading.Lock()
        self.resets = 0
        self.blocks = 0
        """That came back whole, of all connections."""
        self.lost = 0
        """Blocks that had been sent and were not back in the end."""
        self.fault = ""
        """What was wrong with what came back."""

    def __enter__(self) -> Stream:
        wait_until(self._is_answered, f"{self._to[0]} to echo", 30)
        self._thread.start()
        self.wait_flowing()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10 * PATIENCE)

    def mark(self) -> float:
        """This moment."""
        return time.monotonic()

    def longest_gap(self, since: float) -> float:
        """The longest time, in seconds, in which nothing came back: from `since` until now, both ends included."""
        return longest_gap(self._times, since)

    def wait_flowing(self, blocks: int = 20, timeout: float = 20.0) -> None:
        """Wait until so many more blocks have come back, from now on."""
        wanted = self.blocks + blocks
        wait_until(lambda: self.blocks >= wanted or self.fault, "the stream to flow", timeout)

    def check(self) -> None:
        """Fail unless no connection was reset and all that came back is what was sent, in order."""
        assert not self.fault, self.fault
        assert self.resets == 0, f"{self.resets} connections were reset"
        with self._telling:  # it may still run
            assert self._sent.digest() == self._received.digest()

    def _is_answered(self) -> bool:
        try:
            with socket.create_connection(self._to, timeout=0.5 * PATIENCE) as connection:
                connection.sendall(b"?")
                return connection.recv(1) == b"?"
        except OSError:
            return False

    def _run(self) -> None:
        for number in itertools.count():
            try:
                with socket.create_connection(self._to, timeout=5) as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection.setblocking(False)
                    self._converse(connection, number << 32)
                return
            except TimeoutError:
                continue  # nobody answered the connection itself: that is no reset
            except OSError as error:
                if self._stop.is_set():
                    return
                self.resets += 1
                self._last = error

    def _converse(self, connection: socket.socket, first: int) -> None:
        out, back = b"", b""
        sent, received, due = first, first, time.monotonic()
        ends = False
        while not (ends and received == sent and not out):
            # At the end what is underway still comes, unless the guest is gone.
            ends = ends or self._stop.is_set()
            if ends and time.monotonic() > due + 3 * PATIENCE:
                self.lost = sent - received
                return
            if not ends and not out and time.monotonic() >= due and sent - received < MOST_UNDERWAY:
                out, due = block(sent), max(due + self._pace, time.monotonic() - self._pace)
                sent += 1
            wait = max(due - time.monotonic(), 0) if not ends else 0.1
            readable, _, _ = select.select([connection], [connection] if out else [], [], min(wait, 0.1) or 0.001)
            if out:
                with suppress(BlockingIOError):
                    out = out[connection.send(out) :]
            if not readable:
                continue
            data = connection.recv(65536)
            if not data:
                raise ConnectionResetError("the guest closed the connection")
            self._times.append(time.monotonic())
            back += data
            while len(back) >= BLOCK:
                self._take(back[:BLOCK], received)
                back, received = back[BLOCK:], received + 1

    def _take(self, data: bytes, number: int) -> None:
        wanted = block(number)
        with self._telling:
            self._sent.update(wanted)
            self._received.update(data)
        if data != wanted and not self.fault:
            self.fault = f"block {number:#x} came back as {int.from_bytes(data[:8], 'big'):#x} or with other content"
        self.blocks += 1
