"""``virtnetplug list``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, render, report
from virtnetplug.cli.session import Session


@options.command("list", epilog="Examples:\n  virtnetplug list\n  virtnetplug list web1 --json")
@options.domain_argument(required=False)
@click.pass_obj
def command(session: Session, domain: str | None) -> None:
    """List the NICs of DOMAIN, or of all domains, with their two states.

    A NIC is listed as long as the guest has it; one that waits for its guest to let go is marked pending. Below the table is named
    what must be detached before a guest can be migrated live.
    """
    with session.plugger("reading the NICs", read_only=True) as plugger:
        nics = plugger.list(domain)
    session.answer(render.document_from_nics(nics), lambda screen: report.text_from_list(screen, nics))
