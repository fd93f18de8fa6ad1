"""Saved accounts, compared with qiskit-ibm-runtime's own reader and writer."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
from qiskit_ibm_runtime.accounts import AccountManager
from qiskit_ibm_runtime.proxies import ProxyConfiguration

from qsession_widget import InvalidInputError, QiskitRuntimeService
from qsession_widget.transport.accounts import find_account

if TYPE_CHECKING:
    from pathlib import Path

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/1:2::"
EVERYTHING: dict[str, Any] = {
    "token": "key",
    "url": "https://test.example",
    "instance": CRN,
    "channel": "ibm_cloud",
    "verify": False,
    "private_endpoint": True,
    "region": "eu-de",
    "plans_preference": ["open", "premium"],
    "tags": ["lesson"],
}
save, saved, delete = (
    QiskitRuntimeService.save_account,
    QiskitRuntimeService.saved_accounts,
    QiskitRuntimeService.delete_account,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "accounts" / "qiskit-ibm.json"


@pytest.mark.parametrize("account", [{"token": "key"}, EVERYTHING], ids=["least", "everything"])
def test_the_official_client_reads_what_we_save_and_the_other_way_round(
    account: dict[str, Any], file: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.json"
    proxies = {"https": "http://proxy:1"}
    save(**account, proxies=proxies, name="a", filename=file)
    AccountManager.save(
        **account,
        proxies=ProxyConfiguration(urls=proxies),
        name="a",
        filename=str(theirs),
    )
    ours_there = AccountManager.get(filename=str(file), name="a")
    assert vars(ours_there) == vars(AccountManager.get(filename=str(theirs), name="a"))
    assert find_account(name="a", filename=theirs) == find_account(name="a", filename=file)


def test_the_default_is_the_same_for_both(file: Path) -> None:
    assert save("one", filename=file) == "default-ibm-quantum-platform"
    assert save("two", name="b", filename=file, set_as_default=True) == "b"
    assert find_account(filename=file).token == "two"
    assert AccountManager.get(filename=str(file)).token == "two"
    save("three", name="c", filename=file, set_as_default=True, overwrite=True)
    assert find_account(filename=file).token == "three"
    assert AccountManager.get(filename=str(file)).token == "three"
    assert find_account(name="b", filename=file).token == "two"


def test_accounts_are_overwritten_only_on_request(file: Path) -> None:
    save("one", name="a", filename=file, set_as_default=True)
    with pytest.raises(InvalidInputError, match=r"'a' is saved already; overwrite=True"):
        save("two", name="a", filename=file)
    with pytest.raises(InvalidInputError, match=r"'a' is the default already; overwrite=True"):
        save("two", name="b", filename=file, set_as_default=True)
    assert find_account(name="a", filename=file).token == "one"
    save("two", name="a", filename=file, overwrite=True)
    assert find_account(name="a", filename=file).token == "two"


def test_tokens_are_hidden(file: Path) -> None:
    save("s3cret", name="a", filename=file)
    assert "s3cret" not in str(saved(filename=file))
    assert saved(filename=file)["a"]["channel"] == "ibm_quantum_platform"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_accounts_are_listed_and_deleted(file: Path) -> None:
    assert saved(filename=file) == {}
    assert delete(filename=file) is False
    save("one", filename=file)
    save("two", channel="ibm_cloud", filename=file)
    assert set(saved(filename=file)) == {"default-ibm-quantum-platform", "default-ibm-cloud"}
    assert set(saved(channel="ibm_cloud", filename=file)) == {"default-ibm-cloud"}
    assert set(saved(filename=file, name="unknown")) == set()
    assert delete(file) is True
    assert delete(filename=file, channel="ibm_cloud") is True
    assert json.loads(file.read_text()) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "takes a token"),
        ({"token": "t", "channel": "local"}, "url and token"),
        ({"token": "t", "channel": "local", "url": "http://h"}, "needs no account"),
        ({"token": "t", "channel": "ibm_quantum"}, "'ibm_quantum' is not allowed"),
        ({"token": "t", "proxies": {"urls": {}, "username_ntlm": "u"}}, "username_ntlm"),
    ],
)
def test_unusable_accounts_are_not_saved(arguments: dict[str, Any], said: str, file: Path) -> None:
    with pytest.raises(InvalidInputError, match=said):
        save(**arguments, filename=file)
    assert not file.exists()


def test_an_unknown_account_name(file: Path) -> None:
    save("one", name="a", filename=file)
    with pytest.raises(InvalidInputError, match=r"name='b'.*there are a"):
        QiskitRuntimeService(name="b", filename=file)
    with pytest.raises(InvalidInputError, match=r"name='a' for channel='ibm_cloud'"):
        QiskitRuntimeService("ibm_cloud", name="a", filename=file)
    with pytest.raises(InvalidInputError, match="there is none"):
        QiskitRuntimeService(instance=CRN, filename=file.with_name("none.json"))
