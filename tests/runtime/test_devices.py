from __future__ import annotations

import pytest

from qsession_widget.runtime.__main__ import main
from qsession_widget.runtime.devices import Catalog, UnknownDeviceError


def test_a_copy_and_an_alias_are_recordings_under_another_name() -> None:
    catalog = Catalog({"fake_manila": 2}, {"test_eagle": "fake_manila_2"})
    for name in ("fake_manila_2", "test_eagle", "mock_eagle"):
        device = catalog.get(name)
        assert device is not None
        assert device.recorded_name == "fake_manila"
        assert device.configuration["backend_name"] == name
        assert device.mock == name.startswith("mock_")
    assert set(catalog.names()) - set(Catalog().names()) == {"fake_manila_2", "test_eagle"}


def test_what_does_not_exist_has_no_copies() -> None:
    with pytest.raises(UnknownDeviceError, match=r"no device 'fake_nothing'.*fake_manila"):
        Catalog({"fake_nothing": 2})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--copies", "fake_manila"], "not of the form NAME=VALUE"),
        (["--copies", "fake_manila=0"], "at least one"),
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
