"""A PF taken apart and made again: its driver, the number of its VFs, its network interface, and what was set of each VF."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from virtnetplug.backends import vf_identity
from virtnetplug.backends.returning import HOST_DRIVER_SECONDS, set_back
from virtnetplug.backends.vf_identity import User, users_of_devices
from virtnetplug.backends.vf_settings import drift, told
from virtnetplug.errors import Failed, HostDeviceBusy, HostDeviceFailed, HostDeviceMissing, VfChanged, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.engine.transaction import Transaction
from virtnetplug.hotplug.pf.guests import identities, keep_new, renew
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import NO_MAC, VFIO_DRIVER, PciDevice, PfState, VfIdentity, VfSettings
from virtnetplug.model.operation import Half, OperationRecord, Phase
from virtnetplug.model.pci import PciAddress
from virtnetplug.retry import until_true

CARRIER_SECONDS = 5.0
"""Seconds to wait for the PF's link, if it was up before."""

DONE = "restore_vfs"
"""The last step: once it is done, the PF is as wished."""

STEPS = ("run_hook", "unbind_pf", "bind_pf", "set_numvfs", "restore_pf", DONE)
"""The steps in order. The first of them that is planned is where the PF stops being as it was."""

_MAKING = ("unbind_pf", "bind_pf", "set_numvfs")
"""The steps that make VFs. The journal has the VFs of the last one once that step is done."""

_BY_LIBVIRT = ("admin_mac", "vlan")


def steps(pf: str, *, has_hook: bool, reload_driver: bool) -> list[tuple[str, str, Phase, Half | None]]:
    """The steps for plans and the journal."""
    names = ["run_hook"] * has_hook + ["unbind_pf", "bind_pf"] * reload_driver + ["set_numvfs", "restore_pf", DONE]
    return [(name, pf, Phase.PLUG, None) for name in names]


def snapshot(host: Host, seen: PciDevice) -> dict[str, Any]:
    """The state of the PF and of each VF, once no guest has one. Raises `Failed` if the PF differs from what was `seen` before its guests were asked."""
    pf, now = seen.address, host.host_devices.pf_state(seen.address)
    if (now.driver, now.num_vfs) != (seen.driver, seen.num_vfs):
        raise Failed(
            f"{pf} was on driver {seen.driver} with {seen.num_vfs} VFs, and is on driver {now.driver or 'none'} with {now.num_vfs}: somebody "
            "changed it while its guests were asked. It was left alone. Set driver and number of VFs as they were, so that VFs that are gone "
            "come again; then run `recover()`."
        )
    vfs = [
        {
            "address": str(vf.address),
            "driver": vf.driver,
            "settings": dataclasses.asdict(host.host_devices.settings(vf.address)),
        }
        for vf in host.host_devices.vfs(pf)
    ]
    return {"before": now.request, "vfs": vfs, "made": identities(host, pf)}


def check_free(host: Host, pf: PciAddress) -> None:
    """Raise `HostDeviceBusy` while somebody has a VF: the kernel would wait for that VF, and everybody for the kernel."""
    users = users_of_devices(host)
    for vf in host.host_devices.vfs(pf):
        if (domain := users.get(vf.address)) is not None:
            raise HostDeviceBusy(
                f"domain {domain.name} has {vf.address}, a VF of {pf}, which was free a moment ago. Detach it there, then try again."
            )
        if vf.driver is not None and "vfio" in vf.driver and (pids := host.host_devices.vfio_users(vf.address)):
            raise HostDeviceBusy(f"process {min(pids)} has {vf.address}, a VF of {pf}, open through VFIO")


def rework(host: Host, pf: PciAddress, tx: Transaction) -> None:
    """Run the steps."""
    name, devices, request = str(pf), host.host_devices, tx.record.request
    before, hook = PfState.from_request(request["before"]), request["hook"]
    if hook:
        tx.effect("run_hook", name, lambda: _run_hook(host, pf, hook, tx))
    if request["reload_driver"]:
        tx.effect("unbind_pf", name, lambda: _unbind(host, pf))
        tx.effect("bind_pf", name, lambda: devices.bind(pf, before.driver or ""))
    number = before.num_vfs if request["numvfs"] is None else request["numvfs"]
    tx.effect("set_numvfs", name, lambda: _set_number(host, pf, tx, number))
    tx.effect("restore_pf", name, lambda: restore_pf(host, pf, before))
    for text in tx.effect(DONE, name, lambda: restore_vfs(host, pf, tx)):
        tx.warn(text)


