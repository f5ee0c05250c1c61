"""Preflight: each reason an attach cannot work, and what is no reason."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.fakes.stage import PC, Stage, StageDomain, at, definition, nic, q35
from virtnetplug import xml
from virtnetplug.hotplug.check.preflight import check_attach, check_scope, check_update
from virtnetplug.hotplug.look.view import look
from virtnetplug.model.network import Network, Portgroup
from virtnetplug.model.operation import Half, Refusal, Scope
from virtnetplug.ports.host import Link

BOTH = (Half.LIVE, Half.CONFIG)


@pytest.fixture
def stage() -> Stage:
    """A bridge, a network, and a running guest called ``web`` with one NIC."""
    stage = Stage()
    stage.bridge("br0", "vnet1")
    stage.nets["default"] = Network(
        name="default", forward="nat", bridge="virbr0", portgroups=(Portgroup(name="green"),)
    )
    stage.add("web", nic(1, extra=at(3)))
    return stage


def request(number: int = 2, **options: str) -> str:
    return nic(number, target=None, **options)


def check(stage: Stage, *requests: str, scope: Scope = Scope.LIVE) -> tuple[Refusal, ...]:
    view = look(stage.all["web"], BOTH)  # type: ignore[arg-type]
    return check_attach(stage.host(), view, [xml.interface(text) for text in requests], scope)


def reasons(refusals: Sequence[Refusal]) -> list[str]:
    return [refusal.reason for refusal in refusals]


def only(refusals: Sequence[Refusal]) -> Refusal:
    assert len(refusals) == 1, refusals
    return refusals[0]


@pytest.mark.parametrize("scope", list(Scope))
def test_a_good_request_is_not_refused(stage: Stage, scope: Scope) -> None:
    assert check(stage, request(2), request(3, kind="network", source="network='default'"), scope=scope) == ()
    assert "nic_models" not in stage.calls, "nobody starts the emulator for a virtio NIC"


def test_everything_that_is_wrong_is_said_at_once(stage: Stage) -> None:
    stage.all["web"].job = "migration"
    texts = (request(1), request(4, source="bridge='br7'"), request(5).replace("ua-5", "mine"))
    assert reasons(check(stage, *texts)) == [
        "domain-busy",
        "duplicate-alias",
        "alias-prefix",
        "duplicate-mac",
        "bridge-missing",
    ]


# -- the domain ------------------------------------------------------------------------------------


def test_the_live_half_needs_a_running_domain_and_the_config_half_a_persistent_one(stage: Stage) -> None:
    domain = stage.all["web"]
    domain.live = None
    assert reasons(check(stage, request(), scope=Scope.LIVE)) == ["domain-not-running"]
    assert reasons(check(stage, request(), scope=Scope.CONFIG)) == []
    domain.live, domain.config = domain.config, None
    assert reasons(check(stage, request(), scope=Scope.BOTH)) == ["domain-transient"]
    assert reasons(check(stage, request(), scope=Scope.LIVE)) == []


def test_a_domain_with_a_job_is_left_alone(stage: Stage) -> None:
    stage.all["web"].job = "save"
    view = look(stage.all["web"], BOTH)  # type: ignore[arg-type]
    assert "(save)" in only(check_scope(view, Scope.CONFIG)).message


# -- names -----------------------------------------------------------------------------------------


def test_an_alias_libvirt_would_drop(stage: Stage) -> None:
    refusal = only(check(stage, request().replace("ua-2", "lan")))
    assert refusal.reason == "alias-prefix"
    assert "'ua-lan'" in refusal.message


@pytest.mark.parametrize(
    ("half", "scope"), [(Half.LIVE, Scope.LIVE), (Half.CONFIG, Scope.CONFIG), (Half.CONFIG, Scope.BOTH)]
)
def test_names_that_are_taken_in_a_half_of_the_scope(stage: Stage, half: Half, scope: Scope) -> None:
    domain = stage.all["web"]
    full, empty = definition("web", nic(1)), definition("web")
    domain.live, domain.config = (full, empty) if half is Half.LIVE else (empty, full)
    assert reasons(check(stage, request(1), scope=scope)) == ["duplicate-alias", "duplicate-mac"]
    other = Scope.CONFIG if half is Half.LIVE else Scope.LIVE
    assert check(stage, request(1), scope=other) == ()


def test_names_twice_within_the_request(stage: Stage) -> None:
    assert reasons(check(stage, request(2), request(2))) == ["duplicate-alias", "duplicate-mac"]


def test_requests_without_names_do_not_clash(stage: Stage) -> None:
    bare = "<interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>"
    assert check(stage, bare, bare) == ()


# -- teaming ---------------------------------------------------------------------------------------

PERSISTENT = "<teaming type='persistent'/>"
TRANSIENT = "<teaming type='transient' persistent='ua-1'/>"


def twin(extra: str = TRANSIENT) -> str:
    """A second NIC with the first one's MAC."""
    return request(2, extra=extra).replace("00:02", "00:01")


