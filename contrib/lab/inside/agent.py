"""Runs inside a lab, as the one child of its init: prepares the host, then runs what it is told over the serial line.

One command for each boot. When told to, or when the other end is gone, it ends, and init powers off.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import frames

PREPARE = "/usr/lib/lab/prepare"
CHECKOUT = "/opt/virtnetplug"


def main() -> int:
    line = _open_port()
    _send(line, frames.control(stage="kernel and udev"))
    if not _prepare(line):
        return 1
    reader = frames.Reader()
    while data := os.read(line, 65536):
        for kind, payload in reader.feed(data):
            message = json.loads(payload) if kind == frames.CONTROL else {}
            if "run" in message:
                _send(line, frames.control(exit=_run(line, reader, message["run"], message.get("terminal"))))
            if "off" in message:
                return 0
    return 0


def _open_port() -> int:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for name in Path("/sys/class/virtio-ports").glob("*/name"):
            if name.read_text().strip() == frames.PORT:
                return os.open(f"/dev/{name.parent.name}", os.O_RDWR)
        time.sleep(0.05)
    sys.exit("agent: no serial line to the outside")


def _send(line: int, data: bytes) -> None:
    while data:
        data = data[os.write(line, data) :]


def _prepare(line: int) -> bool:
    """Make the host of this lab ready; each line its script prints is the name of a stage that is done."""
    with subprocess.Popen([PREPARE], stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        for stage in script.stdout:
            _send(line, frames.control(stage=stage.strip()))
    if script.returncode:
        _send(line, frames.control(failed=f"the host could not be prepared: code {script.returncode}"))
        return False
    _send(line, frames.control(ready=True))
    return True


def _run(line: int, reader: frames.Reader, command: list[str], terminal: dict[str, Any] | None) -> int:
    """Run one command and give its exit code, a shell's 128+N for one that a signal ended."""
    child, screen = _start_on_terminal(command, terminal) if terminal else _start_on_pipe(command)
    code = None
    while code is None:
        code = _poll(child)
        ready, _, _ = select.select([screen, line] if terminal else [screen], [], [], 0.2 if code is None else 0)
        # What is left in the pipe when the command has ended is still its output; of what it left behind, nothing is.
        while screen in ready and (output := _read(screen)):
            _send(line, frames.frame(frames.OUTPUT, output))
            ready, _, _ = select.select([screen, line] if terminal else [screen], [], [], 0)
        if screen in ready and code is None:  # closed, yet the command goes on
            code = _wait(child)
        if line in ready:
            _pass_on(reader, os.read(line, 65536), screen)
    os.close(screen)
    return code


def _start_on_pipe(command: list[str]) -> tuple[int, int]:
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(into, 1)
        os.dup2(into, 2)
        os.setsid()
        _become(command)
    os.close(into)
    return child, out


def _start_on_terminal(command: list[str], terminal: dict[str, Any]) -> tuple[int, int]:
    child, screen = pty.fork()
    if child == 0:
        os.environ["TERM"] = terminal["kind"]
        _become(command)
    _resize(screen, terminal["size"])
    return child, screen


def _become(command: list[str]) -> None:
    try:
        os.chdir(CHECKOUT)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _poll(child: int) -> int | None:
    pid, status = os.waitpid(child, os.WNOHANG)
    return _shell_code(status) if pid else None


def _wait(child: int) -> int:
    return _shell_code(os.waitpid(child, 0)[1])


def _shell_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _read(screen: int) -> bytes:
    try:
        return os.read(screen, 65536)
    except OSError:  # EIO: nobody has the terminal open any more
        return b""


def _pass_on(reader: frames.Reader, data: bytes, screen: int) -> None:
    for kind, payload in reader.feed(data):
        if kind == frames.INPUT:
            os.write(screen, payload)
        elif kind == frames.CONTROL and (size := json.loads(payload).get("resize")):
            _resize(screen, size)


def _resize(screen: int, size: list[int]) -> None:
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))


if __name__ == "__main__":
    sys.exit(main())
