"""The devices that QEMU makes of NIC models, asked of QEMU itself."""

from __future__ import annotations

import re
import subprocess

import pytest

from virtnetplug.policy import activation

QEMU = "qemu-system-x86_64"
NAMES = {
    "virtio": "virtio-net-pci",
    "virtio-transitional": "virtio-net-pci-transitional",
    "virtio-non-transitional": "virtio-net-pci-non-transitional",
}
"""Where QEMU's name is another than libvirt's (``qemuDeviceVirtioNeedsLegacy``, ``virtio-net`` of qemu_command.c)."""


def offered() -> set[str]:
    """The devices this QEMU has."""
    told = subprocess.run([QEMU, "-M", "none", "-device", "help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r'name "([^"]+)"', told))


def device_of(model: str, machine: str, *options: str) -> str:
    """What a guest sees of one NIC, as QEMU's own tree of devices says it."""
    nic = NAMES.get(model, model)
    place = ",bus=root" if options else ""
    bare = ("-M", machine, "-nodefaults", "-display", "none", "-S", "-monitor", "stdio", "-net", "none")
    ran = subprocess.run(
        [QEMU, *bare, *options, "-device", f"{nic}{place},id=nic"],
        input="info qtree\nquit\n",
        capture_output=True,
        text=True,
        check=True,
    )
    (found,) = re.findall(r'id "nic"\n(?:.*\n)*?.*class Ethernet controller, addr \S+, pci id (\S+)', ran.stdout)
    return str(found)


MODELS = sorted(model for model in activation._MODELS if NAMES.get(model, model) in offered())


def test_most_models_can_be_asked_for() -> None:
    assert {"virtio", "virtio-transitional", "e1000", "e1000e", "rtl8139", "pcnet", "ne2k_pci", "vmxnet3"} <= {*MODELS}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_in_a_conventional_slot(model: str) -> None:
    assert device_of(model, "pc") == activation.device_of_model(model, is_conventional=True)


@pytest.mark.parametrize("model", ["virtio", "virtio-non-transitional", "e1000e"])
def test_a_model_in_a_pci_express_port(model: str) -> None:
    assert device_of(model, "q35", "-device", "pcie-root-port,id=root,chassis=1") == activation.device_of_model(model)