def test_a_teaming_pair_may_share_its_mac(stage: Stage) -> None:
    stage.add("web", nic(1, extra=PERSISTENT))
    assert check(stage, twin()) == ()
    assert reasons(check(stage, twin(extra=""))) == ["duplicate-mac"]
    stage.add("web")
    assert check(stage, request(1, extra=PERSISTENT), twin()) == ()


@pytest.mark.parametrize("nics", [(), (nic(1),), (nic(3, extra=PERSISTENT),)])
def test_the_transient_half_needs_its_partner(stage: Stage, nics: tuple[str, ...]) -> None:
    stage.add("web", *nics)
    refusals = check(stage, request(2, extra=TRANSIENT))
    assert reasons(refusals) == ["teaming-incomplete"]
    assert "ua-1" in refusals[0].message


def test_the_two_halves_need_the_same_mac_and_the_persistent_one_virtio(stage: Stage) -> None:
    stage.add("web", nic(1, extra=PERSISTENT))
    assert "pairs them by MAC" in only(check(stage, request(2, extra=TRANSIENT))).message
    other = request(2, extra=PERSISTENT).replace("'virtio'", "'e1000'")
    assert "needs model virtio" in only(check(stage, other)).message


# -- PCI -------------------------------------------------------------------------------------------


def test_an_address_that_is_taken_or_on_no_bus(stage: Stage) -> None:
    assert only(check(stage, request(2, extra=at(3)))).reason == "pci-address-in-use"
    assert only(check(stage, request(2, extra=at(3, bus=4)))).reason == "no-such-bus"
    assert reasons(check(stage, request(2, extra=at(7)), request(3, extra=at(7)))) == ["pci-address-in-use"]
    assert check(stage, request(2, extra=at(7))) == ()


def test_a_q35_guest_with_too_few_free_ports_for_all_of_the_request(stage: Stage) -> None:
    stage.add("web", nic(1, extra=at(0, bus=1)), hardware=q35(3))
    assert check(stage, request(2), request(3)) == ()
    refusal = only(check(stage, request(2), request(3), request(4)))
    assert refusal.reason == "no-free-port"
    assert "2 free PCIe hot-plug ports" in refusal.message
    assert "<controller type='pci' model='pcie-root-port'/>" in refusal.message
    assert check(stage, request(2), request(3), request(4), scope=Scope.CONFIG) == ()


def test_an_address_asked_for_takes_a_place_from_the_others(stage: Stage) -> None:
    stage.add("web", hardware=q35(2))
    assert check(stage, request(2, extra=at(0, bus=1)), request(3)) == ()
    assert reasons(check(stage, request(2, extra=at(0, bus=1)), request(3), request(4))) == ["no-free-port"]
    stage.add("web", nic(1, extra=at(0, bus=1)), hardware=q35(2))
    assert reasons(check(stage, request(2, extra=at(0, bus=2)), request(3))) == ["no-free-port"]


def test_conventional_models_need_places_of_their_own(stage: Stage) -> None:
    old = request(3).replace("'virtio'", "'rtl8139'")
    stage.add("web", hardware=q35(1))
    refusal = only(check(stage, request(2), old))
    assert "no free PCI slots" in refusal.message
    assert "pcie-to-pci-bridge" in refusal.message
    stage.add("web", hardware=q35(1, bridge=True))
    assert check(stage, request(2), old) == ()


def test_a_full_pc_guest_counts_every_model(stage: Stage) -> None:
    stage.add("web", *(nic(number, extra=at(number)) for number in range(2, 31)), hardware=PC)
    models = (request(40), request(41).replace("'virtio'", "'rtl8139'"))
    assert check(stage, models[0]) == ()
    refusal = only(check(stage, *models))
    assert "has 1 free PCI slots" in refusal.message
    assert "pci-bridge" in refusal.message


# -- models ----------------------------------------------------------------------------------------


def test_a_model_the_emulator_does_not_have(stage: Stage) -> None:
    refusal = only(check(stage, request().replace("'virtio'", "'e1000x'")))
    assert refusal.reason == "model-unknown"
    assert "e1000" in refusal.message
    assert check(stage, request().replace("'virtio'", "'rtl8139'")) == ()
    stage.models = None
    assert check(stage, request().replace("'virtio'", "'e1000x'")) == ()


