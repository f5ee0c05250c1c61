"""``virtnetplug handback``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, perform
from virtnetplug.cli.session import Session

_EPILOG = """Examples:
  virtnetplug handback web1 ua-front
  virtnetplug handback web1 52:54:00:12:34:56 --plan"""


@options.command("handback", epilog=_EPILOG)
@options.domain_argument()
@options.nic_argument()
@options.scope_options
@options.wait_option(30.0, "Wait this long for the guest to let go; then the hand-back is pending (exit code 75)")
@options.plan_option
@click.pass_obj
def command(
    session: Session, domain: str, nic: str, live: bool, config: bool, persistent: bool, wait: float, plan: bool
) -> None:
    """Put the emulated NIC that was handed over back into DOMAIN, as it was; the one that served in its place leaves.

    Without a scope flag it comes back wherever it is out.
    """
    scope = options.scope_from_flags(live=live, config=config, persistent=persistent)
    if plan or session.is_plan:
        perform.plan(session, "handback", domain, lambda plugger: plugger.plan_handback(domain, nic, scope=scope))
    else:
        perform.operate(
            session, f"handing {nic} of {domain} back",
            lambda plugger: plugger.handback(domain, nic, scope=scope, wait=wait),
        )  # fmt: skip
