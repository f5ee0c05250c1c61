"""``rebind``: one command for five operations, which change what is behind NICs."""

from __future__ import annotations

from typing import Any

import click

from virtnetplug.cli import options, perform
from virtnetplug.cli.nic import changes_from_values
from virtnetplug.cli.session import Session
from virtnetplug.errors import UsageError
from virtnetplug.model.operation import Scope

_KEYS = ("network", "bridge", "dev", "mode", "portgroup", "vlan", "isolated")
_OF_PF = ("reload_driver", "numvfs", "firmware_hook", "allow_outage")


@options.command(
    "rebind",
    "virtnetplug rebind web1 ua-1f0c --network blue",
    "virtnetplug rebind web1 ua-1f0c --bridge br1 --persistent",
    "virtnetplug rebind --heal",
    "virtnetplug rebind --heal --network blue --plan",
    "virtnetplug rebind web1 ua-vf0 --vf auto",
    "virtnetplug rebind --pf 0000:01:00.0 --reload-driver --plan",
    "virtnetplug -c xen:///system rebind web1 ua-1f0c",
    "virtnetplug -c xen:///system rebind web1 ua-1f0c --reload-driver --plan",
)
@options.domain_argument(required=False)
@options.nic_argument(required=False)
@options.nic_options(for_update=True, only=_KEYS)
@click.option(
    "--heal", is_flag=True,
    help="Reconnect NICs that lost their bridge or network port, because the network was restarted or the bridge was made again. "
    "Reconnects NIC, the NICs of DOMAIN, or all; --network or --bridge names the network or bridge whose NICs are meant.",
)  # fmt: skip
@options.replace_option
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
    help="Unbind the driver of the --pf and bind it again. On Xen without --pf: reload the driver of all vifs of the host.",
)
@click.option("--numvfs", type=click.IntRange(min=0), metavar="N", help="Set the number of VFs of the --pf to N.")
@click.option(
    "--firmware-hook", metavar="CMD",
    help="Run this program while no guest has a VF of the --pf (VIRTNETPLUG_PF and VIRTNETPLUG_NETDEV name the PF).",
)  # fmt: skip
@click.option(
    "--allow-outage",
    is_flag=True,
    help="Change the --pf although guests without a teaming partner lose their network meanwhile.",
)
@options.wait_option("If NICs must leave their guests: wait this long for that")
@options.plan_option()
def rebind(
    session: Session,
    domain: str | None,
    nic: str | None,
    texts: dict[str, str],
    heal: bool,
    vf: str | None,
    pf: str | None,
    wait: float,
    **flags: Any,
) -> None:
    """Connect NIC of DOMAIN to another network, bridge or VLAN, or move it to another VF, while the guest runs and keeps its connections.

    The guest sees the same NIC, and its link does not flap. --heal reconnects NICs to the network and bridge that they have lost.

    --vf and --pf take the NIC out of the guest for a while; a teaming partner carries the traffic meanwhile. On Xen, without anything to change, the
    backend driver of the vif is unbound and bound again.
    """
    given = {name: value for name, value in flags.items() if value is not None and value is not False}
    of_pf = {name: given.pop(name) for name in _OF_PF if name in given}
    if pf is not None:
        _check_alone("--pf", texts or given or heal or domain is not None or vf is not None)
        perform.change(
            session, "rebind-pf", f"rebinding {pf}", lambda plugger: (plugger.rebind_pf, plugger.plan_rebind_pf),
            pf, **of_pf, wait=wait,
        )  # fmt: skip
        return
    is_of_vif = not (domain is None or nic is None or texts or given or heal or vf is not None)
    reload_driver = is_of_vif and of_pf.pop("reload_driver", False)
    if of_pf:
        raise UsageError(f"--{next(iter(of_pf)).replace('_', '-')} is for --pf, which says of which PF.")
    if heal:
        _check_heal(texts, nic, is_more=bool(given) or vf is not None)
        perform.change_several(
            session, perform.HEALING, lambda plugger: (plugger.heal, plugger.plan_heal), domain, nic, **texts
        )
        return
    if domain is None or nic is None:
        raise UsageError("Name the domain and its NIC; or --heal, to reconnect what was cut off; or a --pf.")
    if vf is not None:
        _check_alone("--vf", texts or given)
        perform.change(
            session, "rebind-vf", f"moving {nic} of {domain} to another VF",
            lambda plugger: (plugger.rebind_vf, plugger.plan_rebind_vf), domain, nic, vf, wait=wait,
        )  # fmt: skip
    elif is_of_vif:
        perform.change(
            session, "rebind", f"binding {nic} of {domain} anew",
            lambda plugger: (plugger.rebind_vif, plugger.plan_rebind_vif),
            domain, nic, reload_driver=reload_driver, wait=wait,
        )  # fmt: skip
    else:
        given["scope"] = Scope.BOTH if given.pop("persistent", False) else Scope.LIVE
        perform.change(
            session, "rebind", f"rebinding {nic} of {domain}",
            lambda plugger: (plugger.rebind, plugger.plan_rebind),
            domain, nic, changes_from_values(texts), **given, wait=wait,
        )  # fmt: skip


def _check_alone(option: str, others: object) -> None:
    if others:
        raise UsageError(
            f"{option} changes the device alone: a network, bridge or VLAN, another NIC or --heal is another call."
        )


def _check_heal(texts: dict[str, str], nic: str | None, *, is_more: bool) -> None:
    if is_more or not {"network", "bridge"}.issuperset(texts):
        raise UsageError(
            "--heal only restores connections: beside it only --network and --bridge have a place, to choose."
        )
    if nic is not None and texts:
        raise UsageError(f"NIC {nic} is named, so there is nothing for --network or --bridge to choose from.")
