"""Returning a device to the host: as it was, with proof, or quarantined with the reason."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

from virtnetplug.backends import Ground
from virtnetplug.backends.vf_identity import (
    Loss,
    User,
    apply,
    detach,
    live_with,
    loss_of,
    reattach,
    users_of_devices,
)
from virtnetplug.backends.vf_settings import back_to, of_ours, put, told
from virtnetplug.errors import HostDeviceFailed, HostDeviceMissing, LockTaken, NetworkMissing, VirtnetplugError
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER
from virtnetplug.ports.domain import Domain
from virtnetplug.retry import until_true

LIBVIRT_SECONDS = 3.0
"""How long libvirt may take to return a managed device after DEVICE_REMOVED."""

CLOSING_SECONDS = 3.0
"""How long QEMU may take to close a device that its guest has released: after DEVICE_DELETED, a thread of its own closes it."""

HOST_DRIVER_SECONDS = 10.0
"""How long the host's driver may take to bind a VF again (seen: 0.1 to 0.6 s after DEVICE_REMOVED)."""

LOCK_SECONDS = 30.0
"""How long another call may take to return the same device: longer than all the waits above."""


@dataclasses.dataclass(frozen=True, slots=True)
class Returned:
    """The result of `return_to_host`. `fault` is a sentence that says why the device is quarantined instead.

    `loss` says that the lent device no longer exists. Nobody has it, and nothing was written to the device at its address.
    `user` is the domain that libvirt has lent the device to since: the device is no longer held, unless there is a `fault` as well.
    `was_taken` and `busy` say that nothing was done. Another call had returned the device (`was_taken`), and it may be lent again by now.
    Or another call is still returning the device, or the guest has it (`busy`, a sentence).
    """

    fault: str | None = None
    loss: Loss | None = None
    user: str | None = None
    was_taken: bool = False
    busy: str | None = None


def return_to_host(
    ground: Ground,
    holding: Holding,
    kept: Holding | None = None,
    *,
    seconds: float = LOCK_SECONDS,
    is_over: bool = False,
) -> Returned:
    """Restore the device and prove that, then end its row; else quarantine the device. Waits up to `seconds` for another call that does the same.

    `kept` is the row that stays, instead of none. Three kinds of device are not restored:

    - The device that its own domain runs with: the row stays, without a quarantine.
    - The device that another NIC got meanwhile, or (`is_over`) that its own NIC has in a later run. Only the settings beyond libvirt's own
      are restored, and the row ends, also with `kept`.
    - The device that no longer exists (see `loss_of`): the row ends, whoever has its address.
    """
    try:
        with ground.journal.lock("", f"device {holding.address}", seconds=seconds):
            return _return_locked(ground, holding, kept, is_over=is_over)
    except LockTaken as error:
        return Returned(busy=f"host device {holding.address} is being returned by {error.who}, which has not ended")


def _return_locked(ground: Ground, holding: Holding, kept: Holding | None, *, is_over: bool) -> Returned:
    now = next((one for one in ground.journal.holdings() if one.address == holding.address), None)
    if now is None or (now.operation_id, now.since) != (holding.operation_id, holding.since):
        return Returned(was_taken=True)
    holding, user, loss, fault = now, None, None, None
    if holding.unreadable:  # how it was is not known, and the row stays as it is found
        return Returned(f"host device {holding.address} is quarantined: {holding.unreadable}. It is lent to nobody.")
    try:
        user, loss = users_of_devices(ground).get(holding.address), loss_of(ground, holding)
        if not is_over and _is_still_used(holding, user, loss):
            return _still_used(ground, holding)
        if user is None:
            loss = _loss(ground, holding)
            fault = _tried(ground, holding) if loss is None else None
        if fault is not None:  # somebody may have got the device, or made it again, meanwhile
            user, loss = users_of_devices(ground).get(holding.address), loss_of(ground, holding)
            if not is_over and _is_still_used(holding, user, loss):
                return _still_used(ground, holding)
            fault = None if user is not None or loss is not None else fault
        if user is not None and loss is None:
            _unset(ground, holding)
    except VirtnetplugError as error:
        who = f"domain {user.name} runs with it, and " if user is not None else ""
        what = f"what was set of it for {holding.alias} of {holding.domain_name} cannot be restored: " if who else ""
        fault = f"{who}{what}{error.message}"
    if fault is not None:
        ground.journal.amend_holding(dataclasses.replace(holding, quarantine=fault))
        whose = "It is lent to nobody" if user is None else f"It is lent to nobody after domain {user.name}"
        return Returned(
            f"host device {holding.address} is quarantined: {fault}. {whose}; `recover()` tries again to return it.",
            user=None if user is None else user.name,
        )
    if holding.network and holding.port:
        with suppress(NetworkMissing):  # a network that was made again with that name has no port of this UUID
            ground.networks.delete_port(holding.network, holding.port)
    if kept is not None and loss is None and user is None:
        ground.journal.amend_holding(kept, holding)
    else:
        ground.journal.let_go(holding)
    return Returned(loss=loss, user=user.name if user is not None and loss is None else None)


