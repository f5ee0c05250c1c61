"""An SR-IOV host: two Intel 82576 (igb) PFs with four VFs each, behind an IOMMU, with VFIO and libvirt's pools.

QEMU 10 is needed outside, for the igb model that libvirt's VFIO inside can use: it comes from the same root file system.
"""

from __future__ import annotations

from image.recipe import Recipe
from sriov.guest.build import make_guests

_HOST = ("linux-image-amd64", "kmod", "udev", "dbus", "procps", "busybox-static", "e2fsprogs", "dmidecode")
_LIBVIRT = ("libvirt-daemon", "libvirt-daemon-system", "libvirt-daemon-driver-qemu", "libvirt-clients")
_QEMU = ("qemu-system-x86", "seabios", "ipxe-qemu")
_NETWORK = ("iproute2", "iptables", "dnsmasq-base", "iputils-ping", "ethtool", "tcpdump", "pciutils", "less")
_SWITCH = ("openvswitch-switch",)
"""Started by the tests that need it alone."""
_PYTHON = ("python3-libvirt", "python3-lxml", "python3-setuptools")
_TESTS = ("python3-pytest", "python3-pytest-timeout", "python3-hypothesis")


def _port(number: int) -> tuple[str, ...]:
    """One PF in a root port of its own, plugged into the hub."""
    return (
        *("-device", f"pcie-root-port,id=port{number},chassis={number + 1},slot={number + 1},addr={number + 5}.0"),
        *("-netdev", f"hubport,id=link{number},hubid=0"),
        *("-device", f"igb,bus=port{number},netdev=link{number},mac=52:54:00:aa:00:{number:02x},id=pf{number}"),
    )


_UPLINK = (
    *("-netdev", "hubport,id=uplink,hubid=0"),
    *("-device", "virtio-net-pci,netdev=uplink,mac=52:54:00:aa:00:ff,romfile=,id=uplink"),
)
"""The bridge's way into the hub, which leads nowhere else. A PF would not do: this model gives what it sends to all back to the sender,
and the bridge would then look there for its guests."""


SRIOV = Recipe(
    name="sriov",
    summary="a Debian 13 host with 2 SR-IOV PFs, 4 VFs each, IOMMU, VFIO and libvirt",
    packages=_HOST + _LIBVIRT + _QEMU + _NETWORK + _SWITCH + _PYTHON + _TESTS,
    python_packages=("click", "prometheus-client", "pyroute2", "rich", "tenacity"),
    kernel_modules=("virtio_pci", "virtio_blk", "ext4"),
    kernel_arguments="intel_iommu=on loglevel=4",
    machine=(
        # With two processors, boots were seen to hang.
        *("-machine", "q35,kernel-irqchip=split", "-cpu", "max,la57=off", "-smp", "1", "-m", "3072"),
        *("-device", "intel-iommu,intremap=on"),
        *_port(0),
        *_port(1),
        *_UPLINK,
    ),
    environment={"LIBVIRT_DEFAULT_URI": "qemu:///system"},
    files={
        "sriov/prepare": "/usr/lib/lab/prepare",
        "sriov/seal": "/usr/lib/lab/seal",
        "sriov/qemu.conf": "/etc/libvirt/qemu.conf",
        "sriov/pool0.xml": "/etc/libvirt/qemu/networks/pool0.xml",
        "sriov/pool1.xml": "/etc/libvirt/qemu/networks/pool1.xml",
    },
    guests=make_guests,
    seal=("/usr/lib/lab/seal",),
)
