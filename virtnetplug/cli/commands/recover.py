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
@options.wait_option(
    0.0,
    "Wait this long for the guest of each open operation, for the lock of each domain, and for another call that works on an operation",
    lock="",
)
@click.option(
    "--allow-taint", is_flag=True,
    help="Have QEMU remove a NIC that libvirt no longer knows; libvirt then marks the running domain as tainted.",
)  # fmt: skip
@click.option(
    "--any-address",
    is_flag=True,
    help="Attach a NIC at another guest address if something else has its own (place-taken).",
)
@click.option(
    "--forget", metavar="ID", default="",
    help="Close the operation ID, whose guest was saved, ended in a way that is not known, has the NIC connected to something else by now, "
    "or lacks a NIC that cannot be put back.",
)  # fmt: skip
@options.plan_option
@click.pass_obj
def command(
    session: Session, domain: str | None, wait: float, allow_taint: bool, any_address: bool, forget: str, plan: bool
) -> None:
    """Finish or undo what was interrupted on DOMAIN, or on all domains; safe at any time, and twice.

    A detach, a healing ('rebind --heal'), a replacement or hand-over that waits for its guest, and the rebind of a PF that had been changed already are
    finished. Any other operation that was not committed is undone.

    An operation that another call works on is left to that call, which is named (operation-busy; operation-stalled if it makes no progress). With --wait
    it is waited for first.

    Exit code 75 while a guest holds a NIC, or another call an operation or a domain; 5 if something could not be undone.
    """
    if plan or session.is_plan:
        with session.plugger("planning to recover", read_only=True) as plugger:
            plans = plugger.plan_recover(domain, forget=forget)
        session.answer(render.document_from_plans(plans), lambda screen: report.text_from_plans(screen, plans))
        return
    with session.plugger("recovering", read_only=False) as plugger:
        outcomes = plugger.recover(domain, wait=wait, allow_taint=allow_taint, any_address=any_address, forget=forget)
    messages = [report.message_from_outcome(outcome) for outcome in outcomes]
    session.answer(
        render.document_from_recovery(outcomes, messages), lambda screen: report.text_from_recovery(outcomes)
    )