def test_a_model_the_guest_has_already_is_not_asked_about(stage: Stage) -> None:
    stage.add("web", nic(1).replace("'virtio'", "'vmxnet3'"))
    assert check(stage, request().replace("'virtio'", "'vmxnet3'")) == ()
    assert "nic_models" not in stage.calls


# -- sources ---------------------------------------------------------------------------------------


def test_a_bridge_that_is_missing_or_none(stage: Stage) -> None:
    assert "no such link" in only(check(stage, request(source="bridge='br7'"))).message
    assert "no bridge" in only(check(stage, request(source="bridge='vnet1'"))).message
    assert check(stage, request(source="bridge='br7'"), scope=Scope.CONFIG) == ()
    stage.is_local = False
    assert check(stage, request(source="bridge='br7'")) == ()


def test_a_network_that_is_missing_inactive_or_a_pool(stage: Stage) -> None:
    def network(name: str, more: str = "") -> str:
        return request(kind="network", source=f"network='{name}'{more}")

    stage.nets["off"] = Network(name="off", active=False)
    stage.nets["pool"] = Network(name="pool", forward="hostdev")
    stage.nets["lan"] = Network(name="lan", forward="bridge", bridge="br7")
    assert reasons(check(stage, network("none"))) == ["network-missing"]
    assert reasons(check(stage, network("none"), scope=Scope.CONFIG)) == ["network-missing"]
    assert reasons(check(stage, network("off"))) == ["network-inactive"]
    assert reasons(check(stage, network("off"), scope=Scope.CONFIG)) == []
    assert reasons(check(stage, network("pool"))) == ["pool-exhausted"], "it has no device at all"
    assert reasons(check(stage, network("lan"))) == ["bridge-missing"]
    assert check(stage, network("default", " portgroup='green'")) == ()
    assert "green" in only(check(stage, network("default", " portgroup='red'"))).message


def test_a_host_device_that_is_missing(stage: Stage) -> None:
    text = request(kind="direct", source="dev='eth7' mode='bridge'")
    assert reasons(check(stage, text)) == ["link-missing"]
    stage.there["eth7"] = Link(name="eth7", index=3)
    assert check(stage, text) == ()


def test_each_network_is_asked_for_once_and_handed_on(stage: Stage) -> None:
    nets = [xml.interface(request(number, kind="network", source="network='default'")) for number in (2, 3)]
    known: dict[str, Network] = {}
    view = look(stage.all["web"], BOTH)  # type: ignore[arg-type]
    assert check_attach(stage.host(), view, nets, Scope.LIVE, networks=known) == ()
    assert check_attach(stage.host(), view, nets, Scope.LIVE, networks=known) == ()
    assert stage.calls.count("network default") == 1
    assert known == {"default": stage.nets["default"]}


def test_a_source_alone_can_be_checked(stage: Stage) -> None:
    view = look(stage.all["web"], BOTH)  # type: ignore[arg-type]
    after = xml.interface(request(source="bridge='br7'"))
    assert check_update(stage.host(), view, xml.interface(request()), ["source_bridge"]) == ()
    assert reasons(check_update(stage.host(), view, after, ["source_bridge"])) == ["bridge-missing"]
    assert check_update(stage.host(), view, after, ["link_state"]) == (), "what does not change is not looked at"


def test_an_update_is_refused_for_what_it_makes_of_the_nic(stage: Stage) -> None:
    view = look(stage.all["web"], BOTH)  # type: ignore[arg-type]
    host = stage.host()
    assert reasons(check_update(host, view, xml.interface(request(7)), ["alias"])) == ["not-supported"]
    assert reasons(check_update(host, view, xml.interface(request().replace("virtio", "e1000x")), ["model"])) == [
        "model-unknown"
    ]


# -- elements --------------------------------------------------------------------------------------


def test_an_element_libvirts_schema_refuses(stage: Stage) -> None:
    refusals = check(stage, request(2, extra="<modell type='virtio'/>"), request(3, source="bridge='br7'"))
    assert reasons(refusals) == ["xml-invalid", "bridge-missing"]
    assert "modell" in refusals[0].message
    assert refusals[0].nic.startswith("ua-2")


def test_a_domain_of_another_kind_has_no_pci_to_count(stage: Stage) -> None:
    stage.add("web", hardware="")
    assert check(stage, request(2), request(3, extra=at(9, bus=9))) == ()
    assert isinstance(stage.all["web"], StageDomain)
