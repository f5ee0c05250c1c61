"""A Xen host: hypervisor, dom0 with libvirt's Xen driver, and one PV guest that runs.

Everything is the stock Debian 13: Xen 4.20, the same kernel in dom0 and in the guest, libvirt 11.3.
"""

from __future__ import annotations

from image.recipe import Hypervisor, Recipe
from xen.guest.build import make_guests

_HOST = ("linux-image-amd64", "kmod", "udev", "dbus", "procps", "busybox-static", "e2fsprogs", "zstd")
_XEN = ("xen-hypervisor-4.20-amd64", "xen-utils-4.20", "xenstore-utils")
_LIBVIRT = ("libvirt-daemon", "libvirt-daemon-driver-xen", "libvirt-daemon-driver-network", "libvirt-clients")
_QEMU = ("qemu-system-x86", "seabios")
_NETWORK = ("iproute2", "iputils-ping", "ethtool", "tcpdump", "less")
_PYTHON = ("python3-libvirt", "python3-lxml", "python3-setuptools")
_TESTS = ("python3-pytest", "python3-pytest-timeout", "python3-hypothesis")
_DOM0_MEMORY = "720M"

XEN = Recipe(
    name="xen",
    summary="a Debian 13 dom0 on Xen 4.20, with libvirt and a PV guest that answers",
    packages=_HOST + _XEN + _LIBVIRT + _QEMU + _NETWORK + _PYTHON + _TESTS,
    python_packages=("click", "prometheus-client", "pyroute2", "rich", "tenacity"),
    kernel_modules=("virtio_pci", "virtio_blk", "ext4"),
    kernel_arguments="loglevel=4",
    # Newer processors' SMAP crashes dom0 under emulation, and libvirt's Xen driver knows no model for older ones.
    machine=("-machine", "pc", "-cpu", "Nehalem-v1", "-smp", "2", "-m", "1024"),
    environment={"LIBVIRT_DEFAULT_URI": "xen:///system"},
    files={
        "xen/prepare": "/usr/lib/lab/prepare",
        "xen/seal": "/usr/lib/lab/seal",
        "xen/vif-bridge": "/etc/xen/scripts/vif-bridge.lab",
        "xen/guest/guest.xml": "/etc/libvirt/libxl/lab.xml",
        "xen/network.xml": "/etc/libvirt/qemu/networks/lab.xml",
    },
    guests=make_guests,
    seal=("/usr/lib/lab/seal",),
    hypervisor=Hypervisor(
        file="boot/xen-4.20-amd64.gz",
        arguments="com1=115200,8n1 console=com1 no-real-mode edd=off spec-ctrl=no "
        f"dom0_max_vcpus=1 dom0_mem={_DOM0_MEMORY},max:{_DOM0_MEMORY}",
    ),
)
