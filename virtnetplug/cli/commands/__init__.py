"""The commands: one module each, imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

import click

from virtnetplug.cli.options import CONTEXT, WithGlobals
from virtnetplug.cli.output import write
from virtnetplug.cli.session import Session

COMMANDS: dict[str, str] = {
    "attach": "Attach NICs to a domain.",
    "detach": "Detach NICs from a domain.",
    "update": "Change a NIC of a domain.",
    "rebind": "Connect a NIC elsewhere, or reconnect it.",
    "handover": "Let a fast NIC take an emulated one's place.",
    "handback": "Attach the emulated NIC again in its place.",
    "identity": "Show or delete what domains remember of emulated NICs.",
    "policy": "Set which emulated NICs are unplugged, which NIC serves; ask why.",
    "list": "List NICs with their states.",
    "show": "Show everything about one NIC.",
    "plan": "Say what a command would do, and touch nothing.",
    "recover": "Finish or undo what was interrupted or is pending.",
    "audit": "Compare the views of every NIC and repair what is safe.",
    "devices": "Show the host's SR-IOV devices and who has them.",
    "doctor": "Say whether this host is fit for SR-IOV hot-plug.",
    "history": "List past operations.",
    "metrics": "Print metrics for Prometheus.",
    "serve": "Answer Prometheus over HTTP.",
    "demo": "Show it all on a small virtual machine.",
    "completion": "Print the shell completion script.",
}
HIDDEN: dict[str, str] = {"man": "Write the man pages."}
PLANNED = ("attach", "detach", "update", "rebind", "handover", "handback", "recover", "audit")

_EPILOG = """\b
Exit codes: 0 done, 1 audit found a disagreement or doctor an unfit host,
2 usage, 3 refused and nothing touched, 4 failed and undone, 5 not everything
undone (run 'virtnetplug recover'), 70 internal error, 75 pending: the guest
still holds a NIC, or the operation waits ('virtnetplug recover --wait 60'),
129, 130, 143 interrupted by SIGHUP, SIGINT (Ctrl-C), SIGTERM.

\b
Examples:
  virtnetplug attach web1 --network default --model virtio
  virtnetplug list web1
  virtnetplug detach web1 ua-1f0c"""


class LazyGroup(WithGlobals, click.Group):
    """A group whose commands are modules of this package, imported one at a time."""

    def __init__(self, *args: Any, names: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._names = names

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, the hidden ones left out."""
        return [name for name in self._names if name not in HIDDEN]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command, imported now; None if there is none of that name."""
        if name not in self._names:
            return None
        module = importlib.import_module(f"virtnetplug.cli.commands.{name}")
        found: click.Command = module.command
        found.short_help = self._names[name]
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with near matches for a name that is none."""
        name = args[0]
        if name not in self._names and not name.startswith("-") and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), n=2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"There is no command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options, then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._names[name]) for name in self.list_commands(ctx)])


def root() -> click.Group:
    """The whole program as a click group; its context's object is the `Session`."""

    @click.group(
        "virtnetplug", cls=LazyGroup, names={**COMMANDS, **HIDDEN}, context_settings=CONTEXT, epilog=_EPILOG,
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
