"""The doctor: each thing that can be missing, with its remedy."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.fakes.host_devices import FakeHostDevices
from tests.fakes.hypervisor import FakeHypervisor
from virtnetplug.hotplug.report.doctor import Reach, diagnose
from virtnetplug.model.audit import Check, Diagnosis, Verdict
from virtnetplug.model.network import Network
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.host import Memlock, ModuleFault

PFS = PciAddress.parse("0000:01:00.0"), PciAddress.parse("0000:02:00.0")


@dataclass
class Facts:
    """A host with all that is needed, unless a test says otherwise."""

    root: bool = True
    virtual: bool = False
    vendor: str = "GenuineIntel"
    arguments: tuple[str, ...] = ("intel_iommu=on",)
    groups: int = 20
    remaps: bool | None = True
    loaded: bool = False
    modules: frozenset[str] = frozenset({"vfio-pci"})
    certain: bool = True
    limit: Memlock | None = field(default_factory=lambda: Memlock(process="libvirtd (7)", hard=65536, may_raise=True))
    asked_own: list[bool] = field(default_factory=list)

    def is_root(self) -> bool:
        return self.root

    def is_virtual(self) -> bool:
        return self.virtual

    def cpu_vendor(self) -> str:
        return self.vendor

    def kernel_arguments(self) -> tuple[str, ...]:
        return self.arguments

    def kernel_release(self) -> str:
        return "6.12.1"

    def iommu_groups(self) -> int:
        return self.groups

    def remaps_interrupts(self) -> bool | None:
        return self.remaps

    def has_driver(self, name: str) -> bool:
        return self.loaded

    def module_fault(self, name: str) -> ModuleFault | None:
        if name in self.modules:
            return None
        return ModuleFault(found=f"kernel 6.12.1 has no module {name}", remedy="install one", is_certain=self.certain)

    def memlock(self, *, own: bool) -> Memlock | None:
        self.asked_own.append(own)
        return self.limit


class Ground:
    """What is diagnosed."""

    def __init__(self) -> None:
        self.facts, self.devices = Facts(), FakeHostDevices()
        self.networks = FakeHypervisor(self.devices)
        self.networks.add_network(Network(name="vfs", forward="hostdev", pf="eth0"))
        self.reach = Reach(uri="qemu:///system", version=(11, 3, 0), networks=self.networks)

    def diagnose(self) -> Diagnosis:
        return diagnose(self.facts, self.devices, self.reach)

    def check(self, name: str, subject: str | None = None) -> Check:
        (one,) = [c for c in self.diagnose().checks if c.name == name and subject in (None, c.subject)]
        return one


@pytest.fixture
def ground() -> Ground:
    return Ground()


def test_a_fit_host(ground: Ground) -> None:
    diagnosis = ground.diagnose()
    assert diagnosis.fit
    assert {check.verdict for check in diagnosis.checks} == {Verdict.OK}
    assert [check.remedy for check in diagnosis.checks if check.remedy] == []
    names = [check.name for check in diagnosis.checks]
    assert names == ["privileges", "iommu", "vfio", "sriov", *("numvfs", "link") * 2, "libvirt", "memlock", "pool"]


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({}, "boot the kernel with intel_iommu=on"),
        ({"vendor": "AuthenticAMD"}, "AMD-Vi"),
        ({"vendor": ""}, "SMMU"),
        ({"virtual": True}, "virtual IOMMU"),
        ({"arguments": ("quiet", "intel_iommu=off")}, "take intel_iommu=off off the kernel's arguments"),
    ],
)
def test_no_iommu(ground: Ground, changes: dict[str, object], remedy: str) -> None:
    ground.facts = Facts(groups=0, **changes)  # type: ignore[arg-type]
    check = ground.check("iommu")
    assert check.verdict is Verdict.MISSING and remedy in check.remedy
    assert not ground.diagnose().fit


def test_interrupts_that_are_not_remapped(ground: Ground) -> None:
    ground.facts.remaps = None
    assert ground.diagnose().fit
    ground.facts.remaps = False
    assert ground.check("interrupt-remapping").verdict is Verdict.MISSING


def test_vfio(ground: Ground) -> None:
    assert "libvirt loads it" in ground.check("vfio").found
    ground.facts = Facts(modules=frozenset())
    check = ground.check("vfio")
    assert check.verdict is Verdict.MISSING and "6.12.1 has no module vfio-pci" in check.found and check.remedy
    ground.facts.certain = False
    assert ground.check("vfio").verdict is Verdict.UNKNOWN
    ground.facts.loaded = True
    assert ground.check("vfio").verdict is Verdict.OK


def test_no_sriov_at_all(ground: Ground) -> None:
    ground.devices.found.clear()
    assert ground.check("sriov").verdict is Verdict.MISSING
    assert not ground.diagnose().fit


def test_one_pf_that_is_not_usable_is_a_warning_and_all_of_them_a_fault(ground: Ground) -> None:
    ground.devices.set_numvfs(PFS[0], 0)
    check = ground.check("numvfs", "0000:01:00.0 (eth0)")
    assert check.verdict is Verdict.WARNING and ground.diagnose().fit
    assert check.remedy.startswith("echo 7 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs")
    ground.devices.links[PFS[1]] = False
    check = ground.check("link", "0000:02:00.0 (eth1)")
    assert check.verdict is Verdict.MISSING and "ip link set eth1 up" in check.remedy
    assert ground.check("numvfs", "0000:01:00.0 (eth0)").verdict is Verdict.MISSING
    ground.devices.replace(PFS[1], netdev=None, driver=None)
    assert ground.check("link", "0000:02:00.0").found == "no network interface (driver missing)"


def test_vfs_in_bad_company(ground: Ground) -> None:
    first, *others = [one for one in ground.devices.devices() if one.is_vf]
    ground.devices.replace(first.address, iommu_group=10)  # with its PF
    check = ground.check("iommu-group")
    assert (check.subject, check.verdict) == ("10", Verdict.WARNING)
    assert "0000:01:00.0 (driver igb)" in check.found and ground.diagnose().fit
    for one in others:
        ground.devices.replace(one.address, iommu_group=10)
    assert ground.check("iommu-group").verdict is Verdict.MISSING


def test_libvirt(ground: Ground) -> None:
    ground.reach = Reach(fault="it does not answer")
    check = ground.check("libvirt")
    assert check.verdict is Verdict.MISSING and check.found == "it does not answer"
    assert ground.check("memlock").verdict is Verdict.UNKNOWN and ground.facts.asked_own == []
    for version, verdict in (((5, 4, 9), Verdict.MISSING), ((5, 5, 0), Verdict.WARNING), ((6, 1, 0), Verdict.OK)):
        ground.reach = Reach(uri="qemu:///system", version=version, networks=ground.networks)
        assert ground.check("libvirt").verdict is verdict
    ground.reach = Reach(uri="qemu:///session", version=(11, 3, 0))
    assert "-c qemu:///system" in ground.check("connection").remedy and not ground.diagnose().fit


def test_memlock(ground: Ground) -> None:
    ground.facts.limit = Memlock(process="libvirtd (7)", hard=None, may_raise=False)
    assert ground.check("memlock").verdict is Verdict.OK
    ground.facts.limit = Memlock(process="libvirtd (7)", hard=8 << 20, may_raise=False)
    check = ground.check("memlock")
    assert (check.verdict, check.subject) == (Verdict.MISSING, "libvirtd (7)")
    assert "8192 KiB" in check.found and "LimitMEMLOCK=infinity" in check.remedy
    ground.facts.limit = None
    assert ground.check("memlock").verdict is Verdict.UNKNOWN and ground.diagnose().fit
    ground.reach = Reach(uri="qemu:///embed?root=/x", version=(9, 0, 0))
    ground.diagnose()
    assert ground.facts.asked_own[-1] is True


def test_pools(ground: Ground) -> None:
    ground.networks.add_network(Network(name="idle", forward="hostdev", pf="eth1", active=False))
    check = ground.check("pool", "idle")
    assert check.verdict is Verdict.WARNING and "virsh net-start idle" in check.remedy
    ground.networks.nets.clear()
    assert "<pf dev='PF'/>" in ground.check("pool").remedy and ground.diagnose().fit


def test_one_who_is_not_root_is_warned(ground: Ground) -> None:
    ground.facts.root = False
    assert ground.check("privileges").verdict is Verdict.WARNING and ground.diagnose().fit
