"""The stream sees what it is there to see; its guest is up and echoes."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt
import pytest

from tests.real import linux_guest, namespace
from tests.real.namespace import wait_until
from tests.real.segment import segment
from tests.real.stream import BLOCK, Stream, longest_gap

Echo = Callable[[bytes, int], bytes | None]


@contextmanager
def server(answer: Echo) -> Iterator[int]:
    """Gives the port of a server that sends what `answer` makes of what came and of its place in the connection; None resets that."""
    listening = socket.create_server(("127.0.0.1", 0))

    def converse(connection: socket.socket) -> None:
        place = 0
        with connection:
            while data := connection.recv(BLOCK):
                back = answer(data, place)
                if back is None:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                place += len(data)
                connection.sendall(back)

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


@pytest.fixture(autouse=True)
def _in_namespace() -> None:
    namespace.require()


def test_a_stream_that_nothing_disturbs() -> None:
    with server(lambda data, place: data) as port:
        with Stream("127.0.0.1", port) as stream:
            mark = stream.mark()
            stream.wait_flowing(200)
            assert stream.longest_gap(since=mark) < 10
        stream.check()
        assert stream.blocks >= 220


def test_the_longest_silence_is_measured_and_those_before_the_mark_are_not() -> None:
    pauses = iter([0.6, 0.3])
    sleep = threading.Event()

    def answer(data: bytes, place: int) -> bytes:
        if sleep.is_set():
            sleep.clear()
            time.sleep(next(pauses))
        return data

    with server(answer) as port:
        with Stream("127.0.0.1", port) as stream:
            gaps = []
            for _ in range(2):
                mark = stream.mark()
                sleep.set()
                while sleep.is_set():
                    time.sleep(0.01)
                stream.wait_flowing()
                gaps.append(stream.longest_gap(since=mark))
            assert gaps[0] > 0.55
            assert gaps[1] > 0.25
        stream.check()


@pytest.mark.parametrize(("since", "gap"), [(0.0, 10.0), (10.0, 5.0), (12.0, 4.0), (18.0, 3.0)])
def test_silences_before_the_mark_do_not_count_and_the_last_one_does(
    monkeypatch: pytest.MonkeyPatch, since: float, gap: float
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 21.0)
    assert longest_gap([10.0, 15.0, 17.0], since) == gap


def test_a_silence_that_lasts_counts() -> None:
    quiet = threading.Event()

    def answer(data: bytes, place: int) -> bytes:
        while quiet.is_set():
            time.sleep(0.01)
        return data

    with server(answer) as port, Stream("127.0.0.1", port) as stream:
        quiet.set()
        mark = stream.mark()
        wait_until(lambda: stream.longest_gap(since=mark) > 0.25, "a silence that has not ended to count")
        quiet.clear()


@pytest.mark.parametrize("place", [20 * BLOCK + 3, 25 * BLOCK - 1])
def test_a_byte_that_is_not_what_was_sent_is_a_fault(place: int) -> None:
    def answer(data: bytes, start: int) -> bytes:
        if start <= place < start + len(data):
            changed = bytearray(data)
            changed[place - start] ^= 1
            return bytes(changed)
        return data

    with server(answer) as port, Stream("127.0.0.1", port) as stream:
        stream.wait_flowing(20)
    with pytest.raises(AssertionError, match="came back as"):
        stream.check()


def test_a_byte_that_is_missing_is_a_fault() -> None:
    with server(lambda data, place: data[1:] if place == 20 * BLOCK else data) as port:
        with Stream("127.0.0.1", port) as stream:
            stream.wait_flowing(20)
        with pytest.raises(AssertionError, match="came back as"):
            stream.check()


def test_a_reset_is_counted_and_the_stream_goes_on() -> None:
    broken = threading.Event()

    def answer(data: bytes, place: int) -> bytes | None:
        if place > 30 * BLOCK and not broken.is_set():
            broken.set()
            return None
        return data

    with server(answer) as port:
        with Stream("127.0.0.1", port) as stream:
            stream.wait_flowing(100)
            assert stream.resets == 1
        with pytest.raises(AssertionError, match="1 connections were reset"):
            stream.check()


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_linux_guest_echoes_a_stream(
    connection: libvirt.virConnect, place: Path, bridge: Callable[..., str], machine: str
) -> None:
    name = bridge()
    nic = f"<interface type='bridge'><mac address='{linux_guest.mac(5)}'/><source bridge='{name}'/><model type='virtio'/></interface>"
    with segment() as around:
        around.join(name)
        guest = linux_guest.start(connection, place, machine=machine, nets=[nic])  # type: ignore[arg-type]
        try:
            with Stream(linux_guest.address(5)) as stream:
                stream.wait_flowing(300)
            stream.check()
        finally:
            linux_guest.remove(connection, [guest.uuid])
