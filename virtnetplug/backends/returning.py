"""Giving a device back: as it was, with proof, or quarantined with the reason."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

from virtnetplug.backends import Ground
from virtnetplug.backends.candidates import has_for, users_of_devices
from virtnetplug.backends.vf_identity import Loss, User, apply, detach, loss_of, reattach
from virtnetplug.backends.vf_settings import back_to, of_ours, put
from virtnetplug.errors import HostDeviceFailed, HostDeviceMissing, LockTaken, NetworkMissing, VirtnetplugError
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER, VfSettings
from virtnetplug.ports.domain import Domain
from virtnetplug.retry import until_true

LIBVIRT_SECONDS = 3.0
"""How long libvirt, which gives a managed device back after DEVICE_REMOVED, is left to do so."""

CLOSING_SECONDS = 3.0
"""How long QEMU may take to close a device that its guest has let go of: it does so after DEVICE_DELETED, in a thread of its own."""

HOST_DRIVER_SECONDS = 10.0
"""How long a VF may take to be back on its host driver (seen: 0.1 to 0.6 s after DEVICE_REMOVED)."""

LOCK_SECONDS = 30.0
"""How long another call may take to give the same device back: longer than all the waits above."""


@dataclasses.dataclass(frozen=True, slots=True)
class Returned:
    """What came of giving a device back: `fault`, a sentence, is why it is quarantined instead.

    `loss` says that there was nothing to give back: the device that was lent is there no more. It is nobody's, and nothing was written to what has
    its address.

    `user` is the domain that libvirt has lent it to since: it is let go, also with `kept`. It stays held if there is a `fault` as well.

    One that `was_taken` had been given back by another call, and may be lent to somebody else by now: nothing was done. `busy` says who
    has it just now, and nothing was done either: another call that is giving it back, for longer than that was waited for, or the guest itself.
    """

    fault: str | None = None
    loss: Loss | None = None
    user: str | None = None
    was_taken: bool = False
    busy: str | None = None


def give_back(
    ground: Ground,
    holding: Holding,
    kept: Holding | None = None,
    *,
    seconds: float = LOCK_SECONDS,
    is_over: bool = False,
) -> Returned:
    """Make the device as it was and prove it, then let it go; else quarantine it. Two who do so at once do it one after the other, within `seconds`.

    With `kept` it is not let go: that is what is held of it from then on.
    A device that its own domain runs with stays held, and in no quarantine: it was put back meanwhile, or the domain was started with it.
    A device that another NIC got meanwhile, of this domain or of another, or (`is_over`) its own NIC in a later run, is that NIC's: only what
    was set of it beyond libvirt's own settings is taken back, and it is let go, also with `kept`. So is one that is there no more (see `loss_of`),
    whoever has its address.
    """
    try:
        with ground.journal.lock("", f"device {holding.address}", seconds=seconds):
            return _give_back(ground, holding, kept, is_over=is_over)
    except LockTaken as error:
        return Returned(busy=f"host device {holding.address} is being given back by {error.who}, which has not ended")


def _give_back(ground: Ground, holding: Holding, kept: Holding | None, *, is_over: bool) -> Returned:
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
        if fault is not None:  # somebody may have got it, or made it anew, while it was given back
            user, loss = users_of_devices(ground).get(holding.address), loss_of(ground, holding)
            if not is_over and _is_still_used(holding, user, loss):
                return _still_used(ground, holding)
            fault = None if user is not None or loss is not None else fault
        if user is not None and loss is None:
            _unset(ground, holding)
    except VirtnetplugError as error:
        fault = error.message if user is None else _not_unset(holding, user, error)
    if fault is not None:
        ground.journal.amend_holding(dataclasses.replace(holding, quarantine=fault))
        whose = "It is lent to nobody" if user is None else f"It is lent to nobody once domain {user.name} lets it go"
        return Returned(
            f"host device {holding.address} is quarantined: {fault}. {whose}; `recover()` tries again to give it back.",
            user=None if user is None else user.name,
        )
    _delete_port(ground, holding)
    if kept is not None and loss is None and user is None:
        ground.journal.amend_holding(kept, holding)
    else:
        ground.journal.let_go(holding)
    return Returned(loss=loss, user=user.name if user is not None and loss is None else None)


def _not_unset(holding: Holding, user: Domain, error: VirtnetplugError) -> str:
    return f"domain {user.name} runs with it, and what was set of it for {holding.alias} of {holding.domain_name} cannot be taken back: {error.message}"


def _is_still_used(holding: Holding, user: Domain | None, loss: Loss | None) -> bool:
    """Whether its own domain runs with it, behind the NIC it is held for.

    One that is gone is the domain's until that is told so, and another VF at its address never was.
    """
    is_its = user is not None and user.uuid == holding.domain_uuid and has_for(user, holding)
    return is_its and (loss is None or loss.is_gone)


def _still_used(ground: Ground, holding: Holding) -> Returned:
    if holding.quarantine:
        ground.journal.amend_holding(dataclasses.replace(holding, quarantine=""))
    return Returned(busy=f"host device {holding.address} is not given back: domain {holding.domain_name} runs with it")


def _delete_port(ground: Ground, holding: Holding) -> None:
    """A network that is gone has no port; one that was made anew with the same name never has one of this UUID."""
    if holding.network and holding.port:
        with suppress(NetworkMissing):
            ground.networks.delete_port(holding.network, holding.port)


def _loss(ground: Ground, holding: Holding) -> Loss | None:
    """As `loss_of`; a VF that is just being removed is waited for, which its guest's release lets the kernel do."""
    if (loss := loss_of(ground, holding)) is not None and loss.is_gone:
        until_true(lambda: not _is_there(ground, holding), seconds=CLOSING_SECONDS)
        loss = loss_of(ground, holding)
    return loss


