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
  virtnetplug rebind --heal --network blue --plan
  virtnetplug rebind web1 ua-vf0 --vf auto
  virtnetplug rebind --pf 0000:01:00.0 --reload-driver --plan
  virtnetplug -c xen:///system rebind web1 ua-1f0c
  virtnetplug -c xen:///system rebind web1 ua-1f0c --reload-driver --plan"""
_OF_PF = ("reload_driver", "firmware_hook", "allow_outage")


@options.command("rebind", epilog=_EPILOG)
@options.domain_argument(required=False)
@options.nic_argument(required=False)
@options.nic_options(for_update=True, only=_KEYS)
@click.option(
    "--heal", is_flag=True,
    help="Reconnect NICs that lost their bridge or network port because the network was restarted or the bridge was made again: "
    "NIC, those of DOMAIN, or all; with --network or --bridge only those of that.",
)  # fmt: skip
@click.option(
    "--replace", is_flag=True,
    help="Where libvirt cannot change it in place, swap the NIC, keeping its MAC, alias and PCI address.",
)  # fmt: skip
@click.option("--flap-link", is_flag=True, help="Let the guest see its link go down and up, so that it asks DHCP anew.")
@click.option("--persistent", is_flag=True, help="Change the running guest and its next boot (live and config).")
@click.option(
    "--vf", metavar="auto|ADDRESS",
    help="Move an assigned NIC to another VF: the best other VF of its pool, or the VF at this PCI address.",
)  # fmt: skip
@click.option(
    "--pf",
    metavar="PF",
    help="Change this PF (driver, number of VFs, firmware) while guests have its VFs: they get a VF again afterwards.",
)
@click.option(
    "--reload-driver",
    is_flag=True,
    help="With --pf: unbind the driver of this PF and bind it again. On Xen: reload the driver of all vifs of the host.",
)
@click.option(
    "--numvfs", type=click.IntRange(min=0), metavar="N", help="With --pf: set the number of VFs of this PF to N."
)
@click.option(
    "--firmware-hook", metavar="CMD",
    help="With --pf: run this program while no guest has a VF (VIRTNETPLUG_PF and VIRTNETPLUG_NETDEV tell it which).",
)  # fmt: skip
@click.option(
    "--allow-outage",
    is_flag=True,
    help="With --pf: go on although guests without a teaming partner lose their network meanwhile.",
)
@options.wait_option(30.0, "If NICs must leave their guests: wait this long for that")
@options.plan_option
@click.pass_obj
def command(
    session: Session, /, domain: str | None, nic: str | None, heal: bool, replace: bool, flap_link: bool, persistent: bool,
    vf: str | None, pf: str | None, wait: float, plan: bool, **flags: Any,
) -> None:  # fmt: skip
    """Connect NIC of DOMAIN to another network, bridge or VLAN, or move it to another VF, while the guest runs and keeps its connections.

    The guest sees the same NIC, and its link does not flap. --heal reconnects NICs to the network and bridge that they have lost.

    With --vf and --pf the NIC leaves the guest for a while; a teaming partner carries the traffic meanwhile. On Xen, without anything to change, the
    backend driver of the vif is unbound and bound again.
    """
    of_pf = {name: value for name in _OF_PF if (value := flags.pop(name))}
    numvfs = flags.pop("numvfs")
    of_pf |= {} if numvfs is None else {"numvfs": numvfs}
    said = options.said(flags)
    is_plan, is_more = plan or session.is_plan, replace or flap_link or persistent
    if pf is not None:
        _check_alone("--pf", is_more=is_more or heal or vf is not None or domain is not None or bool(said))
        _rebind_pf(session, pf, of_pf, wait, is_plan=is_plan)
        return
    is_bare = domain is not None and nic is not None and not (heal or vf is not None or said or is_more)
    reload_driver = bool(is_bare and of_pf.pop("reload_driver", False))
    if of_pf:
        raise UsageError(f"--{next(iter(of_pf)).replace('_', '-')} is for --pf, which says of which PF.")
    if heal:
        _check_heal(said, domain, nic, is_more=is_more or vf is not None)
        _heal(session, domain, nic, said, is_plan=is_plan)
        return
    if domain is None or nic is None:
        raise UsageError("Name the domain and its NIC; or --heal, to put back what was cut off; or a --pf.")
    if vf is not None:
        _check_alone("--vf", is_more=is_more or bool(said))
        _rebind_vf(session, domain, nic, vf, wait, is_plan=is_plan)
        return
    if is_bare:
        _rebind_vif(session, domain, nic, wait, reload_driver=reload_driver, is_plan=is_plan)
        return
    changes = changes_from_values(said)
    scope = options.scope_from_flags(live=not persistent, config=False, persistent=persistent)
    more: dict[str, Any] = {"scope": scope, "replace": replace, "flap_link": flap_link}
    if is_plan:
        perform.plan(session, "rebind", domain, lambda plugger: plugger.plan_rebind(domain, nic, changes, **more))
    else:
        perform.operate(
            session, f"rebinding {nic} of {domain}",
            lambda plugger: plugger.rebind(domain, nic, changes, **more, wait=wait),
        )  # fmt: skip


def _check_alone(option: str, *, is_more: bool) -> None:
    if is_more:
        raise UsageError(
            f"{option} changes the device alone: a network, bridge or VLAN, another NIC or --heal is another call."
        )


def _rebind_vf(session: Session, domain: str, nic: str, vf: str, wait: float, *, is_plan: bool) -> None:
    if is_plan:
        perform.plan(session, "rebind-vf", domain, lambda plugger: plugger.plan_rebind_vf(domain, nic, vf))
    else:
        perform.operate(
            session, f"moving {nic} of {domain} to another VF",
            lambda plugger: plugger.rebind_vf(domain, nic, vf, wait=wait),
        )  # fmt: skip


def _rebind_vif(session: Session, domain: str, nic: str, wait: float, *, reload_driver: bool, is_plan: bool) -> None:
    if is_plan:
        perform.plan(
            session, "rebind", domain, lambda plugger: plugger.plan_rebind_vif(domain, nic, reload_driver=reload_driver)
        )
    else:
        perform.operate(
            session, f"binding {nic} of {domain} anew",
            lambda plugger: plugger.rebind_vif(domain, nic, reload_driver=reload_driver, wait=wait),
        )  # fmt: skip


def _rebind_pf(session: Session, pf: str, wish: dict[str, Any], wait: float, *, is_plan: bool) -> None:
    if is_plan:
        perform.plan(session, "rebind-pf", pf, lambda plugger: plugger.plan_rebind_pf(pf, **wish))
    else:
        perform.operate(session, f"rebinding {pf}", lambda plugger: plugger.rebind_pf(pf, **wish, wait=wait))


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
    messages = [report.message_from_outcome(outcome) for outcome in outcomes]
    session.answer(render.document_from_healing(outcomes, messages), lambda screen: report.text_from_healing(outcomes))
