"""The journal, and what the host shows, as metric families that are named and labelled by Prometheus' conventions."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from virtnetplug.hotplug.engine.kinds import keeps_nics
from virtnetplug.hotplug.look.open_operations import asked, names_of, states
from virtnetplug.lifecycle import GONE, State
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import DeviceState, DeviceTree
from virtnetplug.model.operation import Half, NicRecord, OperationRecord, OperationState, Step, StepState
from virtnetplug.ports.store import Journal

_DEVICE = (
    *("uri", "domain", "domain_uuid", "alias", "mac", "type"),
    *("source", "network", "model", "target", "frontend", "backend"),
)

_OF_A_VF = ("domain", "domain_uuid", "alias", "pf", "vf")
_COUNTERS = {
    "rx_packets": ("receive_packets", "Frames that VFs lent to guests received."),
    "tx_packets": ("transmit_packets", "Frames that VFs lent to guests sent."),
    "rx_bytes": ("receive_bytes", "Bytes that VFs lent to guests received."),
    "tx_bytes": ("transmit_bytes", "Bytes that VFs lent to guests sent."),
    "broadcast": ("receive_broadcast_packets", "Broadcast frames that VFs lent to guests received."),
    "multicast": ("receive_multicast_packets", "Multicast frames that VFs lent to guests received."),
    "rx_dropped": ("receive_dropped_packets", "Frames to VFs lent to guests that were dropped."),
    "tx_dropped": ("transmit_dropped_packets", "Frames of VFs lent to guests that were dropped."),
}
"""By field of `VfCounters`, the name between ``virtnetplug_vf_`` and ``_total``, and the text."""

_MAY_GO = (StepState.DONE, StepState.UNDO_FAILED)
"""States of a step ``ask`` after which the guest may let go at any time."""

Look = Callable[[], DeviceTree]
"""A look at the host's SR-IOV devices; raises a `VirtnetplugError` where the host cannot be looked at."""

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

    Labels are bounded, except those of ``virtnetplug_device_info``, which is made for joins, and those of the VFs' counters,
    which are about NICs.
    """

    def __init__(self, journal: Journal, devices: Look | None = None, states: States | None = None) -> None:
        self._journal = journal
        self._look, self._states = devices, states

    def collect(self) -> Iterator[Metric]:
        """All families, their series in a stable order."""
        totals = sorted(self._journal.operation_totals())
        open_operations = self._journal.open_operations()
        yield _counter(
            "virtnetplug_operations",
            "Operations that ended, by how they ended and why.",
            ["operation", "device_type", "result", "reason", "kind"],
            (
                ([operation, *(_said(str(label)) for label in labels), *_kind(kind)], count)
                for operation, kind, *labels, count in totals
            ),
        )
        yield self._durations()
        yield self._in_progress({(operation, kind) for operation, kind, *_ in totals}, open_operations)
        yield from _pending(open_operations)
        yield _counter(
            "virtnetplug_compensations",
            "Steps that were undone (done), and attempts to undo one that failed (failed).",
            ["step", "result"],
            (([step, result], count) for step, result, count in sorted(self._journal.compensation_totals())),
        )
        yield _devices(self._journal.nics(), open_operations, self._states() if self._states is not None else {})
        yield _quarantined(self._journal.holdings())
        if self._look is not None:
            tree = self._look()
            yield from _pool_devices(tree)
            yield from _vf_counters(tree)

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
        running = Counter(dict.fromkeys(known, 0))
        for record in operations:
            if record.state is OperationState.RUNNING and self._journal.is_owner_alive(record):
                running[record.operation, record.kind] += 1
        return _gauge(
            "virtnetplug_operations_in_progress",
            "Operations that a living process is working on.",
            ["operation", "kind"],
            (([operation, *_kind(kind)], count) for (operation, kind), count in sorted(running.items())),
        )


def _pending(operations: Sequence[OperationRecord]) -> Iterator[Metric]:
    moments = [moment for record in operations for moment in since_when(record)]
    yield _gauge(
        "virtnetplug_detach_pending",
        "NICs whose guest was asked to let go and has not yet.",
        [],
        [([], len(moments))],
    )
    # Absent, not 0 or NaN: `time() - this > 300` then finds nothing when nothing is pending.
    yield _gauge(
        "virtnetplug_oldest_detach_pending_timestamp_seconds",
        "When the guest that has kept a NIC longest was asked to let go (Unix time); absent while none is pending.",
        [],
        [([], min(moments))] if moments else [],
    )


def since_when(record: OperationRecord) -> list[float]:
    """For each NIC of an open operation whose guest was asked to let go and has not yet, since when (Unix seconds).

    The steps decide, whichever operation it is and whether its process lives. A pending operation waits for at least one
    guest, whatever its steps say.
    """
    asked = {step.nic: step for step in record.steps if step.name == "ask"}
    moments: dict[str, float] = {}
    for step in record.steps:
        if step.name != "guest_release" or step.half is Half.CONFIG:
            continue
        ask = asked.get(step.nic)
        if _is_awaited(step, ask):
            moment = _since(record, step, ask)
            moments[step.nic] = min(moment, moments.get(step.nic, moment))
    if not moments and record.state is OperationState.PENDING:
        return [record.started]
    return list(moments.values())


def _is_awaited(release: Step, ask: Step | None) -> bool:
    """A release is planned in the journal until its process stops waiting for it; that the guest was asked is there at once."""
    if release.state is StepState.STARTED:
        return ask is None or ask.state is not StepState.UNDONE
    return release.state is StepState.PLANNED and ask is not None and ask.state in _MAY_GO


def _since(record: OperationRecord, release: Step, ask: Step | None) -> float:
    """When the guest had been asked first: a process that takes the operation up asks again."""
    moments = [] if release.started is None else [release.started]
    if ask is not None and ask.started is not None and ask.seconds is not None:
        moments.append(ask.started + ask.seconds)
    return min(moments, default=record.started)


def _devices(
    nics: Sequence[NicRecord],
    operations: Sequence[OperationRecord],
    shown: Mapping[tuple[str, str], tuple[State, State]],
) -> Metric:
    leaves = asked(record for record in operations if not keeps_nics(record))
    found = []
    for nic in nics:
        if (nic.frontend, nic.backend) == GONE:
            continue  # the definition alone has it
        names = names_of(nic.alias, nic.mac)
        is_leaving = any((nic.hypervisor, nic.domain_uuid, name) in leaves for name in names)
        frontend, backend = shown.get((nic.domain_uuid, nic.alias), states(nic, is_leaving=is_leaving))
        values = {name: getattr(nic, name) for name in _DEVICE if name != "domain"}
        values |= {"domain": nic.domain_name, "frontend": frontend, "backend": backend}
        found.append(([_said(str(values[name])) for name in _DEVICE], 1))
    text = "NICs that virtnetplug plugged and that are not known to be gone; always 1."
    return _gauge("virtnetplug_device_info", text, _DEVICE, found)


def _quarantined(holdings: Sequence[Holding]) -> Metric:
    counts = Counter({holding.network or "none": 0 for holding in holdings})
    counts.update(holding.network or "none" for holding in holdings if holding.quarantine)
    return _gauge(
        "virtnetplug_quarantined_devices",
        "Host devices that could not be restored and are lent to nobody, by the pool they belong to.",
        ["pool"],
        (([pool], count) for pool, count in sorted(counts.items())),
    )


def _pool_devices(tree: DeviceTree) -> Iterator[Metric]:
    """Every VF is in one state; a VF of several pools is counted in each."""
    found = []
    for pf in tree.pfs:
        node = "none" if pf.device.numa_node is None else str(pf.device.numa_node)
        counts = Counter(vf.state for vf in pf.vfs)
        for pool in pf.pools or ("none",):
            found += [([pool, str(pf.device.address), node, state.value], counts[state]) for state in DeviceState]
    yield _gauge(
        "virtnetplug_pool_devices",
        "VFs of this host by pool (none: in no pool), PF, NUMA node and state.",
        ["pool", "pf", "numa_node", "state"],
        found,
    )
    yield _gauge(
        "virtnetplug_pf_link_up",
        "Whether a PF's link is up: one that is down lends nothing.",
        ["pf"],
        (([str(pf.device.address)], int(pf.link_up)) for pf in tree.pfs),
    )


def _vf_counters(tree: DeviceTree) -> Iterator[Metric]:
    """What VFs lent to guests carried since their PF made them, by guest, NIC and VF.

    There is no family where nothing was counted, as on a PF whose driver counts nothing.
    """
    lent = []
    for pf in tree.pfs:
        for vf in pf.vfs:
            if vf.counters is not None:
                user = next(user for user in vf.users if user.view == "domain")
                addresses = (str(pf.device.address), str(vf.device.address))
                lent.append(([user.domain, user.domain_uuid, user.nic or "none", *addresses], vf.counters))
    for field, (name, text) in _COUNTERS.items() if lent else ():
        series = ((labels, getattr(counters, field)) for labels, counters in lent)
        yield _counter(f"virtnetplug_vf_{name}", text, _OF_A_VF, series)


def _filled(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    name: str,
    text: str,
    labels: Sequence[str],
    series: Iterable[tuple[Sequence[str], float]],
) -> Metric:
    family = kind(name, text, labels=labels)
    for values, value in series:
        family.add_metric(values, value)
    return family


_counter = functools.partial(_filled, CounterMetricFamily)
_gauge = functools.partial(_filled, GaugeMetricFamily)


def _kind(kind: str) -> list[str]:
    """The last label of a family, for an operation that has a kind. Without a kind the series is that of earlier versions."""
    return [kind] if kind else []


def _said(label: str) -> str:
    """Prometheus drops an empty label, and a series without its target label joins with nothing."""
    return label if label not in ("", "-") else "none"