def _run_hook(host: Host, pf: PciAddress, hook: Sequence[str], tx: Transaction) -> None:
    """Run the hook. The VFs that the PF has afterwards are the operation's, even if the hook failed."""
    try:
        host.host_devices.run_hook(pf, hook)
    finally:
        with suppress(VirtnetplugError):  # a PF that cannot be seen has none
            renew(host, pf, tx)


def _unbind(host: Host, pf: PciAddress) -> None:
    check_free(host, pf)
    host.host_devices.unbind(pf)


def _have(host: Host, pf: PciAddress, number: int) -> None:
    """Make the PF have that many VFs. If it has, its VFs stay, whoever has them."""
    if host.host_devices.device(pf).num_vfs != number:
        check_free(host, pf)
        host.host_devices.set_num_vfs(pf, number)


def _set_number(host: Host, pf: PciAddress, tx: Transaction, number: int) -> None:
    _have(host, pf, number)
    keep_new(host, pf, tx)


def make_as_before(host: Host, pf: PciAddress, tx: Transaction) -> None:
    """Restore the PF: its driver, the number of its VFs, its interface, and the settings of every VF. Does nothing in another boot.

    If the operation was cut off between making the VFs and writing down which they are, the VFs that are there count as its own. VFs that the journal
    does not have may be somebody else's: made anew while the hook ran, or since. Such a VF is left alone, with a warning.
    """
    if not is_of_this_boot(host, tx.record):
        return
    before, devices = PfState.from_request(tx.record.request["before"]), host.host_devices
    is_made = not is_in_shape(host, pf, tx.record)
    if is_made:
        check_free(host, pf)
        devices.bind(pf, before.driver or "")
        _have(host, pf, before.num_vfs)
    has_begun = any(tx.was_begun(step, str(pf)) for step in _MAKING)
    if is_made or (has_begun and not tx.is_done("set_numvfs", str(pf))):
        renew(host, pf, tx)
    restore_pf(host, pf, before)
    for text in restore_vfs(host, pf, tx):
        tx.warn(text)


def is_of_this_boot(host: Host, record: OperationRecord) -> bool:
    """Whether the host runs on since the operation began: no PF, VF or guest of it outlives that."""
    boot = host.host_devices.boot()
    boots = {row.identity.boot for row in host.journal.holdings() if row.operation_id == record.id and row.identity}
    return boots == {boot.id} if boots else record.started >= boot.began


def is_in_shape(host: Host, pf: PciAddress, record: OperationRecord) -> bool:
    """Whether the PF has its driver and as many VFs as before. True if nothing was done to it yet, and in another boot."""
    request = record.request
    if "before" not in request or not is_of_this_boot(host, record):
        return True
    before, now = PfState.from_request(request["before"]), host.host_devices.device(pf)
    return (now.driver, now.num_vfs) == (before.driver, before.num_vfs)


def restore_pf(host: Host, pf: PciAddress, before: PfState) -> None:
    """Restore the network interface of the PF, and wait for its link if that was up."""
    if before.netdev is None:
        return
    host.host_devices.restore_netdev(pf, before.netdev)
    if before.netdev.has_carrier:
        until_true(lambda: host.host_devices.is_link_up(pf), seconds=CARRIER_SECONDS)


