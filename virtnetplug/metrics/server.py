"""``GET /metrics`` over HTTP, by prometheus_client's own WSGI server."""

from __future__ import annotations

import errno
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from virtnetplug.errors import Refused, UsageError, VirtnetplugError
from virtnetplug.metrics.collector import Look, States, registry
from virtnetplug.ports.store import Journal


class Server:
    """A server that listens: `host` and `port` are where (a port asked for as 0 is the one the kernel gave)."""

    def __init__(
        self, journal: Journal, host: str, port: int, devices: Look | None = None, states: States | None = None
    ) -> None:
        self._stops: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._http = _listen(host, port, self._answer)
        self._app = make_wsgi_app(registry(journal, devices, states))
        self.host, self.port = host, self._http.server_port

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def stop(self) -> None:
        """Make `serve` return; callable from any thread, from a signal handler, and twice."""
        self._stops.put(None)

    def run(self) -> None:
        """Answer until `stop`."""
        thread = threading.Thread(target=self._http.serve_forever, name="metrics", daemon=True)
        thread.start()
        try:
            self._stops.get()
        finally:
            self._http.shutdown()
            thread.join()

    def close(self) -> None:
        """Close the socket; safe twice."""
        self._http.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/metrics":
            return _plain(start_response, "404 Not Found", "The metrics are at /metrics.")
        try:
            body: Iterable[bytes] = self._app(environ, start_response)
        except VirtnetplugError as error:
            return _plain(start_response, "503 Service Unavailable", f"{error.reason}: {error.message}")
        return body


def serve(
    journal: Journal,
    listen: str,
    *,
    ready: Callable[[Server], object] | None = None,
    devices: Look | None = None,
    states: States | None = None,
) -> None:
    """Answer ``GET /metrics`` at `listen` (``host:port``, ``[ipv6]:port``; ``:port`` for every address) until stopped.

    Each scrape shows the journal as it is then; one that cannot be read is answered with 503 and the reason.
    `ready` is called with the `Server` once it listens. In the main thread SIGTERM and SIGINT stop it, too.
    Raises `UsageError` for an address that makes no sense, `Refused` (``listen-failed``) for one that cannot be had.
    """
    server = Server(journal, *address_from_text(listen), devices, states)
    try:
        with _stopped_by_signals(server):
            if ready is not None:
                ready(server)
            server.run()
    finally:
        server.close()


def address_from_text(listen: str) -> tuple[str, int]:
    """Host (empty for every address) and port; raises `UsageError`."""
    host, colon, port = listen.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 0xFFFF or (":" in bare and bare == host):
        raise UsageError(
            f"'{listen}' is no address to listen on; write host:port, [ipv6]:port or :port, for example 127.0.0.1:9977"
        )
    return bare, int(port)


class _Listener(ThreadingWSGIServer):
    """A thread per request; without a host on every address, IPv4 and IPv6 alike."""

    def __init__(self, host: str, port: int, app: Callable[..., Iterable[bytes]]) -> None:
        self._is_everywhere = not host and socket.has_dualstack_ipv6()
        name = "::" if self._is_everywhere else host or "0.0.0.0"  # noqa: S104 - asked for
        self.address_family, *_, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
        super().__init__((str(address[0]), port), _Handler)
        self.set_app(app)

    def server_bind(self) -> None:
        """Bind as `HTTPServer` does, without its DNS look-up of the host's own name, which can take seconds."""
        if self._is_everywhere:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = 30  # seconds a silent client keeps its thread

    def log_message(self, *_: object) -> None:
        """Nothing: a scrape every few seconds is no news."""


def _listen(host: str, port: int, app: Callable[..., Iterable[bytes]]) -> _Listener:
    try:
        return _Listener(host, port, app)
    except OSError as error:
        remedies = {
            errno.EADDRINUSE: "another process listens there; choose another port, or stop that one",
            errno.EACCES: "ports below 1024 are root's; choose a higher one",
            errno.EADDRNOTAVAIL: "this machine has no such address; choose one that 'ip address' shows",
        }
        remedy = remedies.get(error.errno or 0, f"{error.strerror}; choose another address (`listen`)")
        raise Refused(f"cannot listen on {host}:{port}: {remedy}.", reason="listen-failed") from error


def _plain(start_response: Callable[..., Any], status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode() + b"\n"]


@contextmanager
def _stopped_by_signals(server: Server) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: server.stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
