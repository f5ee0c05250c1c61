"""What tp-libvirt, libvirt's own acceptance tests, does with VFs, and which test here shows the same; or why none does.

Its cases are those of ``libvirt/tests/cfg/sriov`` of https://github.com/autotest/tp-libvirt, in the directories `DIRECTORIES`, named as
they are there: the name of the case, then its variants. ``tests/unit/lab/test_tp_libvirt.py`` holds every test named here to be one.
"""

from __future__ import annotations

from dataclasses import dataclass

DIRECTORIES = ("plug_unplug", "nodedev", "scalability", "update_device", "failover", "vm_lifecycle")


@dataclass(frozen=True, slots=True)
class Case:
    """One of its cases, or several variants of one: shown by tests here (``FILE::FUNCTION`` below ``tests``), or the reason it is not."""

    name: str
    variants: str
    shown_by: tuple[str, ...] = ()
    why_not: str = ""


PLAIN = "a plain <hostdev> is no net: virtnetplug attaches none, and lends no device that a domain has as one (lab/test_bad_input.py)"
NO_PLUG = "no NIC is plugged in it: it is about booting, saving or migrating a domain whose definition has one, which libvirt does"

_VARIANTS = "lab/test_variants.py::"
_LIFECYCLE = "lab/test_lifecycle.py::"
_INPUT = "lab/test_bad_input.py::"
_DAYS = "lab/test_bad_days.py::"
_HOSTDEV = "lab/test_hostdev.py::"
_FAULTS = "lab/test_faults.py::"
_HOST = "lab/test_sriov_host.py::"

