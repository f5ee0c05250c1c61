"""A command that has commands of its own, all in one module: ``virtnetplug identity show``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from virtnetplug.cli.options import CONTEXT, WithGlobals


class Group(WithGlobals, click.Group):
    """A group with the global options."""


def group(name: str, **attributes: Any) -> Callable[[Callable[..., Any]], Group]:
    """One; `epilog` lines are kept as they are."""
    if "epilog" in attributes:
        attributes["epilog"] = "\b\n" + attributes["epilog"]
    return click.group(name, cls=Group, context_settings=CONTEXT, subcommand_metavar="COMMAND [ARGS]...", **attributes)
