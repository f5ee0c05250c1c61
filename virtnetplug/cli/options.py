"""The classes of commands and groups, which give each command the global options, and the options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from virtnetplug.cli import complete
from virtnetplug.cli.keys import KEYS, YES_NO, parsed, seconds
from virtnetplug.cli.output import write
from virtnetplug.cli.session import Session
from virtnetplug.model.operation import Scope

_F = TypeVar("_F", bound=Callable[..., Any])


class GlobalOption(click.Option):
    """An option that may stand before or after the command; the option after the command wins."""


class WithGlobals(click.Command):
    """A command that also takes the global options, and shows them last in its help, before the `notes` and `examples`."""

    def __init__(self, *, examples: Sequence[str] = (), notes: Sequence[str] = (), **attributes: Any) -> None:
        attributes["context_settings"] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        shown = ["Examples:", *(f"  {example}" for example in examples)] if examples else []
        epilog = "\n\n".join("\n".join(("\b", *lines)) for lines in (notes, shown) if lines)
        super().__init__(epilog=epilog, **attributes)
        self.params.extend(_global_options())

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Replace click's callback: help is written as all answers are, so that a failure to write is no internal error."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _write_help
        return option

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options of the command, the global ones, and the commands of a group."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for title, is_global in (("Options", False), ("Global options", True)):
            group = [option for option in options if isinstance(option, GlobalOption) is is_global]
            if records := [record for option in group if (record := option.get_help_record(ctx))]:
                with formatter.section(title):
                    formatter.write_dl(records)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


def _write_help(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        write(ctx.get_help() + "\n")
        ctx.exit()


class Command(WithGlobals):
    """A command, whose function gets the `Session` first. Boolean NIC flags need no ``yes``."""

    def __init__(self, *, callback: Callable[..., Any], **attributes: Any) -> None:
        super().__init__(callback=click.pass_obj(callback), **attributes)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, after ``--isolated`` alone has become ``--isolated=yes``."""
        return super().parse_args(ctx, _complete_booleans(args))


class Group(WithGlobals, click.Group):
    """A command that has commands of its own, such as ``virtnetplug identity show``."""

    command_class = Command