def _is_there(ground: Ground, holding: Holding) -> bool:
    try:
        ground.host_devices.device(holding.address)
    except HostDeviceMissing:
        return False
    return True


def _tried(ground: Ground, holding: Holding) -> str | None:
    """As `_restore`; what it raises is why it is not proved, too."""
    try:
        return _restore(ground, holding)
    except VirtnetplugError as error:
        return error.message


def _restore(ground: Ground, holding: Holding) -> str | None:
    """Driver, then settings, then proof; what is missing of the proof, or None."""
    if not until_true(lambda: not ground.host_devices.vfio_users(holding.address), seconds=CLOSING_SECONDS):
        users = ground.host_devices.vfio_users(holding.address)
        return f"process {min(users, default=0)} still has its VFIO group open"
    if not _bring_back(ground, holding):
        driver = ground.host_devices.device(holding.address).driver
        return f"it is on driver {driver or 'none'}, and not back on its host's with its network interface"
    return set_back(ground, holding) if holding.snapshot else None  # without one it was never changed


def _bring_back(ground: Ground, holding: Holding) -> bool:
    """Whether it is on its host driver in the end, by libvirt's doing or ours."""
    if holding.managed and until_true(lambda: _is_back(ground, holding), seconds=LIBVIRT_SECONDS):
        return True
    reattach(ground, holding)  # what is managed, libvirt should have; it may have died at it
    return until_true(lambda: _is_back(ground, holding), seconds=HOST_DRIVER_SECONDS)


def set_back(ground: Ground, holding: Holding) -> str | None:
    """Every setting as it was; what is not so after it, or None."""
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
    return _difference(before, ground.host_devices.settings(holding.address))


def _unset(ground: Ground, holding: Holding) -> None:
    """Take back what was set of a device for a NIC, where another NIC has the device by now; what somebody set since is left."""
    now = ground.host_devices.settings(holding.address)
    put(ground, holding, back_to(holding.snapshot, of_ours(holding.settings), now), user=User.ANYBODY)


def _reload(ground: Ground, holding: Holding) -> None:
    """Have the host's driver start with the device anew, by way of VFIO."""
    detach(ground, holding)
    reattach(ground, holding)
    until_true(lambda: _is_back(ground, holding), seconds=HOST_DRIVER_SECONDS)


def _is_back(ground: Ground, holding: Holding) -> bool:
    """On its host driver, and with its interface if it had one: only then can its own MAC and MTU be seen."""
    device = ground.host_devices.device(holding.address)
    is_on_host = device.driver is not None and device.driver != VFIO_DRIVER
    return is_on_host and (holding.snapshot.get("mac") is None or device.netdev is not None)


def _difference(before: VfSettings, now: VfSettings) -> str | None:
    """What is not as it was, with both values; None if all is."""
    found = [
        f"its {name.replace('_', ' ')} is {getattr(now, name)}, and was {getattr(before, name)}"
        for name in before.differences(now)
    ]
    return ", ".join(found) or None
