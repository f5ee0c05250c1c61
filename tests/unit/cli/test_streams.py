"""Standard streams that cannot be written or were closed: the exit code is the command's own, and there is no traceback."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.cli.process import ENVIRONMENT, FAKES, program

BROKEN = {"closed": ">&-", "full": ">/dev/full", "without a reader": ">&9"}
"""How bash gives the command such a stream."""
MISSING = "wiring.plugger.raises = __import__('virtnetplug.errors').errors.DomainMissing('x')"
LOGGED = "wiring.plugger.while_running = lambda: __import__('logging').getLogger('x').error('said')"
PIPE = "wiring.plugger.raises = BrokenPipeError('of the hypervisor')"


def run(words: str, streams: str, between: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `words` with the shell's redirections `streams`; 9 is a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [*program(between=f"{FAKES}; {between}"), *words.split()]
    try:
        return subprocess.run(
            ["bash", "-c", f'exec 9>&{writing}; exec "$@" {streams} 9>&-', "bash", *command],
            pass_fds=[writing],
            capture_output=True,
            text=True,
            env=ENVIRONMENT | variables,
        )
    finally:
        os.close(writing)


@functools.cache
def whole_run(words: str, between: str) -> subprocess.CompletedProcess[str]:
    """What `words` say where all can be written."""
    return run(words, "", between)


@pytest.mark.many(4)
@pytest.mark.parametrize("stream", BROKEN)
@pytest.mark.parametrize(
    ("between", "words", "code"),
    [
        (MISSING, "list", 3),
        ("wiring.plugger.raises = KeyError('x')", "list -vv", 70),
        ("wiring.plugger.warnings = ('x',)", "attach web1 --network a", 0),
        (LOGGED, "list -vv", 0),
        ("", "list -v", 0),
        ("", "demo", 0),
        ("", "", 2),
    ],
)
def test_standard_error_that_cannot_be_written_changes_nothing_else(stream, between, words, code):
    whole = whole_run(words, between)
    done = run(words, f"2{BROKEN[stream]}", between)
    assert (whole.returncode, done.returncode) == (code, code)
    assert (done.stdout, done.stderr) == (whole.stdout, "")


@pytest.mark.parametrize("stream", ["closed", "without a reader"])
@pytest.mark.parametrize(("words", "code"), [("list", 0), ("--help", 0), ("audit", 1)])
def test_an_answer_that_nobody_reads_is_no_fault(stream, words, code):
    done = run(words, BROKEN[stream])
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize("words", ["list", "attach --help", "--version", "demo"])
def test_a_full_disk_under_the_answer_is_said(words):
    done = run(words, ">/dev/full")
    assert done.returncode == 70
    assert "could not be written (No space left on device)" in done.stderr
    assert "bug" not in done.stderr


@pytest.mark.parametrize(("both", "code"), [("closed", 0), ("full", 70), ("without a reader", 0)])
@pytest.mark.parametrize("buffering", [{}, {"PYTHONUNBUFFERED": "1"}])
def test_both_at_once(both, code, buffering):
    assert run("list -v", f"{BROKEN[both]} 2{BROKEN[both]}", **buffering).returncode == code


def test_a_pipe_of_somebody_else_is_not_taken_for_the_reader():
    done = run("list", "", PIPE)
    assert done.returncode == 70
    assert "of the hypervisor" in done.stderr


def test_completion_without_a_reader_says_nothing():
    asked = {"_VIRTNETPLUG_COMPLETE": "bash_complete", "COMP_WORDS": "virtnetplug list ", "COMP_CWORD": "2"}
    assert "web1" in run("", "", **asked).stdout
    for stream in BROKEN.values():
        assert run("", stream, **asked).stderr == ""


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path):
    """libvirt writes its messages to descriptor 2, whatever that is."""
    links = tmp_path / "links"
    seen = "[__import__('os').readlink(f'/proc/self/fd/{number}') for number in range(3)]"
    between = f"wiring.plugger.while_running = lambda: open({str(links)!r}, 'w').write(repr({seen}))"
    assert run("list", "<&- >&- 2>&-", between).returncode == 0
    assert links.read_text() == repr(["/dev/null"] * 3)


def test_a_closed_standard_input_is_an_empty_one():
    done = run("attach web1 --xml -", "<&-")
    assert (done.returncode, done.stderr) == (0, "")
