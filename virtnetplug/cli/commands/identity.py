"""``handover``, ``handback``, ``identity`` and ``policy``: which NIC has the identity of an emulated NIC, and which carries the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from virtnetplug.cli import options, perform, views
from virtnetplug.cli.nic import read_elements
from virtnetplug.cli.session import Session
from virtnetplug.errors import UsageError
from virtnetplug.model.identity import UnplugPolicy

if TYPE_CHECKING:
    from virtnetplug.model.interface import Interface


@options.command(
    "handover",
    "virtnetplug handover web1 --from ua-front --to-network pool0",
    "virtnetplug handover web1 --from 52:54:00:12:34:56 --to ua-vf0",
    "virtnetplug handover web1 --from ua-front --to-xml vf.xml --persistent --plan",
)
@options.domain_argument()
@click.option("--from", "emulated", required=True, metavar="NIC", help="The emulated NIC whose place is taken.")
@click.option("--to", "fast", metavar="NIC", help="The NIC that takes its place: one that the guest has already.")
@click.option(
    "--to-network", metavar="NETWORK", help="Attach a new NIC of this network, a pool of VFs say, in its place."
)
@click.option(
    "--to-xml",
    metavar="FILE",
    help="Attach a new NIC in its place, from this <interface> element ('-': standard input).",
)
@click.option(
    "--allow-filter-loss",
    is_flag=True,
    help="Go on although the network filter of the emulated NIC cannot apply to the other NIC.",
)
@options.operation_options("Wait this long for the guest to let go; then the hand-over is pending (exit code 75)")
def handover(
    session: Session,
    domain: str,
    emulated: str,
    fast: str | None,
    to_network: str | None,
    to_xml: str | None,
    **arguments: Any,
) -> None:
    """Let a fast NIC serve DOMAIN in place of an emulated NIC, with its MAC, guest address and name in the guest.

    The domain's metadata keeps the whole emulated NIC: 'handback', or a detach of the fast NIC, attaches it again. The persistent half of a
    teaming pair stays where it is, and the fast NIC becomes its transient half.
    """
    wanted = _fast(fast, to_network, to_xml)
    perform.change(
        session, "handover", f"handing {emulated} of {domain} over",
        lambda plugger: (plugger.handover, plugger.plan_handover), domain, emulated, wanted, **arguments,
    )  # fmt: skip


def _fast(fast: str | None, network: str | None, file: str | None) -> Interface | str:
    given = [value for value in (fast, network, file) if value is not None]
    if len(given) != 1:
        raise UsageError("Say once what takes the NIC's place: --to NIC, --to-network NETWORK or --to-xml FILE.")
    if network is not None:
        from virtnetplug.model.interface import Interface

        return Interface(type="network", source_network=network)
    return read_elements([file])[0] if file is not None else given[0]


@options.command("handback", "virtnetplug handback web1 ua-front", "virtnetplug handback web1 52:54:00:12:34:56 --plan")
@options.domain_argument()
@options.nic_argument()
@options.operation_options("Wait this long for the guest to let go; then the hand-back is pending (exit code 75)")
def handback(session: Session, domain: str, nic: str, **arguments: Any) -> None:
    """Attach the emulated NIC of DOMAIN that was handed over again, as it was; the NIC that served in its place leaves.

    Without a scope flag, every definition that lacks the emulated NIC gets it again.
    """
    perform.change(
        session, "handback", f"handing {nic} of {domain} back",
        lambda plugger: (plugger.handback, plugger.plan_handback), domain, nic, **arguments,
    )  # fmt: skip


@options.group(
    "identity",
    "virtnetplug identity show web1",
    "virtnetplug identity show --json",
    "virtnetplug identity forget web1 ua-front",
)
def identity() -> None:
    """Show, or forget, what domains remember of their emulated NICs, so that a fast NIC can have their identity."""


@identity.command("show")
@options.domain_argument(required=False)
def show(session: Session, domain: str | None) -> None:
    """List the emulated NICs that the metadata of DOMAIN, or of every domain, keeps: each with its fast twin, and where both are now.

    --json also prints the whole elements of each NIC, as they were last seen.
    """
    session.ask("reading the remembered NICs", lambda plugger: plugger.identities(domain), views.of_identities)


@identity.command("forget")
@options.domain_argument()
@options.nic_argument()
@click.option("--force", is_flag=True, help="Delete the copy although it is the only copy of the NIC.")
def forget(session: Session, domain: str, nic: str, force: bool) -> None:
    """Delete an emulated NIC, and the claim of its fast twin, from the metadata of DOMAIN; nothing of the guest changes.

    Refused for a NIC that no definition has, because the metadata is the only copy of it: 'handback' attaches it again.
    """
    perform.operate(
        session, f"forgetting {nic} of {domain}", lambda plugger: plugger.forget_identity(domain, nic, force=force)
    )


@options.group(
    "policy",
    "virtnetplug policy set web1 --force-unplug NICS",
    "virtnetplug policy set web1 --serve ua-vf0,ua-front",
    "virtnetplug policy set --host --unplug active",
    "virtnetplug policy clear web1 --serve",
    "virtnetplug policy explain web1",
)
def policy() -> None:
    """Set which emulated NICs are unplugged automatically, and which of several NICs carries the traffic; explain what follows from that."""


@policy.command("set")
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
    "Wait this long for the guest to let go of a NIC that the policy unplugs; then that detach is pending"
)
def set_(
    session: Session, domain: str | None, host: bool, unplug: str | None, force_unplug: str | None, serve: str | None,
    wait: float,
) -> None:  # fmt: skip
    """Set a policy of DOMAIN, or with --host the default of this host; the domain keeps it, whatever is detached.

    The policy takes effect on a running guest at once. The kind of each device decides which NIC of a group carries the traffic ('policy explain').
    """
    whose = _whose(domain, host)
    when = None if unplug is None else UnplugPolicy(unplug)
    names = None if serve is None else [name.strip() for name in serve.split(",") if name.strip()]
    perform.operate(
        session, f"setting the policy of {whose or 'this host'}",
        lambda plugger: plugger.set_policy(whose, unplug=when, force_unplug=force_unplug, serve=names, wait=wait),
    )  # fmt: skip


@policy.command("clear")
@options.domain_argument(required=False)
@click.option("--host", is_flag=True, help="Delete the default of this host.")
@click.option("--unplug", is_flag=True, help="Delete only the policy of unplugging emulated NICs.")
@click.option("--serve", is_flag=True, help="Delete only the groups of NICs of which one carries the traffic.")
def clear(session: Session, domain: str | None, host: bool, unplug: bool, serve: bool) -> None:
    """Delete the policies of DOMAIN, or with --host the default of this host. Links that were held down go up; no NIC is attached again."""
    whose, is_all = _whose(domain, host), unplug == serve
    if whose is None and serve:
        raise UsageError("Which NICs serve is a domain's own: name the domain, or leave out --serve.")
    perform.operate(
        session, f"clearing the policy of {whose or 'this host'}",
        lambda plugger: plugger.clear_policy(whose, unplug=unplug or is_all, serve=serve or is_all),
    )  # fmt: skip


@policy.command("explain")
@options.domain_argument()
def explain(session: Session, domain: str) -> None:
    """Explain, with reasons, which emulated NICs of DOMAIN are unplugged now, and the rank of each NIC that could carry the traffic."""
    session.ask(f"reading the policy of {domain}", lambda plugger: plugger.explain_policy(domain), views.of_policy)


def _whose(domain: str | None, host: bool) -> str | None:
    if (domain is None) is not host:
        raise UsageError("Say whose policy is meant: a domain, or --host.")
    return domain