def restore_vfs(host: Host, pf: PciAddress, tx: Transaction) -> list[str]:
    """Restore the settings of each VF, by index. Raises `HostDeviceFailed`, which names what could not be restored. Returns warnings.

    A VF that a guest has by now is left alone, and so is a VF that somebody has made anew since. The latter gets a warning.
    """
    vfs, users = host.host_devices.vfs(pf), users_of_devices(host)
    lent = {row.address for row in host.journal.holdings() if row.operation_id != tx.record.id}
    faults, said = [], []
    for vf, entry in zip(vfs, tx.record.request["vfs"], strict=False):
        if vf.address in users or vf.address in lent:
            continue
        try:
            fault = _restore_vf(host, vf, entry, _lent_as(vf.address, entry, tx.record))
        except HostDeviceBusy:
            continue  # a guest has got it since
        except VfChanged as error:
            said.append(error.message)
            continue
        except VirtnetplugError as error:
            fault = error.message
        if fault is not None:
            faults.append(f"VF {vf.vf_index} ({vf.address}): {fault}")
    if faults:
        raise HostDeviceFailed(f"what was set of the VFs of {pf} could not all be set again: {'; '.join(faults)}")
    return said + _refresh_pools(host, pf, [vf.address for vf in vfs])


def check_unchanged(host: Host, vf: PciAddress, entry: Mapping[str, Any] | None) -> None:
    """Raise `VfChanged` if somebody has set the VF's MAC or VLAN since it was made as in `entry`: nothing overwrites that."""
    if entry is None:
        return
    wanted = {name: entry["settings"][name] for name in _BY_LIBVIRT}
    now = host.host_devices.settings(vf)
    if missed := drift(wanted, now):
        raise VfChanged(
            f"host device {vf} is not as the journal says: its {told(missed, now)}. Somebody set it by hand. "
            "Set it again as it was, then run `recover()`."
        )


def _restore_vf(host: Host, vf: PciDevice, entry: Mapping[str, Any], held: Holding) -> str | None:
    before, driver, devices = VfSettings(**entry["settings"]), entry["driver"], host.host_devices
    vf_identity.expect_ours(host, held, User.NOBODY)
    if vf.driver is None and driver not in (None, VFIO_DRIVER):
        devices.bind(vf.address, driver)
    if before.mac is not None:
        until_true(lambda: devices.device(vf.address).netdev is not None, seconds=HOST_DRIVER_SECONDS)
    now = devices.settings(vf.address)
    if before.mac not in (None, now.mac) and before.admin_mac in (NO_MAC, before.mac):
        with suppress(HostDeviceFailed):  # its own driver chose that MAC, which its PF does not keep it from
            vf_identity.apply(host, held, dataclasses.replace(now, mac=before.mac), user=User.NOBODY)
    fault = set_back(host, held)
    if fault is None and driver == VFIO_DRIVER:
        _await_libvirt(host, vf.address)
        vf_identity.detach(host, held)
    return fault


def _lent_as(address: PciAddress, entry: Mapping[str, Any], record: OperationRecord) -> Holding:
    """The row of a VF that the operation made. An older version did not write down which VFs it made."""
    made = record.request.get("made", {}).get(str(address))
    return Holding(
        address=address, uri="", hypervisor="", domain_uuid="", domain_name="", domain_id=-1, alias="", mac="", managed=True,
        snapshot=entry["settings"], since=record.started, identity=None if made is None else VfIdentity(**made),
    )  # fmt: skip


def _await_libvirt(host: Host, vf: PciAddress) -> None:
    """libvirt hears of a new device from udev, and until then calls it missing."""

    def is_known() -> bool:
        try:
            host.nodedevs.driver(vf)
        except HostDeviceMissing:
            return False
        return True

    until_true(is_known, seconds=HOST_DRIVER_SECONDS)


def _refresh_pools(host: Host, pf: PciAddress, vfs: Sequence[PciAddress]) -> list[str]:
    """Make the pools of this PF lend the VFs that it has now: libvirt lists them once, when such a network starts."""
    netdev, said = host.host_devices.device(pf).netdev, []
    for name in host.networks.names():
        network = host.networks.network(name)
        if not network.active or network.pf is None or network.pf != netdev or not network.addresses:
            continue
        if set(network.addresses) != set(vfs):
            try:
                host.networks.restart(name)
            except VirtnetplugError as error:
                said.append(f"network {name} still lends the VFs there were: {error.message}")
    return said