def _is_still_used(holding: Holding, user: Domain | None, loss: Loss | None) -> bool:
    """Whether its own domain runs with the device, behind the NIC it is held for.

    A device that is gone counts as the domain's; another VF at its address does not.
    """
    is_its = user is not None and user.uuid == holding.domain_uuid and live_with(user, holding) is not None
    return is_its and (loss is None or loss.is_gone)


def _still_used(ground: Ground, holding: Holding) -> Returned:
    if holding.quarantine:
        ground.journal.amend_holding(dataclasses.replace(holding, quarantine=""))
    return Returned(busy=f"host device {holding.address} is not returned: domain {holding.domain_name} runs with it")


def _loss(ground: Ground, holding: Holding) -> Loss | None:
    """Return `loss_of`, after a wait for a VF that is just being removed: its guest's release lets the kernel do so."""

    def is_removed() -> bool:
        try:
            ground.host_devices.device(holding.address)
        except HostDeviceMissing:
            return True
        return False

    if (loss := loss_of(ground, holding)) is not None and loss.is_gone:
        until_true(is_removed, seconds=CLOSING_SECONDS)
        loss = loss_of(ground, holding)
    return loss


def _tried(ground: Ground, holding: Holding) -> str | None:
    """Call `_restore`; an error that it raises is a lack of proof, too."""
    try:
        return _restore(ground, holding)
    except VirtnetplugError as error:
        return error.message


def _restore(ground: Ground, holding: Holding) -> str | None:
    """Restore the driver, then the settings, and prove both. Returns what the proof lacks, or None."""
    if not until_true(lambda: not ground.host_devices.vfio_users(holding.address), seconds=CLOSING_SECONDS):
        users = ground.host_devices.vfio_users(holding.address)
        return f"process {min(users, default=0)} still has its VFIO group open"
    if not _bring_back(ground, holding):
        driver = ground.host_devices.device(holding.address).driver
        return f"it is on driver {driver or 'none'}, and not back on its host's with its network interface"
    return set_back(ground, holding) if holding.snapshot else None  # without one it was never changed


def _bring_back(ground: Ground, holding: Holding) -> bool:
    """Whether the host's driver has the device in the end, bound by libvirt or by this call."""
    if holding.managed and until_true(lambda: _is_back(ground, holding), seconds=LIBVIRT_SECONDS):
        return True
    reattach(ground, holding)  # libvirt does so for a managed device, but may have died at it
    return until_true(lambda: _is_back(ground, holding), seconds=HOST_DRIVER_SECONDS)


def set_back(ground: Ground, holding: Holding) -> str | None:
    """Restore every setting. Returns what differs after that, or None."""
    now = ground.host_devices.settings(holding.address)
    before = dataclasses.replace(now, **holding.snapshot)  # type: ignore[arg-type]
    if not before.differences(now):
        return None
    try:
        apply(ground, holding, before, user=User.NOBODY)
    except HostDeviceFailed:
        # a driver that runs already keeps its MAC once its PF gave it one ("Reload the VF driver", igb_ndo_set_vf_mac)
        _reload(ground, holding)
        apply(ground, holding, before, user=User.NOBODY)
    now = ground.host_devices.settings(holding.address)
    missed = {name: getattr(before, name) for name in before.differences(now)}
    return f"its {told(missed, now)}" if missed else None


def _unset(ground: Ground, holding: Holding) -> None:
    """Restore what was set for the NIC, where another NIC has the device by now. What somebody has set since stays."""
    now = ground.host_devices.settings(holding.address)
    put(ground, holding, back_to(holding.snapshot, of_ours(holding.settings), now), user=User.ANYBODY)


def _reload(ground: Ground, holding: Holding) -> None:
    """Bind the host's driver to the device again, by way of VFIO."""
    detach(ground, holding)
    reattach(ground, holding)
    until_true(lambda: _is_back(ground, holding), seconds=HOST_DRIVER_SECONDS)


def _is_back(ground: Ground, holding: Holding) -> bool:
    """Whether the host's driver has the device, and the device its interface if it had one: only then its MAC and MTU can be seen."""
    device = ground.host_devices.device(holding.address)
    is_on_host = device.driver is not None and device.driver != VFIO_DRIVER
    return is_on_host and (holding.snapshot.get("mac") is None or device.netdev is not None)
