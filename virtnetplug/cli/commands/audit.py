"""``virtnetplug audit``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, render, report
from virtnetplug.cli.session import Session


@options.command(
    "audit", epilog="Examples:\n  virtnetplug audit\n  virtnetplug audit web1 --repair\n  virtnetplug audit --plan"
)
@options.domain_argument(required=False)
@click.option("--repair", is_flag=True, help="Repair what is safe to repair; with --plan only say what that would be.")
@click.option("--plan", "--dry-run", "plan", is_flag=True, help="Say what --repair would do about each finding.")
@click.pass_obj
def command(session: Session, domain: str | None, repair: bool, plan: bool) -> None:
    """Compare live XML, config XML, network ports, host links and the journal, for DOMAIN or all domains.

    Exit code 1 while a disagreement remains.
    """
    plan = plan or session.is_plan
    mends = repair and not plan
    with session.plugger("auditing", read_only=not mends) as plugger:
        found = plugger.audit(domain)
        if mends and found.findings:
            found = plugger.repair(found)
    session.answer(render.document_from_audit(found), lambda screen: report.text_from_audit(found, has_plan=plan))
