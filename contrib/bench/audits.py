"""Figure 4: an audit of a thousand domains, against fetching and parsing their definitions and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator

import libvirt
from lxml import etree
from stage import Stage
from table import Row

from tests.real.namespace import PLACE

DOMAINS, NICS = 1000, 8


def measure(stage: Stage) -> Iterator[Row]:
    """libvirt's test driver runs the domains: inside this process, so that the floor is as low as it can be."""
    path = PLACE / "thousand.xml"
    path.write_text(nodes(DOMAINS))
    uri = f"test://{path}"
    connection = stage.connect(uri)
    plugger = stage.plugger(uri, "audit")
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(-1, stage.rounds(15)):
        for which in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            seen = plugger.audit() if which == 0 else _fetch_and_parse(connection)
            spent = (time.perf_counter() - start) * 1000
            domains, nics = seen if isinstance(seen, tuple) else (seen.domains, seen.nics)
            assert (domains, nics) == (DOMAINS, DOMAINS * NICS), (domains, nics)
            if number >= 0:
                times[which].append(spent)
    yield Row(f"audit of {DOMAINS:,} domains with {NICS} NICs", "fetch and parse", "ms", *times, most=1.25)


def _fetch_and_parse(connection: libvirt.virConnect) -> tuple[int, int]:
    nics = 0
    domains = connection.listAllDomains()
    for domain in domains:
        live = etree.fromstring(domain.XMLDesc(0))
        etree.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        nics += len(live.findall("devices/interface"))
    return len(domains), nics


def nodes(number: int) -> str:
    """What the test driver reads: that many running domains, and the networks of their NICs."""
    networks = "".join(f"<network><name>net{nic}</name><bridge name='virbr{nic}'/></network>" for nic in range(NICS))
    return f"<node>{networks}{''.join(map(_domain, range(number)))}</node>"


def _domain(number: int) -> str:
    nics = "".join(
        f"<interface type='bridge'><mac address='52:54:{number >> 8:02x}:{number & 255:02x}:00:{nic:02x}'/>"
        f"<source bridge='virbr{nic}'/><target dev='tap{number}-{nic}'/><model type='virtio'/></interface>"
        for nic in range(NICS)
    )
    return (
        f"<domain type='test' id='{number + 1}'><name>vm{number}</name><memory>65536</memory><vcpu>1</vcpu>"
        f"<os><type>hvm</type></os><devices>{nics}</devices></domain>"
    )
