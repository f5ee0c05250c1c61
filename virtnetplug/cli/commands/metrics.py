"""``virtnetplug metrics``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, render
from virtnetplug.cli.session import Session


@options.command(
    "metrics",
    epilog="Examples:\n  virtnetplug metrics\n  virtnetplug metrics > /var/lib/node_exporter/virtnetplug.prom",
)
@click.pass_obj
def command(session: Session) -> None:
    """Print metrics in Prometheus' text format, computed from the journal; no hypervisor is asked.

    -c also looks at the host: at its SR-IOV devices, and on Xen at the states of vifs.
    """
    from virtnetplug.metrics import exposition

    with session.journal() as journal, session.looks() as looks:
        text = exposition(journal, **looks).decode()
    session.answer(render.document(exposition=text), lambda screen: text)
