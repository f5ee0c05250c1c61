"""``virtnetplug rebind``."""

from __future__ import annotations

from typing import Any

import click

from virtnetplug.cli import options, perform, render, report
from virtnetplug.cli.nic import changes_from_values
from virtnetplug.cli.session import Session
from virtnetplug.errors import UsageError

_KEYS = ("network", "bridge", "dev", "mode", "portgroup", "vlan", "isolated")
_EPILOG = """Examples:
  virtnetplug rebind web1 ua-1f0c --network blue
  virtnetplug rebind web1 ua-1f0c --bridge br1 --persistent
  virtnetplug rebind --heal
  virtnetplug rebind --heal --network blue --plan"""


@options.command("rebind", epilog=_EPILOG)
@options.domain_argument(required=False)
@options.nic_argument(required=False)
@options.nic_options(for_update=True, only=_KEYS)
@click.option(
    "--heal", is_flag=True,
    help="Put back what a restarted network or a bridge made anew has cut off, of NIC, of DOMAIN or of all; "
    "--network or --bridge chooses those.",
)  # fmt: skip
@click.option(
    "--replace", is_flag=True,
    help="Where libvirt cannot change it in place, swap the NIC, keeping its MAC, alias and PCI address.",
)  # fmt: skip
@click.option("--flap-link", is_flag=True, help="Let the guest see its link go down and up, so that it asks DHCP anew.")
@click.option("--persistent", is_flag=True, help="Change the running guest and its next boot (live and config).")
@options.wait_option(30.0, "Wait this long for the guest, should the NIC have to be replaced")
@options.plan_option
@click.pass_obj
def command(
    session: Session, /, domain: str | None, nic: str | None, heal: bool, replace: bool, flap_link: bool, persistent: bool,
    wait: float, plan: bool, **flags: Any,
) -> None:  # fmt: skip
    """Change what is behind NIC of DOMAIN while the guest runs and its connections live: its network, bridge or VLAN.

    Nothing of the NIC changes in the guest, and its link does not flap. With --heal the same network and bridge are put behind the NICs that
    have lost them.
    """
    said = options.said(flags)
    if heal:
        _check_heal(said, domain, nic, is_more=replace or flap_link or persistent)
        _heal(session, domain, nic, said, is_plan=plan or session.is_plan)
        return
    if domain is None or nic is None:
        raise UsageError("Name the domain and its NIC; or --heal, to put back what was cut off.")
    changes = changes_from_values(said)
    scope = options.scope_from_flags(live=not persistent, config=False, persistent=persistent)
    more: dict[str, Any] = {"scope": scope, "replace": replace, "flap_link": flap_link}
    if plan or session.is_plan:
        perform.plan(session, "rebind", domain, lambda plugger: plugger.plan_rebind(domain, nic, changes, **more))
    else:
        perform.operate(
            session, f"rebinding {nic} of {domain}",
            lambda plugger: plugger.rebind(domain, nic, changes, **more, wait=wait),
        )  # fmt: skip


def _check_heal(said: dict[str, str], domain: str | None, nic: str | None, *, is_more: bool) -> None:
    if is_more or not {"network", "bridge"}.issuperset(said):
        raise UsageError(
            "--heal only puts back what was: beside it only --network and --bridge have a place, to choose."
        )
    if nic is not None and said:
        raise UsageError(f"NIC {nic} is named, so there is nothing for --network or --bridge to choose from.")


def _heal(session: Session, domain: str | None, nic: str | None, chosen: dict[str, str], *, is_plan: bool) -> None:
    network, bridge = chosen.get("network"), chosen.get("bridge")
    if is_plan:
        with session.plugger("planning to heal", read_only=True) as plugger:
            plans = plugger.plan_heal(domain, nic, network=network, bridge=bridge)
        session.answer(
            render.document_from_heal_plans(plans), lambda screen: report.text_from_heal_plans(screen, plans)
        )
        return
    with session.plugger("healing", read_only=False) as plugger:
        outcomes = plugger.heal(domain, nic, network=network, bridge=bridge)
    for outcome in outcomes:
        for warning in outcome.warnings:
            session.warn(f"warning: {warning}")
    messages = [report.message_from_outcome(outcome) for outcome in outcomes]
    session.answer(render.document_from_healing(outcomes, messages), lambda screen: report.text_from_healing(outcomes))
