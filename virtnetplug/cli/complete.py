"""Shell completion of domains and NICs: quick, silent, read-only, and never an error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import click

    from virtnetplug.cli.session import Session

PATIENCE = 1.0
"""Seconds that a hypervisor may take to answer; then the shell shows its prompt again."""
VARIABLE = "_VIRTNETPLUG_COMPLETE"
"""The environment variable by which the shell's script asks for completions."""
Answer = TypeVar("Answer")


def domains(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of domains that begin with what was typed."""
    session: Session = ctx.find_root().obj
    return _beginning(incomplete, soon(lambda: session.wiring.domains(session.uri).values()))


def nics(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Aliases, MACs and host devices of the domain's NICs that begin with what was typed."""
    session: Session = ctx.find_root().obj
    domain = ctx.params.get("domain")

    def names() -> list[str]:
        with session.wiring.open(session.uri, state_dir=session.state_dir, read_only=True, on_event=None) as plugger:
            found = plugger.list(domain)
        # A shell breaks words at the colons of a MAC, so an alias is offered where there is one.
        return [name for nic in found for name in (nic.alias or nic.mac, nic.target) if name]

    return _beginning(incomplete, soon(names)) if domain else []


def soon(ask: Callable[[], Iterable[Answer]]) -> list[Answer]:
    """What `ask` answers within `PATIENCE`, or nothing; a thread left behind ends with the process."""
    answers: list[Answer] = []

    def run() -> None:
        with suppress(BaseException):  # it is better to do without, whatever went wrong
            answers.extend(ask())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return answers.copy()


def _beginning(incomplete: str, names: list[str]) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete) and name.isprintable()})
