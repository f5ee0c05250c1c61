"""A machine that lacks what a fresh one is made of: one line says what, before anything is built."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

CONTRIB = Path(__file__).parents[3] / "contrib"
sys.path[:0] = [str(CONTRIB), str(CONTRIB / "lab")]

from fresh_machine import command_line, template  # noqa: E402
from host import needs  # noqa: E402

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that lacks nothing but a mirror that answers, with a cache and a bin directory of its own."""
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{bin_directory}:{os.environ['PATH']}")
    command(bin_directory, "mmdebstrap", f"touch {tmp_path}/built")
    command(bin_directory, "unshare", "exit 0")
    sources(tmp_path, monkeypatch, "deb http://127.0.0.1:1/debian bookworm main\n")
    return tmp_path


def command(directory: Path, name: str, line: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{line}\n")
    (directory / name).chmod(0o755)


def sources(directory: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Have apt know these alone."""
    (directory / "sources.list").write_text(text)
    (directory / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{directory}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(directory / "apt.conf"))


def refusal(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine: Path, *words: str) -> str:
    """The exit code and the only line."""
    monkeypatch.setattr(sys, "argv", ["contrib/fresh", *words])
    try:
        code = command_line.main()
    except SystemExit as end:
        code = end.code
    said = capfd.readouterr()
    assert said.out == "" and said.err.count("\n") == 1, said
    assert not (machine / "built").exists() and not template.home().exists()
    return f"{code} {said.err}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "2 fresh: the following arguments are required: RELEASE"),
        (["11", "make", "demo"], "2 fresh: argument RELEASE: invalid choice: '11' (choose from "),
        (["12"], "2 fresh: no command for the fresh Debian 12; for example: contrib/fresh 12 make demo"),
        (["--user", "13"], "2 fresh: no command for the fresh Debian 13"),
        (["--sudo", "13", "true"], "2 fresh: unrecognized arguments: --sudo"),
    ],
)
def test_usage(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine: Path, words: list[str], said: str
) -> None:
    assert refusal(capfd, monkeypatch, machine, *words).startswith(said)


def test_no_room(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: Usage(9e9, 9e9 - 3_999_999_999, 3_999_999_999))
    said = refusal(capfd, monkeypatch, machine, "12", "make demo")
    assert said.startswith(
        f"120 fresh: no room on the disk: {machine} has 3999 MB free, and 4000 MB are needed; make room"
    )


def test_no_namespaces_for_root(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    command(machine / "bin", "unshare", "echo Operation not permitted >&2; exit 1")
    said = refusal(capfd, monkeypatch, machine, "12", "make demo")
    assert said.startswith(
        "121 fresh: root may make no namespaces here (Operation not permitted); in a container, give"
    )


def test_no_user_namespaces(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    command(machine / "bin", "unshare", "exit 1")
    said = refusal(capfd, monkeypatch, machine, "12", "make demo")
    assert said.startswith("121 fresh: no user namespaces: run as root, or let this user have them: the package uidmap")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense\n", "122 fresh: no package index: apt's configuration names no Debian mirror"),
        ("", "122 fresh: no package index: apt's configuration names no Debian mirror; see 'apt-get update"),
        (
            "deb http://127.0.0.1:1/debian bookworm main\n",
            "122 fresh: no package index: http://127.0.0.1:1/debian/dists/",
        ),
    ],
)
def test_no_package_index(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine: Path, text: str, said: str
) -> None:
    sources(machine, monkeypatch, text)
    assert refusal(capfd, monkeypatch, machine, "13", "make demo").startswith(said)


def test_no_mmdebstrap_as_an_ordinary_user(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    said = refusal(capfd, monkeypatch, machine, "12", "make demo")
    assert said.startswith("123 fresh: mmdebstrap is not installed; as root, run: apt-get install")


def test_a_mirror_that_fails_half_way(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine: Path
) -> None:
    command(machine / "bin", "mmdebstrap", "exit 25")
    monkeypatch.setattr(needs, "lacks_index", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["contrib/fresh", "12", "make demo"])
    assert command_line.main() == 125
    assert capfd.readouterr().err.endswith("fresh: no root file system of Debian 12: mmdebstrap ended with 25\n")
    assert list(template.home().glob(".debian-*")) == [] and not template.archive_of("12").exists()


def test_mmdebstrap_may_clean_up_when_it_is_interrupted(monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    def interrupted(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        while not started.exists():
            pass
        monkeypatch.setattr(subprocess.Popen, "wait", wait)
        raise KeyboardInterrupt

    started, cleaned, wait = machine / "started", machine / "cleaned", subprocess.Popen.wait
    trap = f"trap 'sleep 0.5; touch {cleaned}; exit 1' TERM"
    command(machine / "bin", "mmdebstrap", f"{trap}; touch {started}; while :; do sleep 0.1; done")
    template.home().mkdir(parents=True)
    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        template.ensure("12", "http://127.0.0.1:1/debian", [], lambda _text: None)
    assert cleaned.exists()
    assert list(template.home().glob(".debian-*")) == [] and not template.archive_of("12").exists()


def test_a_second_signal_does_not_stop_what_the_first_began() -> None:
    with pytest.raises(KeyboardInterrupt):
        command_line._end(signal.SIGINT, None)
    assert {signal.getsignal(number) for number in command_line.ENDING} == {signal.SIG_IGN}


def test_the_command_itself_ends_with_that_code() -> None:
    ran = subprocess.run([CONTRIB / "fresh", "11"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)


def test_another_repository_that_the_environment_names_is_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As git names one to its hooks."""
    seen: list[list[str]] = []

    def look(_: object) -> int:
        seen.append([name for name in os.environ if name.startswith("GIT_")])
        return 0

    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setattr(command_line, "_perform", look)
    monkeypatch.setattr(sys, "argv", ["contrib/fresh", "12", "true"])
    assert (command_line.main(), seen) == (0, [[]])


def test_every_file_that_the_clone_has_not_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = tmp_path / "checkout"
    place.mkdir()
    git = ["git", "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@b"]
    monkeypatch.setattr(command_line, "CHECKOUT", place)
    for whose in ("GLOBAL", "SYSTEM"):  # who signs commits, or has hooks, has them not here
        monkeypatch.setenv(f"GIT_CONFIG_{whose}", os.devnull)
    assert command_line._uncommitted() is None, "no repository"
    subprocess.run([*git, "init", "--quiet"], check=True)
    assert command_line._uncommitted() is None, "no commit"
    (place / "README.md").write_text("a")
    subprocess.run([*git, "add", "README.md"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=a"], check=True)
    subprocess.run([*git, "config", "status.showUntrackedFiles", "no"], check=True)
    subprocess.run([*git, "mv", "README.md", "READYOU.md"], check=True)
    os.mkdir(f"{place}/of")
    Path(os.fsdecode(os.fsencode(place) + b"/of/n\xe9w")).touch()
    assert sorted(command_line._uncommitted() or []) == ["README.md", "READYOU.md", "of/n\\xe9w"]


def test_an_option_after_the_release(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["contrib/fresh", "12", "--user", "id"])
    assert command_line.main() == 2
    assert capfd.readouterr().err == "fresh: --user comes before the release; see contrib/fresh --help\n"


def test_a_cache_that_cannot_be_written(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, machine: Path
) -> None:
    (machine / "cache").touch()
    monkeypatch.setattr(needs, "lacks_index", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["contrib/fresh", "12", "true"])
    assert command_line.main() == 120
    assert capfd.readouterr().err.endswith("or ~/.cache: is there room, and may you write?\n")
