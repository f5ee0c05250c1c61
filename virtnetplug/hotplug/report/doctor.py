"""Is this host fit for SR-IOV hot-plug, and what is missing: every check with its remedy; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from virtnetplug.errors import VirtnetplugError
from virtnetplug.model.audit import Check, Diagnosis, Verdict
from virtnetplug.model.host_device import VFIO_DRIVER, PciDevice
from virtnetplug.ports.host import HostDevices, HostFacts, Networks

OK, WARNING, UNKNOWN, MISSING = Verdict.OK, Verdict.WARNING, Verdict.UNKNOWN, Verdict.MISSING

NEEDED_LIBVIRT = (5, 5, 0)
"""``virNetworkPortCreateXML``: without it no VF of a pool can be reserved."""

TEAMING_LIBVIRT = (6, 1, 0)
"""``<teaming>``."""

_GRUB = "in GRUB_CMDLINE_LINUX of /etc/default/grub, then update-grub and reboot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far libvirt was reached: its `version`, or the `fault` that kept it away; then `networks` is None."""

    uri: str = ""
    version: tuple[int, int, int] | None = None
    networks: Networks | None = None
    fault: str = ""


def diagnose(facts: HostFacts, devices: HostDevices, reach: Reach) -> Diagnosis:
    """All checks, each depending only on those before it."""
    return Diagnosis(
        checks=(
            *_privileges(facts),
            *_iommu(facts),
            *_vfio(facts),
            *_functions(devices),
            *_libvirt(reach),
            *_memlock(facts, reach),
            *_pools(reach),
        )
    )


def _privileges(facts: HostFacts) -> Iterator[Check]:
    if facts.is_root():
        yield Check("privileges", OK, "root")
    else:
        found = "not root: nothing can be set of a VF, and not everything can be seen"
        yield Check("privileges", WARNING, found, remedy="run virtnetplug as root for hostdev NICs")


def _iommu(facts: HostFacts) -> Iterator[Check]:
    groups = facts.iommu_groups()
    if not groups:
        yield Check("iommu", MISSING, "off: no IOMMU groups", remedy=_iommu_remedy(facts))
        return
    yield Check("iommu", OK, f"on: {groups} groups")
    if facts.remaps_interrupts() is False:
        found = "the IOMMU does not remap interrupts, so VFIO refuses every device"
        remedy = "switch it on in the firmware (x2APIC, interrupt remapping), or on a virtual machine with intremap=on"
        yield Check("interrupt-remapping", MISSING, found, remedy=remedy)


def _iommu_remedy(facts: HostFacts) -> str:
    off = sorted({"iommu=off", "intel_iommu=off", "amd_iommu=off"}.intersection(facts.kernel_arguments()))
    if off:
        return f"take {' '.join(off)} off the kernel's arguments ({_GRUB})"
    if facts.is_virtual():
        return (
            "this host is a virtual machine: give it a virtual IOMMU (QEMU: -device intel-iommu,intremap=on with "
            "kernel-irqchip=split), and boot it with intel_iommu=on"
        )
    if facts.cpu_vendor() == "AuthenticAMD":
        return "switch on IOMMU (AMD-Vi) and SVM in the firmware; the kernel then uses it by itself"
    if facts.cpu_vendor() == "GenuineIntel":
        return f"switch on VT-d in the firmware, and boot the kernel with intel_iommu=on ({_GRUB})"
    return "switch on the IOMMU (SMMU) in the firmware"


def _vfio(facts: HostFacts) -> Iterator[Check]:
    if facts.has_driver(VFIO_DRIVER):
        yield Check("vfio", OK, f"{VFIO_DRIVER} is loaded")
    elif (fault := facts.module_fault(VFIO_DRIVER)) is None:
        yield Check("vfio", OK, f"{VFIO_DRIVER} is there; libvirt loads it when it is needed")
    else:
        yield Check("vfio", MISSING if fault.is_certain else UNKNOWN, fault.found, remedy=fault.remedy)


def _functions(devices: HostDevices) -> Iterator[Check]:
    found = list(devices.devices())
    pfs = [device for device in found if device.is_pf]
    if not pfs:
        remedy = "switch SR-IOV on in the firmware of the host and of its network card, and load the card's driver"
        yield Check("sriov", MISSING, "no network device with SR-IOV", remedy=remedy)
        return
    yield Check("sriov", OK, f"{len(pfs)} PFs with {len(found) - len(pfs)} VFs")
    up = {pf.address for pf in pfs if devices.is_link_up(pf.address)}
    has_usable = any(pf.num_vfs and pf.address in up for pf in pfs)
    for pf in pfs:
        yield from _function(pf, is_up=pf.address in up, fault=WARNING if has_usable else MISSING)
    yield from _companies(devices, [device for device in found if device.is_vf])


