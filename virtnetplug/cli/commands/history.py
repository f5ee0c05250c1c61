"""``virtnetplug history``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, render, report
from virtnetplug.cli.session import Session


@options.command("history", epilog="Examples:\n  virtnetplug history\n  virtnetplug history web1 --limit 100 --json")
@options.domain_argument(required=False)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=20, metavar="N", help="Most operations to list (default 20)."
)
@click.pass_obj
def command(session: Session, domain: str | None, limit: int) -> None:
    """List past operations, newest first, on DOMAIN or on all; from the journal alone, with no connection.

    --connect lists only the operations of that hypervisor, however its URI was spelled; of another host by the URI that the journal has (--json shows it).
    """
    with session.journal() as journal:
        records = journal.history(uri=session.connect or None, domain=domain, limit=limit)
    session.answer(render.document_from_history(records), lambda screen: report.text_from_history(screen, records))
