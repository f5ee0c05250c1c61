"""metrics and serve: the journal alone, no hypervisor."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.environment import environment
from tests.unit.cli.fakes import TREE, FakePlugger, FakeWiring
from virtnetplug.cli.session import Session
from virtnetplug.errors import ConnectionFailed, ConnectionLost

JOURNALS = """
import sys
from virtnetplug.cli import main
class Journal:
    def open_operations(self, *_, **__): return ()
    def operation_totals(self): return [("attach", "", "bridge", "done", "none", 3)]
    def durations(self): return ()
    def compensation_totals(self): return ()
    def nics(self, *_, **__): return ()
    def holdings(self): return ()
    def close(self): pass
class wiring:
    def journal(*_, **__): return Journal()
code = main(wiring, sys.argv[1:])
print(" ".join(sys.modules), file=sys.stderr)
sys.exit(code)
"""
ENVIRONMENT = environment()
SAMPLE = 'virtnetplug_operations_total{device_type="bridge",operation="attach",reason="none",result="done"} 3.0'


def test_metrics_prints_the_exposition_and_imports_no_hypervisor():
    done = subprocess.run(
        [sys.executable, "-c", JOURNALS, "metrics"], capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    assert SAMPLE in done.stdout.splitlines()
    modules = done.stderr.split()
    assert [name for name in ("libvirt", "lxml", "pyroute2", "tenacity") if name in modules] == []
    assert "prometheus_client" in modules


def test_metrics_in_json():
    done = subprocess.run(
        [sys.executable, "-c", JOURNALS, "metrics", "--json"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    document = json.loads(done.stdout)
    assert list(document) == ["result", "reason", "message", "exit_code", "exposition"]
    assert SAMPLE in document["exposition"].splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_answers_until_it_is_told_to_stop(number):
    process = subprocess.Popen(
        [sys.executable, "-c", JOURNALS, "serve", "--listen", "127.0.0.1:0", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            lines = ""
            while not lines.endswith("}\n"):
                lines += process.stdout.readline()
            document = json.loads(lines)
            assert (document["result"], document["exit_code"]) == ("serving", 0)
            with urllib.request.urlopen(f"http://{document['listen']}/metrics") as answer:
                assert SAMPLE in answer.read().decode().splitlines()
        finally:
            process.send_signal(number)
    assert process.returncode == 0


def test_a_connection_that_was_lost_is_opened_again_for_the_next_look():
    first, second = FakePlugger(), FakePlugger()
    wiring = FakeWiring(plugger=first)
    with Session(wiring, connect="qemu:///system").looks() as looks:
        assert looks["devices"]() is TREE
        first.raises, wiring.open_raises = ConnectionLost("gone"), ConnectionFailed("its daemon hangs")
        with pytest.raises(ConnectionFailed):
            looks["devices"]()
        wiring.open_raises, wiring.plugger = None, second
        assert (looks["devices"](), looks["states"]()) == (TREE, {})
        assert (first.is_closed, second.is_closed, len(wiring.opened)) == (True, False, 3)
    assert second.is_closed
