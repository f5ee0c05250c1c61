"""``virtnetplug detach``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, perform
from virtnetplug.cli.session import Session

_EPILOG = """Examples:
  virtnetplug detach web1 52:54:00:12:34:56
  virtnetplug detach web1 ua-1f0c ua-77ab --persistent --wait 120
  virtnetplug detach web1 vnet3 --json"""


@options.command("detach", epilog=_EPILOG)
@options.domain_argument()
@options.nic_argument(many=True)
@click.option(
    "--restore-emulated/--no-restore-emulated", default=None,
    help="Attach the emulated NIC again whose place the NIC had, or do not. By default it comes back if a hand-over put it out and no policy keeps it out.",
)  # fmt: skip
@options.scope_options
@options.wait_option(30.0, "Wait this long for the guest to let go; then the detach is pending (exit code 75)")
@options.plan_option
@click.pass_obj
def command(
    session: Session,
    domain: str,
    nics: tuple[str, ...],
    restore_emulated: bool | None,
    live: bool,
    config: bool,
    persistent: bool,
    wait: float,
    plan: bool,
) -> None:
    """Detach NICs from DOMAIN; NIC is an alias, a MAC, a host device or a PCI address that matches exactly one.

    The detach is done once the guest has let go. Until then 'list' shows the NIC, the journal keeps the detach as pending, and
    'recover' finishes it. A second detach of the NIC waits with the first.
    """
    scope = options.scope_from_flags(live=live, config=config, persistent=persistent)
    if plan or session.is_plan:
        perform.plan(
            session, "detach", domain,
            lambda plugger: plugger.plan_detach(domain, nics, scope=scope, restore_emulated=restore_emulated),
        )  # fmt: skip
    else:
        perform.operate(
            session, f"detaching from {domain}",
            lambda plugger: plugger.detach(domain, nics, scope=scope, restore_emulated=restore_emulated, wait=wait),
        )  # fmt: skip
