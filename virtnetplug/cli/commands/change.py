"""``attach``, ``detach``, ``update`` and ``recover``: what changes the NICs of domains, and what finishes it; ``plan``, which only plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from virtnetplug.cli import options, perform
from virtnetplug.cli.commands import LazyGroup
from virtnetplug.cli.nic import changes_from_values, interface_from_values, read_elements, values_from_text
from virtnetplug.cli.session import Session
from virtnetplug.errors import UsageError

if TYPE_CHECKING:
    from virtnetplug.model.interface import Interface


@options.command(
    "attach",
    "virtnetplug attach web1 --network default --model virtio",
    "virtnetplug attach web1 --bridge br0 --vlan 10,20 --mac 52:54:00:12:34:56 --persistent",
    "virtnetplug attach web1 --nic network=default,vlan=10 --nic bridge=br1,model=e1000e",
    "virtnetplug attach web1 --xml nic.xml --plan",
)
@options.domain_argument()
@options.nic_options(for_update=False)
@click.option(
    "--nic", "nics", multiple=True, metavar="KEY=VALUE,...",
    help="One NIC by the names of the flags above; repeat the option for several NICs: all of them are attached, or none.",
)  # fmt: skip
@options.xml_option(multiple=True)
@click.option(
    "--twin-of",
    metavar="NIC",
    help="The emulated NIC whose identity the new NIC may take once the emulated NIC is out; it takes nothing now.",
)
@options.operation_options("If the attach has to be undone: wait this long for the guest to let go")
def attach(
    session: Session, domain: str, texts: dict[str, str], nics: Sequence[str], xml: Sequence[str], **arguments: Any
) -> None:
    """Attach NICs to DOMAIN: one by the flags, or several by --nic and --xml, all or nothing.

    Without a scope flag the running guest alone is changed (--live).
    """
    wanted = _wanted(texts, nics, xml)
    perform.change(
        session, "attach", f"attaching to {domain}", lambda plugger: (plugger.attach, plugger.plan_attach),
        domain, wanted, **arguments,
    )  # fmt: skip


def _wanted(texts: dict[str, str], nics: Sequence[str], files: Sequence[str]) -> list[Interface | str]:
    if texts and (nics or files):
        named = ", ".join(f"--{name}" for name in texts)
        other = "--nic" if nics else "--xml"
        raise UsageError(
            f"{named} describes one NIC and cannot stand beside {other}; write it as another --nic "
            f"({','.join(f'{name}={value}' for name, value in texts.items())}), or leave {other} out."
        )
    if not (nics or files):
        return [interface_from_values(texts)]
    return [*(interface_from_values(values_from_text(text)) for text in nics), *read_elements(files)]


@options.command(
    "detach",
    "virtnetplug detach web1 52:54:00:12:34:56",
    "virtnetplug detach web1 ua-1f0c ua-77ab --persistent --wait 120",
    "virtnetplug detach web1 vnet3 --json",
)
@options.domain_argument()
@options.nic_argument(many=True)
@click.option(
    "--restore-emulated/--no-restore-emulated", default=None,
    help="Attach the emulated NIC again whose place the NIC had, or do not. The default is yes after a hand-over, unless a policy keeps the emulated NIC out.",
)  # fmt: skip
@options.operation_options("Wait this long for the guest to let go; then the detach is pending (exit code 75)")
def detach(session: Session, domain: str, nics: tuple[str, ...], **arguments: Any) -> None:
    """Detach NICs from DOMAIN; NIC is an alias, a MAC, a host device or a PCI address that matches exactly one.

    The detach is done once the guest has let go. Until then 'list' shows the NIC, the journal keeps the detach as pending, and
    'recover' finishes it. A second detach of the NIC waits with the first.
    """
    perform.change(
        session, "detach", f"detaching from {domain}", lambda plugger: (plugger.detach, plugger.plan_detach),
        domain, nics, **arguments,
    )  # fmt: skip


@options.command(
    "update",
    "virtnetplug update web1 ua-1f0c --link down",
    "virtnetplug update web1 ua-1f0c --network blue --vlan none",
    "virtnetplug update web1 ua-1f0c --inbound 1000,2000,512 --persistent",
    "virtnetplug update web1 ua-vf0 --vlan 42 --trust yes --max-rate 1000",
    "virtnetplug update web1 ua-1f0c --mtu 9000 --replace",
)
@options.domain_argument()
@options.nic_argument()
@options.nic_options(for_update=True)
@options.xml_option(multiple=False)
@options.replace_option
@options.operation_options(
    "If the NIC is replaced: wait this long for the guest to let go of it; then the update is pending (exit code 75)"
)
def update(session: Session, domain: str, nic: str, texts: dict[str, str], xml: str | None, **arguments: Any) -> None:
    """Change the properties of NIC that the flags name; or replace its whole element by --xml.

    A value of 'none' (or nothing, as in --vlan=) removes a property.
    """
    if xml is not None and texts:
        named = ", ".join(f"--{name}" for name in texts)
        raise UsageError(f"--xml is the whole new element, so {named} has no place beside it; write it into the XML.")
    changes = changes_from_values(texts) if xml is None else read_elements([xml])[0]
    perform.change(
        session, "update", f"updating {nic} of {domain}", lambda plugger: (plugger.update, plugger.plan_update),
        domain, nic, changes, **arguments,
    )  # fmt: skip


@options.command("recover", "virtnetplug recover", "virtnetplug recover web1 --wait 300", "virtnetplug recover --plan")
@options.domain_argument(required=False)
@options.wait_option(
    "Wait this long for the guest of each open operation, for the lock of each domain, and for another call that works on an operation",
    default=0.0,
    lock="",
)
@click.option(
    "--allow-taint", is_flag=True,
    help="Have QEMU remove a NIC that libvirt no longer knows; libvirt then marks the running domain as tainted.",
)  # fmt: skip
@click.option(
    "--any-address",
    is_flag=True,
    help="Attach a NIC at another guest address if something else has its own (place-taken).",
)
@click.option(
    "--forget", metavar="ID", default="",
    help="Close the operation ID. Its guest was saved, ended in an unknown way, has the NIC connected to something else, "
    "or lacks a NIC that cannot be attached again.",
)  # fmt: skip
@options.plan_option()
def recover(session: Session, domain: str | None, **arguments: Any) -> None:
    """Finish or undo what was interrupted on DOMAIN, or on all domains; safe at any time, and twice.

    Finished are a detach, a healing ('rebind --heal'), a replacement or hand-over that waits for its guest, and the rebind of a PF after its change.
    Any other operation that was not committed is undone.

    An operation that another call works on is left to that call, which is named (operation-busy; operation-stalled if it makes no progress). --wait
    waits for the call first.

    Exit code 75 while a guest holds a NIC, or another call an operation or a domain; 5 if something could not be undone.
    """
    perform.change_several(
        session, perform.RECOVERY, lambda plugger: (plugger.recover, plugger.plan_recover), domain, **arguments
    )


@click.group(
    "plan",
    cls=LazyGroup,
    names=("attach", "detach", "update", "rebind", "handover", "handback", "recover", "audit"),
    subcommand_metavar="OPERATION [ARGS]...",
    examples=("virtnetplug plan attach web1 --network default", "virtnetplug plan recover"),
)
@click.pass_obj
def plan(session: Session) -> None:
    """Say what OPERATION would do, touching nothing: the steps, the XML diff, and what speaks against it.

    The same as OPERATION with --plan. Exit code 3 if it would be refused.
    """
    session.is_plan = True