def command(name: str, *examples: str, hidden: bool = False) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a command."""
    return click.command(name, cls=Command, examples=examples, hidden=hidden)


def group(name: str, *examples: str) -> Callable[[Callable[..., Any]], Group]:
    """Make a function a group of commands."""
    return click.group(name, cls=Group, examples=examples, subcommand_metavar="COMMAND [ARGS]...")


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
    """``--live``, ``--config``, ``--persistent``: the function gets them as `scope`, which is None if none of them was given."""

    @functools.wraps(function)
    def scoped(*args: Any, live: bool, config: bool, persistent: bool, **others: Any) -> Any:
        scope = Scope.LIVE if live else Scope.CONFIG if config else None
        return function(*args, scope=Scope.BOTH if persistent or (live and config) else scope, **others)

    for name, text in (
        ("--persistent", "Change the running guest and its next boot (live and config)."),
        ("--config", "Change the persistent definition: what the next boot has."),
        ("--live", "Change the running guest."),
    ):
        scoped = click.option(name, is_flag=True, help=text)(scoped)
    return scoped  # type: ignore[return-value]


_LOCK = ". The lock of the domain is waited for as long, and at least 5 s"


def wait_option(text: str, *, default: float = 30.0, lock: str = _LOCK) -> Callable[[_F], _F]:
    """``--wait SECONDS``; its help says `text`, the default, and (`lock`) how long a lock is waited for."""
    return click.option(
        "--wait", default=f"{default:g}", metavar="SECONDS",
        callback=lambda ctx, param, value: parsed("--wait", seconds, value), help=f"{text} (default {default:g}){lock}.",
    )  # fmt: skip


replace_option = click.option(
    "--replace", is_flag=True,
    help="Where libvirt cannot change it in place, swap the NIC, keeping its MAC, alias and PCI address.",
)  # fmt: skip


def xml_option(*, multiple: bool) -> Callable[[_F], _F]:
    """``--xml FILE``."""
    text = "Read an <interface> element from FILE, or from standard input for -"
    several = "; repeat it for several NICs" if multiple else ""
    return click.option("--xml", multiple=multiple, metavar="FILE|-", help=f"{text}{several}.")


_PLAN = "Print what the command would do, or why it would be refused (exit code 3), and touch nothing."


def plan_option(text: str = _PLAN) -> Callable[[_F], _F]:
    """``--plan``: the session then plans."""
    return click.option(
        "--plan", "--dry-run", "is_plan", is_flag=True, expose_value=False, callback=_set_in_session, help=text
    )


def operation_options(wait: str) -> Callable[[_F], _F]:
    """The options of an operation on NICs of one domain: its scope, ``--wait``, whose help says `wait`, and ``--plan``."""
    return lambda function: scope_options(wait_option(wait)(plan_option()(function)))


def nic_options(*, for_update: bool, only: Sequence[str] | None = None) -> Callable[[_F], _F]:
    """A flag for each key, or each key of `only`: the function gets the texts of those that were given, by key name, as `texts`."""
    keys = [key for key in KEYS if (key.for_update or not for_update) and (only is None or key.name in only)]
    parameters = {key.name: f"nic_{key.name.replace('-', '_')}" for key in keys}

    def decorate(function: _F) -> _F:
        @functools.wraps(function)
        def with_texts(*args: Any, **others: Any) -> Any:
            given = {name: others.pop(parameter) for name, parameter in parameters.items()}
            return function(*args, texts={name: text for name, text in given.items() if text is not None}, **others)

        for key in reversed(keys):
            flags = [f"--{spelling}" for spelling in (key.name, *key.spellings)]
            text = f"{key.help[:-1]}; 'none' removes it." if for_update and key.can_clear else key.help
            with_texts = click.option(*flags, parameters[key.name], metavar=key.kind.metavar, help=text)(with_texts)
        return with_texts  # type: ignore[return-value]

    return decorate


def _complete_booleans(args: list[str]) -> list[str]:
    booleans = {f"--{key.name}" for key in KEYS if key.kind is YES_NO}
    found: list[str] = []
    for position, arg in enumerate(args):
        if arg == "--":
            return found + args[position:]
        following = args[position + 1 : position + 2]
        alone = arg in booleans and following not in (["yes"], ["no"], ["none"], [""])
        found.append(f"{arg}=yes" if alone else arg)
    return found


def _global_options() -> list[click.Parameter]:
    """The options that every command takes, each named as the field of the `Session` that it sets."""
    common: dict[str, Any] = {"expose_value": False, "callback": _set_in_session}
    return [
        GlobalOption(
            ["-c", "--connect", "connect"], metavar="URI", **common,
            help="Hypervisor to connect to; else LIBVIRT_DEFAULT_URI, else libvirt's own choice.",
        ),
        GlobalOption(
            ["--state-dir", "state"], metavar="DIR", type=click.Path(path_type=Path), **common,
            help="Directory of the journal; else VIRTNETPLUG_STATE_DIR, else /var/lib/virtnetplug for root, the XDG state directory for others.",
        ),
        GlobalOption(
            ["--json", "is_json"], is_flag=True, **common,
            help="Answer with one JSON document on standard output, errors too.",
        ),
        GlobalOption(
            ["-v", "--verbose", "verbosity"], count=True, **common,
            help="Say each step with its time; -vv adds debug logging and tracebacks.",
        ),
        GlobalOption(
            ["--no-color", "is_colourless"], is_flag=True, **common,
            help="No colour on a terminal; the environment's NO_COLOR does the same.",
        ),
    ]  # fmt: skip


def _set_in_session(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep an option that was given in the session; a count adds to the same option before the command."""
    if value is not None and value is not False:
        session, name = ctx.ensure_object(Session), str(param.name)
        is_count = isinstance(param, click.Option) and param.count
        setattr(session, name, getattr(session, name) + value if is_count else value)
