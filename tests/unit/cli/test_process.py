"""What only a process of its own shows: what is imported, Ctrl-C, a terminal, shells."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

from tests.environment import environment
from tests.unit.cli.process import ENVIRONMENT, FAKES, program

HEAVY = ("libvirt", "lxml", "prometheus_client", "tenacity", "pyroute2", "sqlite3", "virtnetplug.app")
LIGHT = """
class Plugger:
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def list(self, domain=None): return ()
    def attach(self, domain, nics, **_):
        from virtnetplug.model.operation import Outcome, Result
        return Outcome(operation="attach", domain=domain, result=Result.DONE)
    plan_attach = None
class Journal:
    def history(self, **_): return ()
    def close(self): pass
class wiring:
    def open(*_, **__): return Plugger()
    def journal(*_, **__): return Journal()
"""


def imported(*words: str) -> set[str]:
    after = "print('\\n' + ' '.join(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [*program(between=LIGHT, after=after), *words], capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("words", "own"),
    [
        ("--version", set()),
        ("--help", set()),
        ("attach --help", {"change"}),
        ("list", {"look"}),
        ("list --json", {"look"}),
        ("attach web1 --network a", {"change"}),
        ("history", {"look"}),
        ("completion bash", {"tools"}),
    ],
)
def test_only_what_a_command_needs_is_imported(words, own):
    modules = imported(*words.split())
    assert [name for name in HEAVY if name in modules] == []
    assert "virtnetplug.cli.run" in modules
    package = "virtnetplug.cli.commands."
    assert {name.removeprefix(package) for name in modules if name.startswith(package)} == own


def test_the_package_alone_imports_no_click():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, virtnetplug.cli; print('click' in sys.modules)"],
        capture_output=True, text=True, env=ENVIRONMENT, check=True,
    )  # fmt: skip
    assert done.stdout == "False\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_wait(number):
    between = (
        f"{FAKES}; import time; from virtnetplug import interruption\n"
        "def wait():\n"
        "    with interruption.allowed():\n"
        "        print('ready', file=sys.__stdout__, flush=True), time.sleep(3600)\n"
        "wiring.plugger.while_running = wait"
    )
    process = subprocess.Popen(
        [*program(between=between), "detach", "web1", "x"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 128 + number
    assert "virtnetplug recover" in err
    assert "Traceback" not in err


def test_a_terminal_gets_a_coloured_table_and_a_status_line():
    between = f"{FAKES}; progress.PATIENCE = 0; wiring.plugger.while_running = input"
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*program(between=between), "list"], stdin=subprocess.PIPE, stdout=follower, stderr=follower, env=ENVIRONMENT
    )
    os.close(follower)
    text = _read(leader, until=r"\rreading the NICs \(\d+ s\)\x1b\[K")
    process.communicate(b"\n")
    text += _read(leader)
    os.close(leader)
    assert process.returncode == 0
    table = text.rpartition("\r\x1b[K")[2]
    assert "\x1b[32mConnected" in table


def test_a_name_outside_the_encoding_is_no_error():
    between = (
        f"{FAKES}; from dataclasses import replace; wiring.plugger.nics = (replace(fakes.NIC, domain='w\u00e9b'),)"
    )
    done = subprocess.run(
        [*program(between=between), "list"], capture_output=True, env=environment(PYTHONIOENCODING="ascii")
    )
    assert (done.returncode, b"w\\xe9b" in done.stdout) == (0, True)


def complete(words: list[str], current: str, between: str = FAKES) -> tuple[list[str], str]:
    environment = {
        **ENVIRONMENT, "_VIRTNETPLUG_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["virtnetplug", *words, current]), "COMP_CWORD": str(len(words) + 1),
    }  # fmt: skip
    done = subprocess.run(program(between=between), capture_output=True, text=True, env=environment)
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line], done.stderr


@pytest.mark.parametrize(
    ("words", "current", "expected"),
    [
        (["list"], "", ["db", "web1", "web2"]),
        (["detach"], "we", ["web1", "web2"]),
        (["-c", "test:///default", "plan", "detach"], "we", ["web1", "web2"]),
        (["detach", "web1"], "", ["ua-1f0c", "vnet3"]),
        (["show", "web1"], "ua", ["ua-1f0c"]),
        ([], "det", ["detach"]),
        (["plan"], "re", ["rebind", "recover"]),
        (["attach", "web1"], "--netw", ["--network"]),
        (["completion"], "", ["bash", "zsh", "fish"]),
    ],
)
def test_completion(words, current, expected):
    assert complete(words, current) == (expected, "")


@pytest.mark.parametrize(
    "fault",
    [
        "wiring.open_raises = RuntimeError('x'); wiring.names = None",
        "import os, time; wiring.domains = lambda uri: (os.write(2, b'libvirt: error'), time.sleep(3600))",
        "wiring.domains = lambda uri: sys.exit(3)",
    ],
)
def test_completion_never_disturbs_the_shell(fault):
    between = f"{FAKES}; complete.PATIENCE = 0.1; {fault}"
    assert complete(["list"], "", between) == ([], "")
    assert complete(["detach", "web1"], "", f"{between}; wiring.open = wiring.domains")[1] == ""


@pytest.mark.parametrize(
    ("shell", "said"), [("bash", "complete -o"), ("zsh", "#compdef virtnetplug"), ("fish", "complete --no-files")]
)
def test_completion_scripts(shell, said, run):
    ran = run("completion", shell)
    assert ran.code == 0
    assert said in ran.out
    assert "_VIRTNETPLUG_COMPLETE" in ran.out
    assert json.dumps(ran.out.rstrip("\n")) == json.dumps(
        run("completion", shell, "--json").document["script"].rstrip("\n")
    )


def test_the_bash_script_works_in_a_bash(tmp_path):
    launcher = tmp_path / "virtnetplug"
    launcher.write_text(f"#!{sys.executable}\n{program()[2]}")
    launcher.chmod(0o755)
    script = """
        source <(virtnetplug completion bash)
        COMP_WORDS=(virtnetplug detach we); COMP_CWORD=2
        _virtnetplug_completion virtnetplug
        echo "${COMPREPLY[@]}"
    """
    environment = {**ENVIRONMENT, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("web1 web2\n", "")


def test_man_pages(tmp_path, run):
    ran = run("man", "--output", str(tmp_path / "man1"), "--json")
    assert ran.code == 0
    assert "virtnetplug.1" in ran.document["files"]
    page = (tmp_path / "man1" / "virtnetplug-attach.1").read_text()
    assert "\\-\\-network NAME" in page
    assert "ID[,ID\\[u2026]]" in page
    for name in ran.document["files"]:
        assert (tmp_path / "man1" / name).read_text().isascii()
    assert run("man", "--output", "/proc/none").code == 2


def _read(descriptor: int, until: str | None = None) -> str:
    """What comes until there is that pattern, or nothing more."""
    text = ""
    while until is None or not re.search(until, text):
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # the other end closed
            piece = b""
        if not piece:
            assert until is None, text
            return text
        text += piece.decode()
    return text
