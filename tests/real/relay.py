"""A unix socket behind a TCP port, as another host's daemon would be."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.real import links

HOST = "192.0.2.1"
"""Not the loopback's: beside a link with an IPv6 address alone, getaddrinfo(3) would find no IPv4 one (AI_ADDRCONFIG)."""


@contextmanager
def listening(target: Path) -> Iterator[tuple[str, int]]:
    """Host and port of a server that hands each connection on to the socket `target`."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as inner:
                inner.connect(str(target))
                back = threading.Thread(target=_copy, args=(inner, self.request), daemon=True)
                back.start()
                _copy(self.request, inner)
                back.join()

    links.ip("address", "add", f"{HOST}/32", "dev", "lo")
    try:
        with socketserver.ThreadingTCPServer((HOST, 0), Handler) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            yield HOST, server.server_address[1]
            server.shutdown()
    finally:
        links.ip("address", "del", f"{HOST}/32", "dev", "lo")


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Until the end of what `source` says, which is then said to `target`."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
