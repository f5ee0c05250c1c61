"""One run of the program: the global options, what the composition root gives, and the one way out for answers."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar

import click

from virtnetplug import interruption
from virtnetplug.cli.output import write, write_error
from virtnetplug.cli.table import may_colour, prose
from virtnetplug.errors import ConnectionLost

if TYPE_CHECKING:
    from virtnetplug.cli.progress import Progress
    from virtnetplug.cli.render import Document
    from virtnetplug.hotplug.plugger import Plugger
    from virtnetplug.lifecycle import State
    from virtnetplug.model.audit import Diagnosis
    from virtnetplug.model.host_device import DeviceTree
    from virtnetplug.model.operation import Event
    from virtnetplug.ports.store import Journal

T = TypeVar("T")
Answer = tuple[dict[str, Any], str]
"""The JSON document (`render.document`), and the text for people, styled for a terminal with colours."""


class Wiring(Protocol):
    """The composition root, as the commands see it; each call imports only what it needs."""

    def open(
        self,
        uri: str | None,
        *,
        state_dir: Path | None,
        read_only: bool,
        on_event: Callable[[Event], None] | None,
    ) -> Plugger:
        """Connect; `uri` None means the hypervisor's own default."""

    def journal(self, state_dir: Path | None, *, read_only: bool) -> Journal:
        """The journal alone, with no hypervisor connection."""

    def doctor(self, uri: str | None) -> Diagnosis:
        """Look at this host; libvirt's absence is a finding, not an error. Needs no journal."""

    def demo(self, say: Callable[[str], None], *, keep: bool) -> int:
        """Run the demonstration and return its exit code; `keep` leaves its directory in place."""

    def domains(self, uri: str | None) -> Mapping[str, str]:
        """The name of each domain, by its UUID, over a read-only connection; nothing is written."""

    def uuid_of(self, uri: str | None, domain: str) -> str:
        """The UUID of the domain of that UUID, name or id, in the same way; raises `DomainMissing`."""


class Looks(TypedDict, total=False):
    """What metrics may look at beside the journal (`metrics.exposition`)."""

    devices: Callable[[], DeviceTree]
    states: Callable[[], Mapping[tuple[str, str], tuple[State, State]]]


class _Looker:
    """Looks through one connection for a long time, from many threads. A connection that was lost is opened again.

    libvirt's library connects by itself never again: neither to a daemon that was restarted, nor after a keepalive that a hung daemon did not answer.
    """

    def __init__(self, connect: Callable[[], Plugger]) -> None:
        self._connect, self._plugger = connect, connect()
        self._connecting = threading.Lock()

    def ask(self, look: Callable[[Plugger], T]) -> T:
        """Raises `ConnectionLost` at once while another thread connects, which may take long."""
        plugger = self._plugger
        try:
            return look(plugger)
        except ConnectionLost:
            if not self._connecting.acquire(blocking=False):
                raise
        try:
            if self._plugger is plugger:
                self._plugger = self._connect()
                plugger.close()
        finally:
            self._connecting.release()
        return look(self._plugger)

    def close(self) -> None:
        self._plugger.close()


