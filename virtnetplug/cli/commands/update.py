"""``virtnetplug update``."""

from __future__ import annotations

from typing import Any

import click

from virtnetplug.cli import options, perform
from virtnetplug.cli.nic import changes_from_values
from virtnetplug.cli.session import Session
from virtnetplug.cli.source import read_elements
from virtnetplug.errors import UsageError

_EPILOG = """Examples:
  virtnetplug update web1 ua-1f0c --link down
  virtnetplug update web1 ua-1f0c --network blue --vlan none
  virtnetplug update web1 ua-1f0c --inbound 1000,2000,512 --persistent
  virtnetplug update web1 ua-vf0 --vlan 42 --trust yes --max-rate 1000
  virtnetplug update web1 ua-1f0c --mtu 9000 --replace"""


@options.command("update", epilog=_EPILOG)
@options.domain_argument()
@options.nic_argument()
@options.nic_options(for_update=True)
@options.xml_option(multiple=False)
@click.option(
    "--replace", is_flag=True,
    help="Where libvirt cannot change it in place, swap the NIC, keeping its MAC, alias and PCI address.",
)  # fmt: skip
@options.scope_options
@options.wait_option(
    30.0,
    "If the NIC is replaced: wait this long for the guest to let go of it; then the update is pending (exit code 75)",
)
@options.plan_option
@click.pass_obj
def command(
    session: Session, /, domain: str, nic: str, xml: str | None, replace: bool, live: bool, config: bool,
    persistent: bool, wait: float, plan: bool, **flags: Any,
) -> None:  # fmt: skip
    """Change NIC of DOMAIN: what the flags say, everything else as it is; or the whole element by --xml.

    A value of 'none' (or nothing, as in --vlan=) removes a property.
    """
    changes = _changes(options.said(flags), xml)
    scope = options.scope_from_flags(live=live, config=config, persistent=persistent)
    if plan or session.is_plan:
        perform.plan(
            session, "update", domain,
            lambda plugger: plugger.plan_update(domain, nic, changes, scope=scope, replace=replace),
        )  # fmt: skip
    else:
        perform.operate(
            session, f"updating {nic} of {domain}",
            lambda plugger: plugger.update(domain, nic, changes, scope=scope, replace=replace, wait=wait),
        )  # fmt: skip


def _changes(flags: dict[str, str], xml: str | None) -> dict[str, Any] | str:
    if xml is None:
        return changes_from_values(flags)
    if flags:
        named = ", ".join(f"--{name}" for name in flags)
        raise UsageError(f"--xml is the whole new element, so {named} has no place beside it; write it into the XML.")
    return read_elements([xml])[0]
