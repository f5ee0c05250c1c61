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
    """Set which emulated NICs are unplugged automatically, and which of several NICs carries the traffic; explain what follows from that."""


@command.command("set", cls=options.Command, context_settings=options.CONTEXT)
@options.domain_argument(required=False)
@click.option(
    "--host", is_flag=True, help="Set the default of this host, for domains that have no policy of their own."
)
@click.option(
    "--unplug", metavar="POLICY", type=click.Choice([policy.value for policy in UnplugPolicy]),
    help="When to unplug an emulated NIC: keep (never), active (its fast twin is connected), present (its fast twin is there).",
)  # fmt: skip
@click.option("--force-unplug", metavar="NICS", help="The word NICS: the same as --unplug present.")
@click.option(
    "--serve",
    metavar="NIC,NIC...",
    help="A group of NICs: one of them carries the traffic, and the links of the others are held down.",
)
@options.wait_option(
    30.0, "Wait this long for the guest to let go of a NIC that the policy unplugs; then that detach is pending"
)
@click.pass_obj
def set_(
    session: Session, domain: str | None, host: bool, unplug: str | None, force_unplug: str | None, serve: str | None,
    wait: float,
) -> None:  # fmt: skip
    """Set a policy of DOMAIN, or with --host the default of this host; the domain keeps it, whatever is detached.

    The policy takes effect on a running guest at once. The kind of each device decides which NIC of a group carries the traffic ('policy explain').
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
@click.option("--host", is_flag=True, help="Delete the default of this host.")
@click.option("--unplug", is_flag=True, help="Delete only the policy of unplugging emulated NICs.")
@click.option("--serve", is_flag=True, help="Delete only the groups of NICs of which one carries the traffic.")
@click.pass_obj
def clear(session: Session, domain: str | None, host: bool, unplug: bool, serve: bool) -> None:
    """Delete the policies of DOMAIN, or with --host the default of this host. Links that were held down go up; no NIC is attached again."""
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
    """Explain the policies of DOMAIN as it is now: which emulated NIC is unplugged, the rank of each NIC that could carry the traffic, and why."""
    from virtnetplug.cli import policy_report

    with session.plugger(f"reading the policy of {domain}", read_only=True) as plugger:
        found = plugger.explain_policy(domain)
    session.answer(render.document_from_policy(found), lambda screen: policy_report.text_from_policy(screen, found))


def _whose(domain: str | None, host: bool) -> str | None:
    if (domain is None) is not host:
        raise UsageError("Say whose policy is meant: a domain, or --host.")
    return domain
