"""The journal as metric families, named and labelled by Prometheus' conventions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from virtnetplug.hotplug.engine.kinds import keeps_nics
from virtnetplug.hotplug.look.open_operations import asked, names_of, states
from virtnetplug.lifecycle import GONE, State
from virtnetplug.metrics.lent import pool_devices, quarantined, vf_counters
from virtnetplug.metrics.pending import since_when
from virtnetplug.model.device_tree import DeviceTree
from virtnetplug.model.operation import NicRecord, OperationRecord, OperationState
from virtnetplug.ports.store import Journal

_DEVICE = (
    *("uri", "domain", "domain_uuid", "alias", "mac", "type"),
    *("source", "network", "model", "target", "frontend", "backend"),
)


Look = Callable[[], DeviceTree]
"""A look at the host's SR-IOV devices; raises a `VirtnetplugError` where that cannot be had."""

States = Callable[[], Mapping[tuple[str, str], tuple[State, State]]]
"""A look at the frontend and backend of NICs, by domain UUID and alias, where a hypervisor's host shows them by itself."""


def exposition(journal: Journal, devices: Look | None = None, states: States | None = None) -> bytes:
    """All metrics in Prometheus' text format (UTF-8), as the journal is now; raises what the journal (and the looks) raises."""
    return generate_latest(registry(journal, devices, states))


def registry(journal: Journal, devices: Look | None = None, states: States | None = None) -> CollectorRegistry:
    """A registry with nothing but this journal, and what the host shows if asked for: each collection looks anew."""
    found = CollectorRegistry(auto_describe=False)
    found.register(JournalCollector(journal, devices, states))
    return found


class JournalCollector(Collector):
    """Reads the journal at each collection.

    Labels are bounded, but for those of ``virtnetplug_device_info``, which is there to be joined with, and of the VFs' counters,
    which are about NICs.
    """

    def __init__(self, journal: Journal, devices: Look | None = None, states: States | None = None) -> None:
        self._journal = journal
        self._look, self._states = devices, states

    def collect(self) -> Iterator[Metric]:
        """All families, their series in a stable order."""
        totals = sorted(self._journal.operation_totals())
        open_operations = self._journal.open_operations()
        yield _operations(totals)
        yield self._durations()
        yield self._in_progress({(operation, kind) for operation, kind, *_ in totals}, open_operations)
        yield from _pending(open_operations)
        yield self._compensations()
        yield _devices(self._journal.nics(), open_operations, self._states() if self._states is not None else {})
        yield quarantined(self._journal.holdings())
        if self._look is not None:
            tree = self._look()
            yield from pool_devices(tree)
            yield from vf_counters(tree)

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "virtnetplug_operation_duration_seconds",
            "Time that ended operations spent in each phase, one observation per operation and phase.",
            labels=["operation", "phase", "kind"],
        )
        for operation, kind, phase, histogram in sorted(self._journal.durations(), key=lambda series: series[:3]):
            buckets = [("+Inf" if math.isinf(bound) else str(bound), count) for bound, count in histogram.buckets]
            family.add_metric([operation, phase, *_kind(kind)], buckets, histogram.sum)
        return family

    def _in_progress(self, known: set[tuple[str, str]], operations: Sequence[OperationRecord]) -> Metric:
        family = GaugeMetricFamily(
            "virtnetplug_operations_in_progress",
            "Operations that a living process is working on.",
            labels=["operation", "kind"],
        )
        running = Counter(dict.fromkeys(known, 0))
        for record in operations:
            if record.state is OperationState.RUNNING and self._journal.is_owner_alive(record):
                running[record.operation, record.kind] += 1
        for (operation, kind), count in sorted(running.items()):
            family.add_metric([operation, *_kind(kind)], count)
        return family

    def _compensations(self) -> Metric:
        family = CounterMetricFamily(
            "virtnetplug_compensations_total",
            "Steps that were undone (done), and attempts to undo one that failed (failed).",
            labels=["step", "result"],
        )
        for step, result, count in sorted(self._journal.compensation_totals()):
            family.add_metric([step, result], count)
        return family


def _operations(totals: Sequence[tuple[str, str, str, str, str, int]]) -> Metric:
    family = CounterMetricFamily(
        "virtnetplug_operations_total",
        "Operations that ended, by how they ended and why.",
        labels=["operation", "device_type", "result", "reason", "kind"],
    )
    for operation, kind, *labels, count in totals:
        family.add_metric([operation, *(_said(str(label)) for label in labels), *_kind(kind)], count)
    return family


def _pending(operations: Sequence[OperationRecord]) -> Iterator[Metric]:
    moments = [moment for record in operations for moment in since_when(record)]
    yield GaugeMetricFamily(
        "virtnetplug_detach_pending", "NICs whose guest was asked to let go and has not yet.", value=len(moments)
    )
    oldest = GaugeMetricFamily(
        "virtnetplug_oldest_detach_pending_timestamp_seconds",
        "When the guest that has kept a NIC longest was asked to let go (Unix time); absent while none is pending.",
    )
    # Absent, not 0 or NaN: `time() - this > 300` then finds nothing when nothing is pending.
    if moments:
        oldest.add_metric([], min(moments))
    yield oldest


def _devices(
    nics: Sequence[NicRecord],
    operations: Sequence[OperationRecord],
    shown: Mapping[tuple[str, str], tuple[State, State]],
) -> Metric:
    family = GaugeMetricFamily(
        "virtnetplug_device_info",
        "NICs that virtnetplug plugged and that are not known to be gone; always 1.",
        labels=_DEVICE,
    )
    leaves = asked(record for record in operations if not keeps_nics(record))
    for nic in nics:
        if (nic.frontend, nic.backend) == GONE:
            continue  # the definition alone has it
        names = names_of(nic.alias, nic.mac)
        is_leaving = any((nic.hypervisor, nic.domain_uuid, name) in leaves for name in names)
        frontend, backend = shown.get((nic.domain_uuid, nic.alias), states(nic, is_leaving=is_leaving))
        values = {name: getattr(nic, name) for name in _DEVICE if name != "domain"}
        values |= {"domain": nic.domain_name, "frontend": frontend, "backend": backend}
        family.add_metric([_said(str(values[name])) for name in _DEVICE], 1)
    return family


def _kind(kind: str) -> list[str]:
    """The label, last of its family's, of an operation that has one. Without it a series is the one of earlier versions."""
    return [kind] if kind else []


def _said(label: str) -> str:
    """Prometheus drops an empty label, and a series without its target label joins with nothing."""
    return label if label not in ("", "-") else "none"
