"""``virtnetplug history``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, render, report
from virtnetplug.cli.complete import soon
from virtnetplug.cli.session import Session


@options.command("history", epilog="Examples:\n  virtnetplug history\n  virtnetplug history web1 --limit 100 --json")
@options.domain_argument(required=False)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=20, metavar="N", help="Most operations to list (default 20)."
)
@click.pass_obj
def command(session: Session, domain: str | None, limit: int) -> None:
    """List past operations, newest first, on DOMAIN or on all, from the journal.

    The operations on DOMAIN are listed under whatever name it had; a name that no domain has any more is looked for among those of then. Which domain
    has the name is asked of the hypervisor, if it answers within a second; else the journal decides.

    --connect lists only the operations of that hypervisor, however its URI was spelled; of another host by the URI that the journal has (--json shows it).
    """
    names = dict(soon(lambda: session.wiring.domains(session.uri).items())) if domain is not None else {}
    with session.journal() as journal:
        records = journal.history(uri=session.connect or None, domain=domain, names=names, limit=limit)
    session.answer(render.document_from_history(records), lambda screen: report.text_from_history(screen, records))
