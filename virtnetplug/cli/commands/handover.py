"""``virtnetplug handover``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from virtnetplug.cli import options, perform
from virtnetplug.cli.session import Session
from virtnetplug.cli.source import read_elements
from virtnetplug.errors import UsageError

if TYPE_CHECKING:
    from virtnetplug.model.interface import Interface

_EPILOG = """Examples:
  virtnetplug handover web1 --from ua-front --to-network pool0
  virtnetplug handover web1 --from 52:54:00:12:34:56 --to ua-vf0
  virtnetplug handover web1 --from ua-front --to-xml vf.xml --persistent --plan"""


@options.command("handover", epilog=_EPILOG)
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
@options.scope_options
@options.wait_option(30.0, "Wait this long for the guest to let go; then the hand-over is pending (exit code 75)")
@options.plan_option
@click.pass_obj
def command(
    session: Session, domain: str, emulated: str, fast: str | None, to_network: str | None, to_xml: str | None,
    allow_filter_loss: bool, live: bool, config: bool, persistent: bool, wait: float, plan: bool,
) -> None:  # fmt: skip
    """Let a fast NIC serve DOMAIN in place of an emulated one, with its MAC, guest address and name in the guest.

    The domain's metadata keeps the whole emulated NIC: 'handback', or a detach of the fast NIC, attaches it again. The persistent half of a
    teaming pair stays where it is, and the fast NIC becomes its transient half.
    """
    wanted = _fast(fast, to_network, to_xml)
    scope = options.scope_from_flags(live=live, config=config, persistent=persistent)
    if plan or session.is_plan:
        perform.plan(
            session, "handover", domain,
            lambda plugger: plugger.plan_handover(
                domain, emulated, wanted, scope=scope, allow_filter_loss=allow_filter_loss
            ),
        )  # fmt: skip
    else:
        perform.operate(
            session, f"handing {emulated} of {domain} over",
            lambda plugger: plugger.handover(
                domain, emulated, wanted, scope=scope, allow_filter_loss=allow_filter_loss, wait=wait
            ),
        )  # fmt: skip


def _fast(fast: str | None, network: str | None, file: str | None) -> Interface | str:
    said = [value for value in (fast, network, file) if value is not None]
    if len(said) != 1:
        raise UsageError("Say once what takes the NIC's place: --to NIC, --to-network NETWORK or --to-xml FILE.")
    if network is not None:
        from virtnetplug.model.interface import Interface

        return Interface(type="network", source_network=network)
    return read_elements([file])[0] if file is not None else said[0]
