"""``virtnetplug identity``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, perform, render
from virtnetplug.cli.group import group
from virtnetplug.cli.session import Session

_EPILOG = """Examples:
  virtnetplug identity show web1
  virtnetplug identity show --json
  virtnetplug identity forget web1 ua-front"""


@group("identity", epilog=_EPILOG)
def command() -> None:
    """Show, or forget, what domains remember of their emulated NICs, so that a fast NIC can have their identity."""


@command.command("show", cls=options.Command, context_settings=options.CONTEXT)
@options.domain_argument(required=False)
@click.pass_obj
def show(session: Session, domain: str | None) -> None:
    """List the emulated NICs that the metadata of DOMAIN, or of every domain, keeps: each with its fast twin, and where both are now.

    --json also prints the whole elements of each NIC, as they were last seen.
    """
    from virtnetplug.cli import policy_report

    with session.plugger("reading what is remembered", read_only=True) as plugger:
        found = plugger.identities(domain)
    session.answer(
        render.document_from_identities(found), lambda screen: policy_report.text_from_identities(screen, found)
    )


@command.command("forget", cls=options.Command, context_settings=options.CONTEXT)
@options.domain_argument()
@options.nic_argument()
@click.option("--force", is_flag=True, help="Delete it although it is the only copy of the NIC.")
@click.pass_obj
def forget(session: Session, domain: str, nic: str, force: bool) -> None:
    """Delete an emulated NIC, and the claim of its fast twin, from the metadata of DOMAIN; nothing of the guest changes.

    Refused for a NIC that no definition has, because the metadata is the only copy of it: 'handback' attaches it again.
    """
    perform.operate(
        session, f"forgetting {nic} of {domain}", lambda plugger: plugger.forget_identity(domain, nic, force=force)
    )