CASES = (
    # -- plug_unplug
    Case(
        "sriov.plug_unplug.attach_detach_device",
        "hostdev_interface.vf_address: managed_yes, managed_no, without_managed, vlan",
        (_VARIANTS + "test_a_device_by_address", _VARIANTS + "test_on_q35"),
    ),
    Case("sriov.plug_unplug.attach_detach_device", "hostdev_device: vf_address, pf_address", why_not=PLAIN),
    Case(
        "sriov.plug_unplug.attach_detach_device",
        "network_interface.network: pf_name and vf_address, each managed_yes, managed_no, without_managed",
        (_VARIANTS + "test_a_pool",),
    ),
    Case(
        "sriov.plug_unplug.attach_detach_device_after_restarting_service",
        "hostdev_interface, network_interface",
        (_HOSTDEV + "test_libvirtd_dies_while_a_vf_is_lent",),
    ),
    Case("sriov.plug_unplug.attach_detach_device_after_restarting_service", "hostdev_device", why_not=PLAIN),
    Case(
        "sriov.plug_unplug.attach_detach_device_special_situations",
        "hostdev_interface.boot_order",
        (_VARIANTS + "test_boot_order",),
    ),
    Case(
        "sriov.plug_unplug.attach_detach_device_special_situations",
        "hostdev_interface.readonly_mode",
        why_not="virtnetplug opens its own connection, read-only for what only reads; what libvirt forbids on one is permission-denied",
    ),
    Case(
        "sriov.plug_unplug.attach_detach_device_special_situations", "hostdev_device.unassigned_address", why_not=PLAIN
    ),
    Case(
        "sriov.plug_unplug.vfio_variant_driver",
        "default.hostdev_interface: single_iface, multiple_ifaces",
        (_HOSTDEV + "test_a_pool_lends_each_vf_once_and_says_who_has_them",),
    ),
    Case(
        "sriov.plug_unplug.vfio_variant_driver",
        "mlx5_vfio, vfio_vfio",
        why_not="the variant drivers are for hardware that is not emulated; <driver> passes through as it is",
    ),
    Case("sriov.plug_unplug.vfio_variant_driver", "hostdev_device", why_not=PLAIN),
    Case(
        "sriov.plug_unplug.attach_detach_device_with_flags",
        "hostdev_interface.offline_domain: live, current, config, persistent",
        (_LIFECYCLE + "test_the_definition_of_a_guest_that_is_off",),
    ),
    Case(
        "sriov.plug_unplug.attach_detach_device_with_flags",
        "hostdev_interface.running_domain: live, current, config, persistent",
        (
            _VARIANTS + "test_a_device_by_address",
            _LIFECYCLE + "test_the_definition_of_a_guest_that_runs",
            _HOSTDEV + "test_both_halves",
        ),
    ),
    Case("sriov.plug_unplug.attach_detach_device_with_flags", "hostdev_device", why_not=PLAIN),
    Case(
        "sriov.plug_unplug.attach_detach_device_with_unsupported_settings",
        "hostdev_interface.inactive_pf",
        (_HOSTDEV + "test_a_pf_whose_link_is_down_lends_nothing",),
    ),
    Case(
        "sriov.plug_unplug.attach_detach_device_with_unsupported_settings",
        "hostdev_interface: unassigned_address",
        (_LIFECYCLE + "test_what_libvirt_refuses_only_when_it_has_begun_is_undone",),
    ),
    Case(
        "sriov.plug_unplug.attach_detach_device_with_unsupported_settings",
        "hostdev_interface: dup_alias",
        (_INPUT + "test_an_alias_that_is_taken",),
    ),
    Case(
        "sriov.plug_unplug.attach_detach_interface",
        "with_managed, without_managed",
        (_VARIANTS + "test_a_device_by_address",),
    ),
    Case(
        "sriov.plug_unplug.attach_detach_interface_check_connections",
        "",
        (
            _VARIANTS + "test_a_pool",
            _HOSTDEV + "test_a_pool_lends_each_vf_once_and_says_who_has_them",
        ),
    ),
    Case("sriov.plug_unplug.attach_detach_interface_from_network", "", (_VARIANTS + "test_a_pool",)),
    Case(
        "sriov.plug_unplug.attach_detach_interface_special_situations",
        "no_detach_for_no_managed (refused there; virtnetplug takes the VF from its driver itself)",
        (_VARIANTS + "test_a_device_by_address",),
    ),
    Case("sriov.plug_unplug.attach_detach_interface_special_situations", "with_model", (_VARIANTS + "test_on_q35",)),
    Case(
        "sriov.plug_unplug.attach_detach_interface_special_situations",
        "module_auto_reload",
        (_LIFECYCLE + "test_vfio_pci_is_loaded_when_it_is_needed",),
    ),
    Case(
        "sriov.plug_unplug.attach_detach_interface_special_situations",
        "to_vm_with_hostdev_ifaces",
        (_LIFECYCLE + "test_a_guest_that_booted_with_a_vf_gets_more",),
    ),
    Case(
        "sriov.plug_unplug.attach_detach_interface_with_flags",
        "offline_domain and running_domain: no_option, live, current, config, persistent",
        (
            _LIFECYCLE + "test_the_definition_of_a_guest_that_is_off",
            _LIFECYCLE + "test_the_definition_of_a_guest_that_runs",
            _HOSTDEV + "test_both_halves",
        ),
    ),
    Case(
        "sriov.plug_unplug.attach_interface_to_vm_with_vf",
        "",
        (_LIFECYCLE + "test_a_guest_that_booted_with_a_vf_gets_more",),
    ),
    Case(
        "sriov.plug_unplug.attach_released_hostdev",
        "to_2nd_vm, to_itself",
        (_LIFECYCLE + "test_what_one_guest_gave_back_another_gets",),
    ),
    # -- nodedev
    Case("sriov.nodedev.non_driver", "", (_DAYS + "test_a_free_vf_on_no_driver",)),
    Case(
        "sriov.nodedev.nodedev_reattach_detach",
        "vf",
        (_VARIANTS + "test_a_device_by_address", _DAYS + "test_a_free_vf_on_vfio_by_hand"),
    ),
    Case("sriov.nodedev.nodedev_reattach_detach", "pf", why_not="a PF is never lent (lab/test_bad_input.py)"),
    Case(
        "sriov.nodedev.reattach_detach_nodedev_in_use",
        "hostdev_interface.vf",
        (_VARIANTS + "test_a_device_by_address", _VARIANTS + "test_a_pool"),
    ),
    Case("sriov.nodedev.reattach_detach_nodedev_in_use", "hostdev_device: vf, pf", why_not=PLAIN),
    # -- scalability
    Case(
        "sriov.scalability.max_vfs",
        "with the VFs that the emulated card is set to, 4 of its 7; there it is 63",
        (_HOSTDEV + "test_a_pool_lends_each_vf_once_and_says_who_has_them", _HOSTDEV + "test_more_processes_than_vfs"),
    ),
    Case("sriov.scalability.repeated_at_dt", "200 times instead of 10", (_FAULTS + "test_many_cycles_leak_nothing",)),
    # -- update_device
    Case("sriov.update_device", "", (_HOSTDEV + "test_settings_of_a_vf_in_use_change_through_its_pf",)),
    # -- failover
    Case(
        "sriov.failover.at_dt_hostdev",
        "hostdev_interface",
        (
            _HOST + "test_a_linux_guest_keeps_its_network_when_the_vf_of_a_teaming_pair_goes",
            _FAULTS + "test_kill_in_every_world_then_recover",
        ),
    ),
    Case("sriov.failover.at_dt_hostdev", "hostdev_device", why_not=PLAIN),
    Case("sriov.failover.lifecycle", "hostdev_interface, hostdev_device", why_not=NO_PLUG),
    Case("sriov.failover.migration", "hostdev_interface, hostdev_device", why_not=NO_PLUG),
    Case("sriov.failover.abort_migration", "hostdev_interface, hostdev_device", why_not=NO_PLUG),
    # -- vm_lifecycle
    Case(
        "direct_passthrough.vm_lifecycle.start_destroy",
        "direct_interface, network_interface",
        why_not=NO_PLUG + "; and macvtap on a VF's interface is an emulated NIC",
    ),
    Case(
        "sriov.vm_lifecycle.exclusive_check.offline_domain",
        "hostdev_interface.hostdev_interface",
        (_LIFECYCLE + "test_the_definition_of_a_guest_that_is_off",),
    ),
    Case("sriov.vm_lifecycle.exclusive_check.offline_domain", "those with hostdev_device", why_not=PLAIN),
    Case(
        "sriov.vm_lifecycle.exclusive_check.running_domain",
        "start_2nd_vm, hotplug",
        (_INPUT + "test_a_vf_in_use",),
    ),
    Case(
        "sriov.vm_lifecycle.exclusive_check.running_domain",
        "assigned_VF_to_host",
        (_VARIANTS + "test_a_device_by_address",),
    ),
    Case(
        "sriov.vm_lifecycle.iommu.at_dt_hostdev",
        "hostdev_interface, hostdev_device",
        why_not="an IOMMU in the guest concerns no step on the host",
    ),
    Case("sriov.vm_lifecycle.managedsave", "hostdev_interface, hostdev_device", why_not=NO_PLUG),
    Case(
        "sriov.vm_lifecycle.reboot",
        "without_iommu: hostdev_interface, network_interface",
        (
            _LIFECYCLE + "test_a_reset_keeps_it_and_a_pause_makes_its_detach_wait",
            _DAYS + "test_a_guest_that_never_lets_go",
        ),
    ),
    Case(
        "sriov.vm_lifecycle.reboot",
        "with_iommu, hostdev_device",
        why_not=PLAIN + "; an IOMMU in the guest concerns no step",
    ),
    Case(
        "sriov.vm_lifecycle.start_destroy",
        "hostdev_interface, network_interface",
        (
            _LIFECYCLE + "test_the_next_boot_lends_as_libvirt_does",
            _HOSTDEV + "test_a_domain_that_ends_gives_its_vfs_back",
        ),
    ),
    Case("sriov.vm_lifecycle.start_destroy", "hostdev_device", why_not=PLAIN),
    Case(
        "sriov.vm_lifecycle.start.negative",
        "hostdev_interface: vlan_trunk, pf_address (of a guest that runs)",
        (_INPUT + "test_a_request",),
    ),
    Case(
        "sriov.vm_lifecycle.start.negative",
        "hostdev_interface: inactive_pf, inactive_network (of a guest that runs)",
        (_HOSTDEV + "test_a_pf_whose_link_is_down_lends_nothing", _INPUT + "test_an_inactive_pool"),
    ),
    Case(
        "sriov.vm_lifecycle.start.negative",
        "hostdev_interface: unsupported_virtualport, unassigned_address (of a guest that runs)",
        (_LIFECYCLE + "test_what_libvirt_refuses_only_when_it_has_begun_is_undone",),
    ),
    Case("sriov.vm_lifecycle.start.negative", "iommu_without_caching", why_not=NO_PLUG),
    Case(
        "sriov.vm_lifecycle.suspend_resume",
        "without_iommu: hostdev_interface, network_interface",
        (_LIFECYCLE + "test_a_reset_keeps_it_and_a_pause_makes_its_detach_wait",),
    ),
    Case(
        "sriov.vm_lifecycle.suspend_resume",
        "with_iommu, hostdev_device",
        why_not=PLAIN + "; an IOMMU in the guest concerns no step",
    ),
    Case(
        "sriov.vm_lifecycle.unmanaged",
        "hostdev_interface and network_interface: hot_plug (refused there; virtnetplug takes the VF from its driver itself)",
        (_VARIANTS + "test_a_device_by_address", _VARIANTS + "test_a_pool"),
    ),
    Case("sriov.vm_lifecycle.unmanaged", "cold_plug; hostdev_device", why_not=NO_PLUG),
)
