"""``list``, ``show``, ``audit``, ``history``, ``devices`` and ``doctor``: what looks at NICs and hosts. Only ``audit --repair`` changes something."""

from __future__ import annotations

import click

from virtnetplug.cli import options, views
from virtnetplug.cli.complete import soon
from virtnetplug.cli.session import Session


@options.command("list", "virtnetplug list", "virtnetplug list web1 --json")
@options.domain_argument(required=False)
def list_(session: Session, domain: str | None) -> None:
    """List the NICs of DOMAIN, or of all domains, with their two states.

    A NIC is listed as long as the guest has it. A NIC that waits for its guest to let go is marked pending. Below the table is a line for each guest
    with NICs that must be detached before a live migration.
    """
    session.ask("reading the NICs", lambda plugger: plugger.list(domain), views.of_list)


@options.command("show", "virtnetplug show web1 ua-1f0c", "virtnetplug show web1 vnet3 --xml")
@options.domain_argument()
@options.nic_argument()
@click.option(
    "--xml", "only_xml", is_flag=True, help="Print the live element alone (the config one if it is not live)."
)
def show(session: Session, domain: str, nic: str, only_xml: bool) -> None:
    """Show everything about NIC of DOMAIN: its properties, its XML in both definitions, its operations."""
    answer = views.of_element if only_xml else views.of_detail
    session.ask(f"reading {nic}", lambda plugger: plugger.show(domain, nic), answer)


@options.command("audit", "virtnetplug audit", "virtnetplug audit web1 --repair", "virtnetplug audit --plan")
@options.domain_argument(required=False)
@click.option("--repair", is_flag=True, help="Repair what is safe to repair; with --plan only say what that would be.")
@options.plan_option("Say what --repair would do about each finding.")
def audit(session: Session, domain: str | None, repair: bool) -> None:
    """Compare live XML, config XML, network ports, host links and the journal, for DOMAIN or all domains.

    Exit code 1 while a disagreement remains.
    """
    mends = repair and not session.is_plan
    with session.plugger("auditing", read_only=not mends) as plugger:
        found = plugger.audit(domain)
        if mends and found.findings:
            found = plugger.repair(found)
    session.answer(*views.of_audit(found, has_plan=session.is_plan))


@options.command("history", "virtnetplug history", "virtnetplug history web1 --limit 100 --json")
@options.domain_argument(required=False)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=20, metavar="N", help="Most operations to list (default 20)."
)
def history(session: Session, domain: str | None, limit: int) -> None:
    """List past operations, newest first, on DOMAIN or on all, from the journal.

    The operations on DOMAIN are listed under whatever name it had. A name that no domain has now is looked for among the names of that time. The
    hypervisor says which domain has the name, if it answers within a second; else the journal decides.

    --connect lists only the operations of that hypervisor, however its URI was spelled. Name another host by the URI that the journal has (--json
    shows it).
    """
    names = dict(soon(lambda: session.wiring.domains(session.uri).items())) if domain is not None else {}
    with session.journal() as journal:
        records = journal.history(uri=session.connect or None, domain=domain, names=names, limit=limit)
        # Perhaps an id, or a UUID in another spelling.
        if domain is not None and not records and names and domain not in names.values():
            for uuid in soon(lambda: [session.wiring.uuid_of(session.uri, domain)]):
                records = journal.history(uri=session.connect or None, domain=uuid, names=names, limit=limit)
    session.answer(*views.of_history(records))


@options.command("devices", "virtnetplug devices", "virtnetplug devices --json")
def devices(session: Session) -> None:
    """Show every SR-IOV network device of this host: each PF with its VFs, who has them, their settings and their health.

    Only root can see who holds a VF open and how it is set. What could not be looked at is named at the end.
    """
    session.ask("looking at the devices", lambda plugger: plugger.devices(), views.of_devices)


@options.command("doctor", "virtnetplug doctor", "virtnetplug doctor --json")
def doctor(session: Session) -> None:
    """Say whether this host is fit for SR-IOV hot-plug, and what is missing, each with its remedy.

    Exit code 0 if the host is fit, 1 if something is missing; a warning alone makes no host unfit.
    """
    with session.progress("looking at this host"):
        diagnosis = session.wiring.doctor(session.uri)
    session.answer(*views.of_diagnosis(diagnosis))
