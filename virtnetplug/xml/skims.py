"""What can be said of a definition as libvirt writes it without parsing it: for an audit of thousands.

libvirt has one formatter (``virXMLFormatElement``): single quotes, one space. Text that is written otherwise, or that
only looks like a NIC, makes the answers here cautious, never wrong.
"""

from __future__ import annotations

import re

from virtnetplug.xml.metadata import NAMESPACE

_VIF = re.compile(r"""\bvif=["']([^"']*)""")
_RUN = re.compile(r"<domain\s[^>]*\bid='(\d+)'")
_NAMES = (re.compile(r"<mac address='([^']*)'"), re.compile(r"<alias name='([^']*)'"))


def may_have_doubles(domain_xml: str) -> bool:
    """Whether two NICs may have the same MAC or alias; False is certain, True asks for a real look."""
    counts = []
    for pattern in _NAMES:
        found = pattern.findall(domain_xml)
        if len(set(found)) < len(found):
            return True
        counts.append(len(found))
    return counts[0] < domain_xml.count("<interface")


def serving(domain_xml: str) -> frozenset[str]:
    """The aliases that may be those of NICs which serve in the place of others, by virtnetplug's metadata in a definition."""
    return frozenset(_VIF.findall(domain_xml)) if NAMESPACE in domain_xml else frozenset()


def nic_count(domain_xml: str) -> int:
    """How many NICs a definition has, near enough to be told to people."""
    return domain_xml.count("</interface>")


def run_of(domain_xml: str) -> int | None:
    """The id of the run of the domain whose live definition this is (``virDomainDefFormatInternal``); None if it has none."""
    match = _RUN.match(domain_xml)
    return int(match.group(1)) if match else None


def has_own_netdevs(domain_xml: str) -> bool:
    """Whether the definition hands QEMU network backends past libvirt (``<qemu:commandline>``)."""
    return "qemu:arg" in domain_xml and "netdev" in domain_xml
