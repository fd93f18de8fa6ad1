"""Connections: the forms of proxies and of trusted certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import InvalidInputError
from qsession_widget.client import connect
from qsession_widget.transport.accounts import Account

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "http://name:secret@proxy:3128"


@pytest.mark.parametrize("given", [{"https": ADDRESS}, {"urls": {"https": ADDRESS}}])
def test_proxies_of_both_forms(given: Any) -> None:
    assert connect.proxies_of(given) == {"https": ADDRESS}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([ADDRESS], "not a dict"),
        ({"urls": ADDRESS}, "not a dict"),
        ({"urls": {}, "username_ntlm": "name"}, "username_ntlm are not supported"),
        ({"https": "name:secret@proxy"}, "'https' is not an address"),
    ],
)
def test_proxies_that_cannot_be_used(given: Any, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as caught:
        connect.proxies_of(given)
    assert "secret" not in str(caught.value)


def test_trust_in_certificates(tmp_path: Path) -> None:
    assert [connect.verify_of(each) for each in (None, True, False)] == [None, True, False]
    assert connect.verify_of(tmp_path) == str(tmp_path)
    bad: Any = 1
    with pytest.raises(InvalidInputError, match="verify=1"):
        connect.verify_of(bad)


def test_a_runtime_is_reached_below_its_root() -> None:
    for url in ("http://127.0.0.1:9", "http://127.0.0.1:9/", "http://127.0.0.1:9/api/v1"):
        transport = connect.connect(Account("local", "token", url))
        assert transport.url == "http://127.0.0.1:9/api/v1"
        transport.close()
