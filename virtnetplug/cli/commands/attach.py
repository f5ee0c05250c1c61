"""``virtnetplug attach``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from virtnetplug.cli import options, perform
from virtnetplug.cli.nic import interface_from_values, values_from_text
from virtnetplug.cli.session import Session
from virtnetplug.cli.source import read_elements
from virtnetplug.errors import UsageError

if TYPE_CHECKING:
    from virtnetplug.model.interface import Interface

_EPILOG = """Examples:
  virtnetplug attach web1 --network default --model virtio
  virtnetplug attach web1 --bridge br0 --vlan 10,20 --mac 52:54:00:12:34:56 --persistent
  virtnetplug attach web1 --nic network=default,vlan=10 --nic bridge=br1,model=e1000e
  virtnetplug attach web1 --xml nic.xml --plan"""


@options.command("attach", epilog=_EPILOG)
@options.domain_argument()
@options.nic_options(for_update=False)
@click.option(
    "--nic", "nics", multiple=True, metavar="KEY=VALUE,...",
    help="One NIC by the names of the flags above; repeat it for several, all of which are attached or none.",
)  # fmt: skip
@options.xml_option(multiple=True)
@click.option(
    "--twin-of",
    metavar="NIC",
    help="The emulated NIC whose identity the new NIC may take once the emulated NIC is out; it takes nothing now.",
)
@options.scope_options
@options.wait_option(30.0, "If the attach has to be undone: wait this long for the guest to let go")
@options.plan_option
@click.pass_obj
def command(
    session: Session, /, domain: str, nics: Sequence[str], xml: Sequence[str], twin_of: str | None, live: bool,
    config: bool, persistent: bool, wait: float, plan: bool, **flags: Any,
) -> None:  # fmt: skip
    """Attach NICs to DOMAIN: one by the flags, or several by --nic and --xml, all or nothing.

    Without a scope flag the running guest alone is changed (--live).
    """
    wanted = _nics(options.said(flags), nics, xml)
    scope = options.scope_from_flags(live=live, config=config, persistent=persistent)
    if plan or session.is_plan:
        perform.plan(
            session, "attach", domain,
            lambda plugger: plugger.plan_attach(domain, wanted, scope=scope, twin_of=twin_of),
        )  # fmt: skip
    else:
        perform.operate(
            session, f"attaching to {domain}",
            lambda plugger: plugger.attach(domain, wanted, scope=scope, twin_of=twin_of, wait=wait),
        )  # fmt: skip


def _nics(flags: dict[str, str], nics: Sequence[str], files: Sequence[str]) -> list[Interface | str]:
    if flags and (nics or files):
        named = ", ".join(f"--{name}" for name in flags)
        other = "--nic" if nics else "--xml"
        raise UsageError(
            f"{named} describes one NIC and cannot stand beside {other}; write it as another --nic "
            f"({','.join(f'{name}={value}' for name, value in flags.items())}), or leave {other} out."
        )
    if not (nics or files):
        return [interface_from_values(flags)]
    described = [interface_from_values(values_from_text(text)) for text in nics]
    return [*described, *read_elements(files)]
