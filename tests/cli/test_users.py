"""`qsession user`, and what an added user can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qsession_widget import QiskitRuntimeService, Sampler
from qsession_widget.cli.main import main
from qsession_widget.errors import NotAuthorizedError
from qsession_widget.local import process
from tests.client.circuits import bell
from tests.conftest import running

if TYPE_CHECKING:
    from pathlib import Path


def test_an_added_user_can_join_until_removed(
    own_runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["user", "list"]) == 1
    assert "no local runtime" in capsys.readouterr().err
    with running(own_runtime):
        url = process.endpoint(start=False).url
        assert main(["user", "add", "ada"]) == 0
        said = capsys.readouterr().out
        token = said.splitlines()[0]
        assert url in said
        service = QiskitRuntimeService(channel="local", url=url, token=token)
        job = Sampler(service.backend("fake_manila")).run(bell(), shots=10)
        assert job.result()[0].data.cr.num_shots == 10
        assert [each.job_id() for each in service.jobs()] == [job.job_id()]
        assert QiskitRuntimeService(channel="local").jobs() == [], "the administrator's own"
        assert main(["user", "list"]) == 0
        said = capsys.readouterr().out
        assert said.startswith("ada  since 20")
        assert token not in said
        assert main(["user", "add", "ada"]) == 1
        assert "already" in capsys.readouterr().err
        assert main(["user", "remove", "ada"]) == 0
        with pytest.raises(NotAuthorizedError):
            service.jobs()
        assert main(["user", "remove", "ada"]) == 1
        assert "User not found: ada" in capsys.readouterr().err
        assert main(["user", "list"]) == 0
        assert "`qsession user add NAME` adds one" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["user"], ["user", "add"], ["user", "promote"]])
def test_a_wrong_command_line_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: qsession user" in capsys.readouterr().err
