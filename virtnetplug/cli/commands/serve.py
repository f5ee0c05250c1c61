"""``virtnetplug serve``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, render
from virtnetplug.cli.output import write
from virtnetplug.cli.session import Session

DEFAULT = "127.0.0.1:9977"


@options.command("serve", epilog="Examples:\n  virtnetplug serve\n  virtnetplug serve --listen '[::1]:9977'")
@click.option("--listen", default=DEFAULT, metavar="HOST:PORT", help=f"Address to listen on (default {DEFAULT}).")
@click.pass_obj
def command(session: Session, listen: str) -> None:
    """Answer Prometheus at /metrics, computed from the journal at each scrape.

    -c also looks at the host: at its SR-IOV devices, and on Xen at the states of vifs. The server ends on SIGTERM or Ctrl-C, with exit code 0.
    """
    from virtnetplug.metrics import Server, serve

    def ready(server: Server) -> None:
        if session.is_json:
            session.write_document(render.document("serving", listen=str(server)))
        else:
            write(f"serving http://{server}/metrics\n")

    with session.journal() as journal, session.looks() as looks:
        serve(journal, listen, ready=ready, **looks)
