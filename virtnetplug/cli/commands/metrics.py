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

    With -c, the host's SR-IOV devices are looked at as well.
    """
    from virtnetplug.metrics import exposition

    with session.journal() as journal, session.devices() as devices:
        text = exposition(journal, devices).decode()
    session.answer(render.document(exposition=text), lambda screen: text)
