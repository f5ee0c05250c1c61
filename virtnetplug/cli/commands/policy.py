"""``virtnetplug policy``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, perform, render
from virtnetplug.cli.group import group
from virtnetplug.cli.session import Session
from virtnetplug.errors import UsageError
from virtnetplug.model.identity import UnplugPolicy

_EPILOG = """Examples:
  virtnetplug policy set web1 --force-unplug NICS
  virtnetplug policy set web1 --serve ua-vf0,ua-front
  virtnetplug policy set --host --unplug active
  virtnetplug policy clear web1 --serve
  virtnetplug policy explain web1"""


@group("policy", epilog=_EPILOG)
def command() -> None:
    """Say when emulated NICs go by themselves, and which of several NICs is to serve; and ask why something is so."""


@command.command("set", cls=options.Command, context_settings=options.CONTEXT)
@options.domain_argument(required=False)
@click.option("--host", is_flag=True, help="Of this host's domains that have no policy of their own.")
@click.option(
    "--unplug", metavar="POLICY", type=click.Choice([policy.value for policy in UnplugPolicy]),
    help="When an emulated NIC goes: keep (never), active (its twin is connected), present (its twin is there).",
)  # fmt: skip
@click.option("--force-unplug", metavar="NICS", help="The word NICS: the same as --unplug present.")
@click.option(
    "--serve", metavar="NIC,NIC...", help="The NICs of which one is to serve; the others' links are held down."
)
@options.wait_option(30.0, "Wait this long for the guest to let go of a NIC that is to leave; then that is pending")
@click.pass_obj
def set_(
    session: Session, domain: str | None, host: bool, unplug: str | None, force_unplug: str | None, serve: str | None,
    wait: float,
) -> None:  # fmt: skip
    """Set a policy of DOMAIN, or with --host the default of all; it is kept with the domain, whatever is detached.

    A running guest's NICs are as the policy says at once. Which NIC serves follows from what the devices are ('policy explain').
    """
    whose = _whose(domain, host)
    policy = None if unplug is None else UnplugPolicy(unplug)
    names = None if serve is None else [name.strip() for name in serve.split(",") if name.strip()]
    perform.operate(
        session, f"setting the policy of {whose or 'this host'}",
        lambda plugger: plugger.set_policy(whose, unplug=policy, force_unplug=force_unplug, serve=names, wait=wait),
    )  # fmt: skip


@command.command("clear", cls=options.Command, context_settings=options.CONTEXT)
@options.domain_argument(required=False)
@click.option("--host", is_flag=True, help="This host's default.")
@click.option("--unplug", is_flag=True, help="Only when emulated NICs go.")
@click.option("--serve", is_flag=True, help="Only which NICs serve.")
@click.pass_obj
def clear(session: Session, domain: str | None, host: bool, unplug: bool, serve: bool) -> None:
    """Forget the policies of DOMAIN, or with --host the default of all. Links that were held down go up; no NIC comes back by this."""
    whose, is_all = _whose(domain, host), unplug == serve
    if whose is None and serve:
        raise UsageError("Which NICs serve is a domain's own: name the domain, or leave out --serve.")
    perform.operate(
        session, f"clearing the policy of {whose or 'this host'}",
        lambda plugger: plugger.clear_policy(whose, unplug=unplug or is_all, serve=serve or is_all),
    )  # fmt: skip


@command.command("explain", cls=options.Command, context_settings=options.CONTEXT)
@options.domain_argument()
@click.pass_obj
def explain(session: Session, domain: str) -> None:
    """Say what each policy makes of DOMAIN as it is now, and why: which emulated NIC goes, and the rank of each NIC that could serve."""
    from virtnetplug.cli import policy_report

    with session.plugger(f"reading the policy of {domain}", read_only=True) as plugger:
        found = plugger.explain_policy(domain)
    session.answer(render.document_from_policy(found), lambda screen: policy_report.text_from_policy(screen, found))


def _whose(domain: str | None, host: bool) -> str | None:
    if (domain is None) is not host:
        raise UsageError("Say whose policy is meant: a domain, or --host.")
    return domain
