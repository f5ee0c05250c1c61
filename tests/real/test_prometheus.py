"""A real Prometheus: its linter likes the metrics, its server scrapes them, its language finds what is pending."""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.real.namespace import wait_until
from tests.real.prometheus import program
from tests.unit.metrics.journal import START, scripted
from tests.unit.metrics.tree import look
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.metrics import Server, exposition, serve
from virtnetplug.model.operation import OperationState

CONFIG = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
  - job_name: virtnetplug
    static_configs: [{{targets: ["{address}"]}}]
"""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    journal = scripted(tmp_path / "state")
    yield journal
    journal.close()


@pytest.fixture
def server(journal: SqliteJournal) -> Iterator[Server]:
    reader = SqliteJournal.open(journal.directory, read_only=True)
    servers: queue.SimpleQueue[Server] = queue.SimpleQueue()
    thread = threading.Thread(target=serve, args=(reader, "127.0.0.1:0"), kwargs={"ready": servers.put})
    thread.start()
    server = servers.get()
    yield server
    server.stop()
    thread.join()
    reader.close()


class Prometheus:
    """A Prometheus that answers at `address`."""

    def __init__(self, address: str) -> None:
        self.address = address

    def query(self, expression: str) -> list[float]:
        """The values of an instant vector; none while it is not up yet."""
        url = f"http://{self.address}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(url) as answer:
                found = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            error.close()
            return []
        except OSError:
            return []
        return [float(sample["value"][1]) for sample in found]

    def wait(self, expression: str, values: list[float]) -> None:
        """Until the answer is `values`."""
        wait_until(lambda: self.query(expression) == values, f"{expression} to be {values}", 30)


@pytest.fixture
def prometheus(server: Server, tmp_path: Path) -> Iterator[Prometheus]:
    """One that scrapes `server` twice a second."""
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.format(address=server))
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = {"config.file": config, "storage.tsdb.path": tmp_path / "data", "web.listen-address": address}
    log = tmp_path / "prometheus.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [program("prometheus"), *(f"--{name}={value}" for name, value in options.items())],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
        ) as process,
    ):
        try:
            yield Prometheus(address)
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()


def test_promtool_finds_nothing_to_say(journal: SqliteJournal, tmp_path: Path) -> None:
    empty = SqliteJournal.open(tmp_path / "empty", read_only=True)
    for text in (exposition(journal, look), exposition(journal), exposition(empty)):
        ran = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    empty.close()


def test_promtool_would_say_it(journal: SqliteJournal) -> None:
    broken = exposition(journal).replace(b"virtnetplug_compensations_total", b"virtnetplug_compensations")
    ran = subprocess.run([program("promtool"), "check", "metrics"], input=broken, capture_output=True, check=False)
    assert ran.returncode == 3
    assert b'counter metrics should have "_total" suffix' in ran.stderr


def test_prometheus_scrapes_what_the_journal_says(prometheus: Prometheus, journal: SqliteJournal) -> None:
    prometheus.wait('up{job="virtnetplug"}', [1])
    prometheus.wait('virtnetplug_operations_total{operation="attach",device_type="bridge",result="done"}', [3])
    prometheus.wait("virtnetplug_detach_pending", [2])
    prometheus.wait(f"{START} - virtnetplug_oldest_detach_pending_timestamp_seconds > 299", [300])
    prometheus.wait(
        'histogram_quantile(0.5, sum by (le) (virtnetplug_operation_duration_seconds_bucket{operation="attach"}))',
        [0.005],
    )
    joined = 'virtnetplug_device_info * on () group_left virtnetplug_detach_pending{job="virtnetplug"}'
    prometheus.wait(joined, [2])

    for operation_id in ("pending", "waiting"):
        record = journal.operation(operation_id)
        assert record is not None
        journal.finish(operation_id, OperationState.DONE, result="done", owner=record.owner)
    prometheus.wait('virtnetplug_operations_total{operation="detach",reason="none",result="done"}', [1, 2])
    prometheus.wait("virtnetplug_detach_pending", [0])
    prometheus.wait("virtnetplug_oldest_detach_pending_timestamp_seconds > 0", [])
