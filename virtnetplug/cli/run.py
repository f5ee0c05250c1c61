"""One run: parse, do, answer, and turn whatever happened into an exit code and a paragraph."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

import click

from virtnetplug import interruption
from virtnetplug.cli import complete
from virtnetplug.cli.commands import root
from virtnetplug.cli.output import OutputFailed, open_closed_streams, settle, silence, write_error
from virtnetplug.cli.session import Session
from virtnetplug.errors import UsageError, VirtnetplugError

if TYPE_CHECKING:
    from virtnetplug.cli.session import Wiring


def run(wiring: Wiring, argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    with interruption.listening():
        open_closed_streams()
        try:
            return _run(wiring, list(sys.argv[1:] if argv is None else argv))
        finally:
            settle()


def _run(wiring: Wiring, arguments: Sequence[str]) -> int:
    # Looked for before anything is parsed: a usage error is answered in JSON, too.
    is_json = "--json" in takewhile(lambda argument: argument != "--", arguments)
    session = Session(wiring, is_json=is_json)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name outside the terminal's encoding is no error
    if instruction := os.environ.get(complete.VARIABLE):
        return _complete(session, instruction)
    try:
        with interruption.allowed(each=True):
            program = root()
            with program.make_context("virtnetplug", list(arguments), obj=session) as context:
                program.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the one place that answers for every fault
        return _fail(session, error)
    return session.exit_code


def _complete(session: Session, instruction: str) -> int:
    """Do what the shell's script asked through the environment. Standard error is silent until the process ends."""
    from click.shell_completion import shell_complete

    silence(sys.stderr)  # the descriptor itself, since libvirt's C code writes to it too
    try:
        return shell_complete(root(), {"obj": session}, "virtnetplug", complete.VARIABLE, instruction)
    except Exception:  # noqa: BLE001 - completion must not disturb the shell, whatever went wrong
        return 1


def _fail(session: Session, error: BaseException) -> int:
    """Answer the error as text or JSON, and return its exit code."""
    interruption.defer()
    if session.verbosity > 1:
        import traceback

        write_error("".join(traceback.format_exception(error)))
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not session.is_json:
        write_error(error.format_message() + "\n")
        return UsageError.exit_code
    fault = _fault(error, session)
    session.exit_code = fault.exit_code
    try:
        from virtnetplug.cli.render import document_from_error

        document = session.warned(document_from_error(fault))
        if session.is_json and not isinstance(error, OutputFailed):
            session.write_document(document)
        else:
            from virtnetplug.cli.table import prose

            left = "".join(f"  not undone: {prose(failure)}\n" for failure in fault.undo_failures)
            write_error(f"virtnetplug: {prose(fault.message)} [{fault.reason}]\n{left}")
    except OutputFailed:
        pass  # the exit code still tells
    return fault.exit_code


def _fault(error: BaseException, session: Session) -> VirtnetplugError:
    """`error` as one of ours, with a message a person can act on."""
    if isinstance(error, VirtnetplugError):
        return error
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = "" if context is None else f" Try '{context.command_path} --help'."
        return UsageError(f"{error.format_message()}{hint}")
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        stop = error if isinstance(error, KeyboardInterrupt) else KeyboardInterrupt()
        message = "Interrupted; nothing was touched."
        if session.may_have_effects:
            message = (
                "Interrupted. What could be undone was undone; whatever is left is in the journal, "
                "and 'virtnetplug recover' finishes or undoes it."
            )
        return interruption.interrupted(message, stop)
    if isinstance(error, OutputFailed):
        return VirtnetplugError(
            f"The answer could not be written ({error}); what the command did stands. "
            "Look with 'virtnetplug history', and free space where the output goes.",
            reason="output-failed",
        )
    return VirtnetplugError(
        f"This is a bug in virtnetplug ({type(error).__name__}: {error}). "
        "Run the same command with -vv to see where it happened, and report it with that text; "
        "'virtnetplug recover' settles whatever the command left open."
    )
