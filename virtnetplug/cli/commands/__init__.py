"""The commands, in modules that are imported when one of their commands is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import click

from virtnetplug.cli.options import WithGlobals
from virtnetplug.cli.output import write
from virtnetplug.cli.session import Session

COMMANDS: dict[str, tuple[str, str]] = {
    "attach": ("change", "Attach NICs to a domain."),
    "detach": ("change", "Detach NICs from a domain."),
    "update": ("change", "Change a NIC of a domain."),
    "rebind": ("rebind", "Connect a NIC elsewhere, or reconnect it."),
    "handover": ("identity", "Let a fast NIC take an emulated one's place."),
    "handback": ("identity", "Attach the emulated NIC again in its place."),
    "identity": ("identity", "Show or delete what domains remember of emulated NICs."),
    "policy": ("identity", "Set which emulated NICs are unplugged, which NIC serves; ask why."),
    "list": ("look", "List NICs with their states."),
    "show": ("look", "Show everything about one NIC."),
    "plan": ("change", "Say what a command would do, and touch nothing."),
    "recover": ("change", "Finish or undo what was interrupted or is pending."),
    "audit": ("look", "Compare the views of every NIC and repair what is safe."),
    "devices": ("look", "Show the host's SR-IOV devices and who has them."),
    "doctor": ("look", "Say whether this host is fit for SR-IOV hot-plug."),
    "history": ("look", "List past operations."),
    "metrics": ("tools", "Print metrics for Prometheus."),
    "serve": ("tools", "Answer Prometheus over HTTP."),
    "demo": ("tools", "Show it all on a small virtual machine."),
    "completion": ("tools", "Print the shell completion script."),
}
"""The module of each command, and what help says of the command."""
HIDDEN = {"man": ("tools", "Write the man pages.")}

_NOTES = (
    "Exit codes: 0 done. 1 audit found a disagreement, or doctor an unfit host.",
    "2 usage. 3 refused, and nothing touched. 4 failed and undone. 5 not everything",
    "undone (run 'virtnetplug recover'). 70 internal error. 75 pending: the guest",
    "still holds a NIC, or the operation waits ('virtnetplug recover --wait 60').",
    "129, 130, 143 interrupted by SIGHUP, SIGINT (Ctrl-C), SIGTERM.",
)
_EXAMPLES = (
    "virtnetplug attach web1 --network default --model virtio",
    "virtnetplug list web1",
    "virtnetplug detach web1 ua-1f0c",
)


class LazyGroup(WithGlobals, click.Group):
    """A group of commands whose modules are imported one at a time."""

    def __init__(self, *, names: Iterable[str], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._table = {name: entry for name, entry in {**COMMANDS, **HIDDEN}.items() if name in names}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, the hidden ones left out."""
        return [name for name in self._table if name not in HIDDEN]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command, imported now; None if no command has this name."""
        if name not in self._table:
            return None
        module, text = self._table[name]
        within = vars(importlib.import_module(f"virtnetplug.cli.commands.{module}")).values()
        found = next(each for each in within if isinstance(each, click.Command) and each.name == name)
        found.short_help = text
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as click does, and propose near matches for a name that no command has."""
        name = args[0]
        if name not in self._table and not name.startswith("-") and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), n=2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"There is no command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands from the table, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._table[name][1]) for name in self.list_commands(ctx)])


def root() -> click.Group:
    """The whole program as a click group; its context's object is the `Session`."""

    @click.group(
        "virtnetplug", cls=LazyGroup, names=(*COMMANDS, *HIDDEN), notes=_NOTES, examples=_EXAMPLES,
        subcommand_metavar="COMMAND [ARGS]...",
    )  # fmt: skip
    @click.option(
        "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
    )
    def virtnetplug() -> None:
        """Hot-plug the network devices of running libvirt guests.

        Each operation is one journaled transaction: it is done, or undone, or kept until the guest lets go.
        """

    return virtnetplug


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("virtnetplug")
    except PackageNotFoundError:
        number = "unknown"
    session = ctx.ensure_object(Session)
    if session.is_json:
        from virtnetplug.cli.render import document

        session.write_document(document(version=number))
    else:
        write(f"virtnetplug {number}\n")
    ctx.exit()
