"""xenstore's tools: what they print, how they fail, and what they tell while they watch."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.unit.adapters.xen.recorded_store import RecordedStore
from virtnetplug.adapters.xen import tools
from virtnetplug.adapters.xen.tools import Done, Tools
from virtnetplug.errors import XenStoreFailed


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is first on the PATH, for tools of our own."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def write_tool(place: Path, name: str, script: str) -> None:
    (place / name).write_text(f"#!/bin/sh\n{script}\n")
    (place / name).chmod(0o755)


def test_values_are_read_as_they_were_written() -> None:
    store = RecordedStore()
    store.lines = [r'/a/b = "a\nb"c\001 = d\\n\xe9\t"', '/a/c = ""', "/a/d:", '/ab/e = "1"']
    assert Tools(store).tree("/a") == {"b": 'a\nb"c\x01 = d\\n\xe9\t', "c": "", "d": None}


def test_a_path_that_is_not_there_is_empty() -> None:
    assert Tools(RecordedStore()).tree("/a") == {}
    assert Tools(RecordedStore()).children("/a") == frozenset()


def test_a_listing_in_which_something_was_removed_is_begun_anew() -> None:
    store, calls = RecordedStore(), []
    store.lines = ['/a/b = "1"']

    def run(words: Sequence[str]) -> Done:
        calls.append(words)
        if len(calls) < 3:
            return Done(words, 1, '/a/b = ""\n', "xenstore-ls: xs_directory (/a/b): No such file or directory\n")
        return store(words)

    assert Tools(run).tree("/a") == {"b": "1"}
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("xenstore-ls: xs_open: Permission denied", "Run this as root"),
        ("xenstore-ls: xs_open: No such file or directory", "Check that this is a Xen host's dom0"),
        ("xenstore-ls: xs_directory (/a/b): Permission denied", "Run this as root"),
    ],
)
def test_a_store_that_cannot_be_asked_is_an_error_and_not_empty(said: str, remedy: str) -> None:
    with pytest.raises(XenStoreFailed, match=remedy) as failure:
        Tools(lambda words: Done(words, 1, "", f"{said}\n")).tree("/a")
    assert said.removeprefix("xenstore-ls: ") in failure.value.message


def test_a_write_that_fails_is_said() -> None:
    with pytest.raises(XenStoreFailed, match=r"/b cannot be written \(could not write path /b\)"):
        Tools(lambda words: Done(words, 1, "", "xenstore-write: could not write path /b")).write("/b", "2")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_removal_that_fails_is_said_unless_there_is_nothing(is_there: bool) -> None:
    def run(words: Sequence[str]) -> Done:
        if words[0] == "xenstore-rm":
            return Done(words, 1, "", "xenstore-rm: could not remove path /a/b")
        return Done(words, 0, "b\nc\n" if is_there else "c\n", "")

    with pytest.raises(XenStoreFailed, match="/a/b cannot be removed") if is_there else nullcontext():
        Tools(run).remove("/a/b")


def test_a_backslash_is_written_as_it_is() -> None:
    store = RecordedStore()
    Tools(store).write("/a", "\\n")
    assert store.written == [["/a", "\\\\n"]]


def test_without_the_tools_their_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(XenStoreFailed, match="Install xenstore-utils"):
        Tools().tree("/a")
    with pytest.raises(XenStoreFailed, match="Install xenstore-utils"), tools.watch(["/a"]):
        pass


def test_a_store_that_does_not_answer_is_not_waited_for(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "ANSWER_SECONDS", 0.2)
    write_tool(tool, "xenstore-ls", "exec sleep infinity")
    write_tool(tool, "xenstore-watch", "exec sleep infinity")
    with pytest.raises(XenStoreFailed, match=r"has not answered for 0\.2 s"):
        Tools().tree("/a")
    with pytest.raises(XenStoreFailed, match=r"has set no watch for 0\.2 s"), tools.watch(["/a"]):
        pass


def test_a_watch_is_set_when_each_path_has_been_told(tool: Path) -> None:
    write_tool(
        tool, "xenstore-watch", 'echo "$1"; sleep 0.2; echo "$2"; sleep 0.2; echo /a/b; echo /a/c; exec sleep 60'
    )
    start = time.monotonic()
    with tools.watch(["/a", "/b"]) as changes:
        assert time.monotonic() - start >= 0.2
        assert changes.next(20)
        while changes.next(0.3):
            pass
        assert not changes.next(0.01)


def test_a_watch_that_ends_is_said(tool: Path) -> None:
    write_tool(tool, "xenstore-watch", 'echo "$1"')
    with tools.watch(["/a"]) as changes, pytest.raises(XenStoreFailed, match="has ended"):
        changes.next(20)


def test_nothing_watches_on_after_the_watch(tool: Path) -> None:
    write_tool(tool, "xenstore-watch", f'echo $$ > {tool}/pid; echo "$1"; exec sleep 60')
    with tools.watch(["/a"]):
        pid = int((tool / "pid").read_text())
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
