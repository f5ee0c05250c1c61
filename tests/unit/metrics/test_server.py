"""The metrics over HTTP."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.metrics.journal import DETACH, begin, scripted
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.errors import Refused, UsageError
from virtnetplug.metrics import Server, exposition, serve
from virtnetplug.metrics.server import address_from_text
from virtnetplug.model.operation import OperationState


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def journal(directory: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal.open(directory, read_only=True)
    yield journal
    journal.close()


@pytest.fixture
def server(journal: SqliteJournal) -> Iterator[Server]:
    """One that reads a journal which is not there yet."""
    servers: queue.SimpleQueue[Server] = queue.SimpleQueue()
    thread = threading.Thread(target=serve, args=(journal, "127.0.0.1:0"), kwargs={"ready": servers.put})
    thread.start()
    server = servers.get()
    yield server
    server.stop()
    thread.join()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((server.host, server.port))


def get(server: Server, path: str = "/metrics", **headers: str) -> tuple[int, str, bytes]:
    request = urllib.request.Request(f"http://{server}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_each_scrape_shows_the_journal_as_it_is_then(server: Server, directory: Path) -> None:
    assert b"virtnetplug_detach_pending 0.0" in get(server)[2]
    writer = scripted(directory)
    status, content_type, body = get(server)
    assert (status, body) == (200, exposition(writer))
    assert content_type.startswith("text/plain; version=")
    begin(writer, "more", "detach", DETACH)
    writer.finish("more", OperationState.PENDING, result="pending")
    assert get(server)[2] == exposition(writer) != body
    writer.close()


def test_a_journal_that_cannot_be_read_is_503_with_the_reason_until_it_can(server: Server, directory: Path) -> None:
    directory.mkdir()
    (directory / "journal.db").write_bytes(b"garbage" * 1000)
    for _ in range(2):
        status, content_type, body = get(server)
        assert (status, content_type) == (503, "text/plain; charset=utf-8")
        assert body.startswith(b"journal-broken: the journal ")
        assert b"Traceback" not in body
    (directory / "journal.db").unlink()
    assert get(server)[0] == 200


def test_other_paths_and_methods_are_refused(server: Server) -> None:
    assert get(server, "/")[0] == 404
    assert get(server, "/metrics/../etc/passwd")[0] == 404
    request = urllib.request.Request(f"http://{server}/metrics", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    caught.value.close()
    assert caught.value.code == 405


def test_a_client_that_says_nothing_keeps_nobody_waiting(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("virtnetplug.metrics.server._Handler.timeout", 300)
    with socket.create_connection((server.host, server.port)) as silent:
        assert get(server)[0] == 200
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):  # one that was waited for would have been hung up on
            silent.recv(1)


def test_openmetrics_is_answered_to_who_asks_for_it(server: Server) -> None:
    status, content_type, body = get(server, Accept="application/openmetrics-text; version=1.0.0")
    assert (status, content_type.split(";")[0]) == (200, "application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_every_address_is_listened_to_where_no_host_is_given(journal: SqliteJournal) -> None:
    server = Server(journal, "", 0)
    try:
        for host in ("127.0.0.1", "::1") if socket.has_dualstack_ipv6() else ("127.0.0.1",):
            socket.create_connection(
                (host, server.port),
            ).close()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9977", ("127.0.0.1", 9977)),
        (":9977", ("", 9977)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert address_from_text(text) == address


@pytest.mark.parametrize(
    "text", ["", "9977", "localhost", "host:", "host:-1", "host:65536", "host:٣", "::1:9977", "a:b:1"]
)
def test_what_is_no_address_is_a_usage_error(journal: SqliteJournal, text: str) -> None:
    with pytest.raises(UsageError, match=r"for example 127\.0\.0\.1:9977"):
        serve(journal, text, ready=lambda _: pytest.fail("it listens"))


def test_a_port_in_use_is_refused_with_the_remedy(server: Server, journal: SqliteJournal) -> None:
    with pytest.raises(Refused, match=f"cannot listen on {server}: another process listens there") as caught:
        serve(journal, str(server))
    assert caught.value.reason == "listen-failed"


def test_an_address_of_another_machine_is_refused(journal: SqliteJournal) -> None:
    with pytest.raises(Refused, match="this machine has no such address"):
        serve(journal, "192.0.2.1:0")


SERVE = """
import pathlib, sys
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.metrics import serve
journal = SqliteJournal.open(pathlib.Path(sys.argv[1]), read_only=True)
serve(journal, "127.0.0.1:0", ready=lambda server: print(server, flush=True))
journal.close()
print("stopped")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(directory: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(directory)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"http://{address}/metrics") as answer:
            assert answer.status == 200
        os.kill(process.pid, number)
        said, complaints = process.communicate()
    assert (process.returncode, said, complaints) == (0, "stopped\n", "")
