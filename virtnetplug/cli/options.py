"""Options that several commands share, and the command class that gives every one the global ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from virtnetplug.cli import complete, values
from virtnetplug.cli.keys import KEYS
from virtnetplug.cli.output import write
from virtnetplug.cli.session import Session
from virtnetplug.model.operation import Scope

_F = TypeVar("_F", bound=Callable[..., Any])

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class GlobalOption(click.Option):
    """An option that may stand before or after the command; the one after wins."""


class WithGlobals(click.Command):
    """A command that also takes the global options, and shows them last in its help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_global_options())

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """click's own, written as all answers are: one that cannot be written is no bug."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _write_help
        return option

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its own options, then those of all commands."""
        params = self.get_params(ctx)
        own = [param for param in params if isinstance(param, click.Option) and not isinstance(param, GlobalOption)]
        shared = [param for param in params if isinstance(param, GlobalOption)]
        for title, group in (("Options", own), ("Global options", [*shared])):
            records = [record for param in group if (record := param.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _write_help(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        write(ctx.get_help() + "\n")
        ctx.exit()


class Command(WithGlobals):
    """One command. Boolean NIC flags may be said without ``yes``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, once ``--isolated`` alone has become ``--isolated=yes``."""
        return super().parse_args(ctx, _complete_booleans(args))


def command(name: str, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A command with the global options; `epilog` lines are kept as they are."""
    if "epilog" in attributes:
        attributes["epilog"] = "\b\n" + attributes["epilog"]
    return click.command(name, cls=Command, context_settings=CONTEXT, **attributes)


def domain_argument(*, required: bool = True) -> Callable[[_F], _F]:
    """DOMAIN: a name, UUID or id."""
    return click.argument("domain", required=required, shell_complete=complete.domains)


def nic_argument(*, many: bool = False, required: bool = True) -> Callable[[_F], _F]:
    """NIC: an alias, MAC, host device or PCI address, that must match exactly one."""
    return click.argument(
        "nics" if many else "nic", metavar="NIC..." if many else "NIC" if required else "[NIC]", nargs=-1 if many else 1, required=required,
        shell_complete=complete.nics,
    )  # fmt: skip


def scope_options(function: _F) -> _F:
    """``--live``, ``--config``, ``--persistent``; `scope_from_flags` reads them."""
    for name, text in (
        ("--persistent", "Change the running guest and its next boot (live and config)."),
        ("--config", "Change the persistent definition: what the next boot has."),
        ("--live", "Change the running guest."),
    ):
        function = click.option(name, is_flag=True, help=text)(function)
    return function


def scope_from_flags(*, live: bool, config: bool, persistent: bool) -> Scope | None:
    """The scope the flags say; None where none was given (live)."""
    if persistent or (live and config):
        return Scope.BOTH
    return Scope.LIVE if live else Scope.CONFIG if config else None


_LOCK = ". The lock of the domain is waited for as long, and at least 5 s"


def wait_option(default: float, text: str, *, lock: str = _LOCK) -> Callable[[_F], _F]:
    """``--wait SECONDS``; its help says `text`, the default, and (`lock`) how long a lock is waited for."""
    said = f"{text} (default {default:g}){lock}."
    return click.option("--wait", default=f"{default:g}", metavar="SECONDS", callback=_seconds, help=said)


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    return values.seconds("--wait", value)


def xml_option(*, multiple: bool) -> Callable[[_F], _F]:
    """``--xml FILE``."""
    text = "Read an <interface> element from FILE, or from standard input for -"
    return click.option(
        "--xml",
        "xml",
        multiple=multiple,
        metavar="FILE|-",
        help=f"{text}{'; repeat it for several NICs' if multiple else ''}.",
    )


def plan_option(function: _F) -> _F:
    """``--plan``."""
    return click.option(
        "--plan", "--dry-run", "plan", is_flag=True,
        help="Print what the command would do, or why it would be refused (exit code 3), and touch nothing.",
    )(function)  # fmt: skip


def nic_options(*, for_update: bool, only: Sequence[str] | None = None) -> Callable[[_F], _F]:
    """A flag per key, or per key of `only`; `said` picks those that were given."""

    def decorate(function: _F) -> _F:
        for key in reversed(KEYS):
            if (for_update and not key.for_update) or (only is not None and key.name not in only):
                continue
            names = [f"--{spelling}" for spelling in (key.name, *key.spellings)]
            text = f"{key.help[:-1]}; 'none' removes it." if for_update and key.can_clear else key.help
            function = click.option(*names, _parameter(key.name), metavar=key.metavar, help=text)(function)
        return function

    return decorate


def said(parameters: dict[str, Any]) -> dict[str, str]:
    """The texts of the NIC flags that were given, by key name."""
    found = {key.name: parameters.get(_parameter(key.name)) for key in KEYS}
    return {name: value for name, value in found.items() if value is not None}


def _parameter(name: str) -> str:
    return f"nic_{name.replace('-', '_')}"


def _complete_booleans(args: list[str]) -> list[str]:
    booleans = {f"--{key.name}" for key in KEYS if key.is_boolean}
    found: list[str] = []
    for position, arg in enumerate(args):
        if arg == "--":
            return found + args[position:]
        following = args[position + 1 : position + 2]
        alone = arg in booleans and following not in (["yes"], ["no"], ["none"], [""])
        found.append(f"{arg}=yes" if alone else arg)
    return found


def _global_options() -> list[click.Parameter]:
    return [
        GlobalOption(
            ["-c", "--connect"], metavar="URI", expose_value=False, callback=_set_connect,
            help="Hypervisor to connect to; else LIBVIRT_DEFAULT_URI, else libvirt's own choice.",
        ),
        GlobalOption(
            ["--state-dir"], metavar="DIR", expose_value=False, callback=_set_state,
            help="Directory of the journal; else VIRTNETPLUG_STATE_DIR, else /var/lib/virtnetplug for root, the XDG state directory for others.",
        ),
        GlobalOption(
            ["--json"], is_flag=True, expose_value=False, callback=_set_json,
            help="Answer with one JSON document on standard output, errors too.",
        ),
        GlobalOption(
            ["-v", "--verbose"], count=True, expose_value=False, callback=_set_verbosity,
            help="Say each step with its time; -vv adds debug logging and tracebacks.",
        ),
        GlobalOption(
            ["--no-color"], is_flag=True, expose_value=False, callback=_set_colour,
            help="No colour on a terminal; the environment's NO_COLOR does the same.",
        ),
    ]  # fmt: skip


def _set_connect(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).connect = value


def _set_state(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).state = Path(value)


def _set_json(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Session).is_json |= value


def _set_verbosity(ctx: click.Context, param: click.Parameter, value: int) -> None:
    ctx.ensure_object(Session).verbosity += value


def _set_colour(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Session).wants_colour &= not value
