"""``virtnetplug show``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, render, report
from virtnetplug.cli.session import Session


@options.command("show", epilog="Examples:\n  virtnetplug show web1 ua-1f0c\n  virtnetplug show web1 vnet3 --xml")
@options.domain_argument()
@options.nic_argument()
@click.option(
    "--xml", "only_xml", is_flag=True, help="Print the live element alone (the config one if it is not live)."
)
@click.pass_obj
def command(session: Session, domain: str, nic: str, only_xml: bool) -> None:
    """Show everything about NIC of DOMAIN: its properties, its XML in both definitions, its operations."""
    with session.plugger(f"reading {nic}", read_only=True) as plugger:
        detail = plugger.show(domain, nic)
    element = detail.live or detail.config or ""
    session.answer(
        render.document_from_detail(detail),
        lambda screen: report.xml_text(element) if only_xml else report.text_from_detail(screen, detail),
    )
