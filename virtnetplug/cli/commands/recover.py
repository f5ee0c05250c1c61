"""``virtnetplug recover``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, render, report
from virtnetplug.cli.session import Session

_EPILOG = """Examples:
  virtnetplug recover
  virtnetplug recover web1 --wait 300
  virtnetplug recover --plan"""


@options.command("recover", epilog=_EPILOG)
@options.domain_argument(required=False)
@options.wait_option(0.0, "Wait this long for guests that still hold a NIC")
@click.option(
    "--allow-taint", is_flag=True,
    help="Have QEMU remove a NIC that libvirt has lost sight of, which taints the running domain.",
)  # fmt: skip
@click.option(
    "--any-address",
    is_flag=True,
    help="Put a NIC elsewhere whose guest address somebody has taken (place-taken).",
)
@options.plan_option
@click.pass_obj
def command(
    session: Session, domain: str | None, wait: float, allow_taint: bool, any_address: bool, plan: bool
) -> None:
    """Finish or undo what was interrupted on DOMAIN, or on all domains; safe at any time, and twice.

    A detach that the guest was asked for goes forward only; what waits for its guest goes on; anything else that was not committed is undone.
    What another process works on is left to it, and said if it stands still.
    Exit code 75 while a guest still holds a NIC.
    """
    if plan or session.is_plan:
        with session.plugger("planning to recover", read_only=True) as plugger:
            plans = plugger.plan_recover(domain)
        session.answer(render.document_from_plans(plans), lambda screen: report.text_from_plans(screen, plans))
        return
    with session.plugger("recovering", read_only=False) as plugger:
        outcomes = plugger.recover(domain, wait=wait, allow_taint=allow_taint, any_address=any_address)
    messages = [report.message_from_outcome(outcome) for outcome in outcomes]
    for outcome in outcomes:
        for warning in outcome.warnings:
            session.warn(f"warning: {warning}")
    session.answer(
        render.document_from_recovery(outcomes, messages), lambda screen: report.text_from_recovery(outcomes)
    )