@dataclass(slots=True)
class Session:
    """The global options as far as they were given, and the exit code so far."""

    wiring: Wiring
    connect: str = ""
    state: Path | None = None
    is_json: bool = False
    is_plan: bool = False
    verbosity: int = 0
    is_colourless: bool = False
    exit_code: int = 0
    may_have_effects: bool = False
    heard: list[str] = field(default_factory=list)
    """The warnings that were published and not written yet."""

    @property
    def uri(self) -> str | None:
        """``--connect``, else LIBVIRT_DEFAULT_URI, else None for the hypervisor's own choice."""
        return self.connect or os.environ.get("LIBVIRT_DEFAULT_URI") or None

    @property
    def state_dir(self) -> Path | None:
        """``--state-dir``, else VIRTNETPLUG_STATE_DIR, else None for the default."""
        named = os.environ.get("VIRTNETPLUG_STATE_DIR")
        return self.state or (Path(named) if named else None)

    @contextmanager
    def progress(self, doing: str) -> Iterator[Progress]:
        """Progress on standard error, as the options want it; with -vv also debug logging."""
        from virtnetplug.cli import progress

        if self.verbosity > 1:
            import logging

            logging.basicConfig(
                level=logging.DEBUG, format="%(relativeCreated)8.0f ms  %(name)s: %(message)s", force=True
            )
        with progress.Progress(
            sys.stderr, is_quiet=self.is_json, is_verbose=self.verbosity > 0, patience=progress.PATIENCE
        ) as shown:
            shown.say(doing)
            yield shown

    @contextmanager
    def plugger(self, doing: str, *, read_only: bool) -> Iterator[Plugger]:
        """An open plugger; `doing` says for what, should it take long."""
        with self.progress(f"connecting to {self.uri or 'the default hypervisor'}") as progress:

            def hear(event: Event) -> None:
                if event.kind == "warning":
                    self.heard.append(event.text)
                progress.hear(event)

            wired = self.wiring.open(self.uri, state_dir=self.state_dir, read_only=read_only, on_event=hear)
            # What a backend of a package prints is no part of an answer.
            with redirect_stdout(sys.stderr), wired as plugger:
                progress.say(doing)
                if not read_only:
                    self.may_have_effects = True
                    interruption.defer()  # from here on the plugger says what becomes of an interruption
                yield plugger

    def journal(self) -> closing[Journal]:
        """The journal for reading, with no hypervisor connection."""
        return closing(self.wiring.journal(self.state_dir, read_only=True))

    @contextmanager
    def looks(self) -> Iterator[Looks]:
        """Looks at the host, if a hypervisor was named by ``--connect``; else none."""
        if not self.connect:
            yield {}
            return

        def connect() -> Plugger:
            return self.wiring.open(self.uri, state_dir=self.state_dir, read_only=True, on_event=None)

        with closing(_Looker(connect)) as looker:
            yield {
                "devices": lambda: looker.ask(lambda plugger: plugger.devices()),
                "states": lambda: looker.ask(lambda plugger: plugger.states()),
            }

    def ask(
        self, doing: str, call: Callable[[Plugger], T], answer: Callable[[T], Answer], *, read_only: bool = True
    ) -> None:
        """Ask the plugger, and answer what it says."""
        with self.plugger(doing, read_only=read_only) as plugger:
            found = call(plugger)
        self.answer(*answer(found))

    def answer(self, document: Document, text: str) -> None:
        """Write the document (JSON) or the text for people to standard output, and the warnings; the document's exit code is the run's."""
        self.exit_code = document["exit_code"]
        document = self.warned(document)
        if late := interruption.came():
            self.warn(f"{late} came when it was too late to leave anything undone; the command has ended as it says.")
        if self.is_json:
            self.write_document(document)
        else:
            write(text if may_colour(sys.stdout, wants_colour=not self.is_colourless) else click.unstyle(text))

    def warned(self, document: Document) -> Document:
        """Write every warning to standard error, once, and return the document with those that were published. The text of a plan has the plan's own."""
        from virtnetplug.cli.render import warnings_of

        of_operations = warnings_of(document)
        own = document.get("warnings", [])
        others = [text for text in dict.fromkeys(self.heard) if text not in (*of_operations, *own)]
        self.heard.clear()
        for text in dict.fromkeys((*others, *of_operations)):
            self.warn(f"warning: {text}")
        return {**document, "warnings": [*others, *own]} if others else document

    def write_document(self, document: Document) -> None:
        """Write the document to standard output as JSON."""
        from virtnetplug.cli.render import dump

        write(dump(document) + "\n")

    def warn(self, text: str) -> None:
        """A line on standard error for people; JSON carries it in its document instead."""
        if not self.is_json or self.verbosity:
            write_error(f"virtnetplug: {prose(text)}\n")
