"""``virtnetplug serve``."""

from __future__ import annotations

import signal
import sys

import click

from virtnetplug.cli import options, render
from virtnetplug.cli.session import Session, write
from virtnetplug.errors import UsageError

DEFAULT = "127.0.0.1:9977"


@options.command("serve", epilog="Examples:\n  virtnetplug serve\n  virtnetplug serve --listen '[::1]:9977'")
@click.option("--listen", default=DEFAULT, metavar="HOST:PORT", help=f"Address to listen on (default {DEFAULT}).")
@click.pass_obj
def command(session: Session, listen: str) -> None:
    """Answer Prometheus at /metrics, computed from the journal at each scrape.

    It ends, with exit code 0, on SIGTERM or Ctrl-C.
    """
    host, port = address_from_text(listen)
    from virtnetplug.metrics import serve

    def ready(address: str) -> None:
        if session.is_json:
            session.write_document(render.document("serving", listen=address))
        else:
            write(sys.stdout, f"serving http://{address}/metrics\n")

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with session.journal() as journal:
        try:
            serve(journal, host, port, ready)
        except KeyboardInterrupt:
            return
        except OSError as error:
            raise UsageError(f"Nothing can listen on {listen}: {error.strerror}; choose another --listen.") from error


def address_from_text(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, ``[IPv6]:PORT`` or ``:PORT`` (every address); raises `UsageError`."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535 or (":" in bare and bare == host):
        raise UsageError(f"--listen is HOST:PORT, as {DEFAULT} or [::1]:9977, not '{text}'.")
    return bare, int(port)