def _function(pf: PciDevice, *, is_up: bool, fault: Verdict) -> Iterator[Check]:
    name = f"{pf.address} ({pf.netdev})" if pf.netdev else str(pf.address)
    if pf.num_vfs:
        yield Check("numvfs", OK, f"{pf.num_vfs} of {pf.total_vfs} VFs", name)
    else:
        path = f"/sys/bus/pci/devices/{pf.address}/sriov_numvfs"
        remedy = f"echo {pf.total_vfs} > {path}, and in a udev rule for every boot"
        yield Check("numvfs", fault, f"no VFs, of {pf.total_vfs} it can have", name, remedy)
    if pf.netdev is None:
        remedy = "load its driver, and keep its interface in the host's own network namespace"
        yield Check("link", fault, f"no network interface (driver {pf.driver or 'missing'})", name, remedy)
    elif is_up:
        yield Check("link", OK, "up", name)
    else:
        remedy = f"ip link set {pf.netdev} up, and look at the cable and the switch"
        yield Check("link", fault, "down: none of its VFs is lent", name, remedy)


def _companies(devices: HostDevices, vfs: Sequence[PciDevice]) -> Iterator[Check]:
    """VFs that share their IOMMU group with what the host uses: VFIO refuses those."""
    bad: dict[int, list[PciDevice]] = {}
    for vf in vfs:
        company = [one for one in devices.group(vf.address) if one.address != vf.address and not one.allows_company]
        if company and vf.iommu_group is not None:
            bad[vf.iommu_group] = company
    has_fit = any(vf.iommu_group not in bad for vf in vfs)
    remedy = "switch on ACS in the firmware, or put the card into another slot; or unbind the other devices from their drivers"
    for group, company in sorted(bad.items()):
        names = ", ".join(f"{one.address} (driver {one.driver})" for one in company)
        verdict = WARNING if has_fit else MISSING
        yield Check("iommu-group", verdict, f"its VFs are not alone: {names}", str(group), remedy)


def _libvirt(reach: Reach) -> Iterator[Check]:
    if reach.version is None:
        remedy = "start libvirt's daemon (libvirtd or virtqemud), or name another hypervisor with -c"
        yield Check("libvirt", MISSING, reach.fault or "it does not say its version", remedy=remedy)
        return
    version, needed, teaming = (".".join(map(str, each)) for each in (reach.version, NEEDED_LIBVIRT, TEAMING_LIBVIRT))
    if reach.version < NEEDED_LIBVIRT:
        yield Check("libvirt", MISSING, f"{version} has no network ports", remedy=f"install libvirt {needed} or newer")
    elif reach.version < TEAMING_LIBVIRT:
        remedy = f"install libvirt {teaming} or newer to use teaming pairs"
        yield Check("libvirt", WARNING, f"{version} has no teaming", remedy=remedy)
    else:
        yield Check("libvirt", OK, version)
    if urlsplit(reach.uri).path == "/session":
        found = "a session of one user, which cannot bind PCI devices"
        yield Check("connection", MISSING, found, reach.uri, "use the system's: -c qemu:///system")


def _memlock(facts: HostFacts, reach: Reach) -> Iterator[Check]:
    """libvirt raises QEMU's limit to the guest's memory and 1 GiB (``qemuDomainGetMemLockLimitBytes``), if it may."""
    limit = None if reach.version is None else facts.memlock(own=urlsplit(reach.uri).path == "/embed")
    if limit is None:
        yield Check("memlock", UNKNOWN, "no daemon of libvirt's was reached and seen")
    elif limit.hard is None or limit.may_raise:
        found = "no limit" if limit.hard is None else "libvirt may raise it as it needs"
        yield Check("memlock", OK, found, limit.process)
    else:
        found = f"at most {limit.hard // 1024} KiB may be locked, and it takes a guest's whole memory and 1 GiB"
        remedy = "set LimitMEMLOCK=infinity in the daemon's unit (systemctl edit), or in a container give it CAP_SYS_RESOURCE"
        yield Check("memlock", MISSING, found, limit.process, remedy)


def _pools(reach: Reach) -> Iterator[Check]:
    if reach.networks is None:
        return
    try:
        networks = [reach.networks.network(name) for name in reach.networks.names()]
    except VirtnetplugError as error:
        yield Check("pool", UNKNOWN, error.message)
        return
    pools = [network for network in networks if network.is_pool]
    for pool in pools:
        if pool.active:
            yield Check("pool", OK, "active", pool.name)
        else:
            remedy = f"virsh net-start {pool.name}; virsh net-autostart {pool.name}"
            yield Check("pool", WARNING, "not active, so it lends nothing", pool.name, remedy)
    if not pools:
        network = "<network><name>vfs</name><forward mode='hostdev' managed='yes'><pf dev='PF'/></forward></network>"
        found = "no network is a pool of VFs; they can only be attached by address"
        yield Check("pool", WARNING, found, remedy=f"define one: {network}")
