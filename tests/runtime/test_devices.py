from __future__ import annotations

import pytest

from qsession_widget.runtime.command import main
from qsession_widget.runtime.device_catalog import Catalog, UnknownDeviceError


def test_copies_and_aliases_are_recordings_under_another_name() -> None:
    catalog = Catalog({"fake_manila": 2}, {"test_eagle": "fake_manila_2"})
    for name in ("fake_manila_2", "test_eagle", "mock_eagle"):
        device = catalog.get(name)
        assert device is not None
        assert device.recorded_name == "fake_manila"
        assert device.configuration["backend_name"] == name
        assert device.mock == name.startswith("mock_")
    assert set(catalog.names()) - set(Catalog().names()) == {"fake_manila_2", "test_eagle"}


def test_an_unknown_device_has_no_copies() -> None:
    with pytest.raises(UnknownDeviceError, match=r"no device 'fake_nothing'.*fake_manila"):
        Catalog({"fake_nothing": 2})


def test_only_named_devices_are_served() -> None:
    catalog = Catalog(
        {"fake_manila": 2}, {"lab": "fake_torino"}, ("fake_oslo", "fake_manila", "aer_simulator")
    )
    assert catalog.names() == ["aer_simulator", "fake_manila", "fake_manila_2", "fake_oslo", "lab"]
    assert catalog.get("fake_torino") is None
    assert catalog.get("mock_torino") is None
    assert catalog.get("mock_oslo") is not None


def test_the_largest_and_newest_are_chosen_first_and_simulators_last() -> None:
    found = Catalog().in_order_of_choice()
    assert sorted(each.name for each in found) == Catalog().names()
    keys = [(not each.simulator, each.qubits, each.since) for each in found]
    assert keys == sorted(keys, reverse=True)
    assert found[0].qubits == 156
    assert [each.simulator for each in found[-3:]] == [False, True, True]


def test_listing_devices_reads_only_what_it_shows() -> None:
    """Building all objects would block other requests, even in a thread."""
    found = Catalog().in_order_of_choice(mocks=True)
    assert all({"configuration", "properties"}.isdisjoint(vars(each)) for each in found)
    for each in found:
        assert each.qubits == each.configuration["n_qubits"]
        assert each.since == each.configuration["online_date"][:10]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--devices", "fake_manila,fake_nothing"], "no device 'fake_nothing'"),
        (["--devices", "fake_manila,"], "not of the form NAME,NAME"),
        (["--programs", "executor,nothing"], "no program 'nothing'; known: sampler, estimator"),
        (["--copies", "fake_manila"], "not of the form NAME=VALUE"),
        (["--copies", "fake_manila=0"], "the least is 1"),
        (["--alias", "=fake_manila"], "not of the form NAME=VALUE"),
        (["--alias", "new=fake_nothing"], "no device 'fake_nothing'"),
    ],
)
def test_a_wrong_setting_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
