"""VFs as metric families: who is short of them, and which are kept back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from virtnetplug.model.device_tree import DeviceState, DeviceTree
from virtnetplug.model.holding import Holding

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
"""By field of `VfCounters`, the name between ``virtnetplug_vf_`` and ``_total``, and what it is."""

_OF_A_VF = ("domain", "domain_uuid", "alias", "pf", "vf")


def quarantined(holdings: Sequence[Holding]) -> Metric:
    """From the journal alone."""
    family = GaugeMetricFamily(
        "virtnetplug_quarantined_devices",
        "Host devices that could not be given back as they were and are lent to nobody, by the pool they belong to.",
        labels=["pool"],
    )
    counts = Counter({holding.network or "none": 0 for holding in holdings})
    counts.update(holding.network or "none" for holding in holdings if holding.quarantine)
    for pool, count in sorted(counts.items()):
        family.add_metric([pool], count)
    return family


def pool_devices(tree: DeviceTree) -> Iterator[Metric]:
    """From a look at the host: every VF is in one state; one of several pools is counted in each."""
    family = GaugeMetricFamily(
        "virtnetplug_pool_devices",
        "VFs of this host by pool (none: in no pool), PF, NUMA node and state.",
        labels=["pool", "pf", "numa_node", "state"],
    )
    links = GaugeMetricFamily(
        "virtnetplug_pf_link_up", "Whether a PF's link is up: one that is down lends nothing.", labels=["pf"]
    )
    for pf in tree.pfs:
        node = "none" if pf.device.numa_node is None else str(pf.device.numa_node)
        counts = Counter(vf.state for vf in pf.vfs)
        for pool in pf.pools or ("none",):
            for state in DeviceState:
                family.add_metric([pool, str(pf.device.address), node, state.value], counts[state])
        links.add_metric([str(pf.device.address)], int(pf.link_up))
    yield family
    yield links


def vf_counters(tree: DeviceTree) -> Iterator[Metric]:
    """From the same look: what VFs lent to guests carried since their PF made them, by guest, NIC and VF.

    No family at all where nothing was counted, as on a PF whose driver counts nothing.
    """
    lent = [(pf, vf, vf.counters) for pf in tree.pfs for vf in pf.vfs if vf.counters is not None]
    for field, (name, text) in _COUNTERS.items() if lent else ():
        family = CounterMetricFamily(f"virtnetplug_vf_{name}", text, labels=_OF_A_VF)
        for pf, vf, counters in lent:
            user = next(user for user in vf.users if user.view == "domain")
            labels = [user.domain, user.domain_uuid, user.nic or "none", str(pf.device.address), str(vf.device.address)]
            family.add_metric(labels, getattr(counters, field))
        yield family
