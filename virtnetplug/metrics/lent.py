"""VFs as metric families: who is short of them, and which are kept back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from virtnetplug.model.device_tree import DeviceState, DeviceTree
from virtnetplug.model.holding import Holding


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
