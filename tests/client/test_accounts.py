from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget.errors import InvalidInputError
from qsession_widget.transport.accounts import Account, find_account

if TYPE_CHECKING:
    from pathlib import Path

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/1:2::"
EU = CRN.replace("us-east", "eu-de")


@pytest.fixture(autouse=True)
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("TOKEN", "URL", "INSTANCE", "CHANNEL"):
        monkeypatch.delenv(f"QISKIT_IBM_{name}", raising=False)
    return tmp_path


def save(home: Path, **accounts: dict[str, Any]) -> None:
    folder = home / ".qiskit"
    folder.mkdir(exist_ok=True)
    (folder / "qiskit-ibm.json").write_text(json.dumps(accounts))


def entry(token: str, channel: str = "ibm_quantum_platform", **more: Any) -> dict[str, Any]:
    return {"channel": channel, "token": token, "instance": CRN, **more}


def test_nothing_saved_is_the_local_runtime() -> None:
    assert find_account() == Account("local")


def test_an_account_named_local_is_ignored(empty_home: Path) -> None:
    save(empty_home, local=entry("t"))
    assert find_account().channel == "local"


def test_an_account_of_a_removed_channel_is_ignored(empty_home: Path) -> None:
    save(empty_home, old=entry("t", "ibm_quantum"))
    assert find_account().channel == "local"


def test_the_default_account_then_the_default_name_then_any(empty_home: Path) -> None:
    any_one = {"a": entry("any", "ibm_cloud")}
    by_name = {"default-ibm-quantum-platform": entry("named")}
    marked = {"z": entry("marked", is_default_account=True)}
    save(empty_home, **any_one)
    assert find_account().token == "any"
    save(empty_home, **any_one, **by_name)
    assert find_account().token == "named"
    save(empty_home, **any_one, **by_name, **marked)
    assert find_account().token == "marked"
    assert find_account("ibm_cloud").token == "any"


def test_every_field_of_an_account_is_used(empty_home: Path) -> None:
    proxies = {"urls": {"https": "http://proxy:3128"}}
    save(
        empty_home,
        a=entry("t", url="https://x.com", verify=False, private_endpoint=True, proxies=proxies),
    )
    account = find_account()
    assert account == Account(
        "ibm_quantum_platform", "t", "https://x.com", CRN, False, True, proxies["urls"]
    )


def test_environment_variables_override_saved_accounts(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(empty_home, a=entry("saved", is_default_account=True))
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "variable")
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", EU)
    account = find_account()
    assert (account.token, account.instance) == ("variable", EU)
    assert find_account("local") == Account("local"), "arguments take precedence"


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', "null"])
def test_an_unreadable_file_is_named(empty_home: Path, text: str) -> None:
    save(empty_home)
    file = empty_home / ".qiskit" / "qiskit-ibm.json"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=r"qiskit-ibm\.json"):
        find_account()


def test_a_channel_without_an_account() -> None:
    with pytest.raises(InvalidInputError, match="QISKIT_IBM_TOKEN"):
        find_account("ibm_cloud")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"channel": "ibm_quantum"}, "allowed: local, ibm_quantum_platform, ibm_cloud"),
        ({"channel": "local", "token": "t"}, "both url and token"),
        ({"channel": "local", "url": "http://x"}, "both url and token"),
        ({"channel": "local", "url": "x:1", "token": "t"}, "not an http or https address"),
        ({"channel": "ibm_cloud"}, "takes a token"),
        ({"channel": "ibm_cloud", "token": "t", "instance": "crn:v1"}, "not a complete CRN"),
        ({"channel": "ibm_cloud", "token": "t", "region": "us"}, "allowed are us-east, eu-de"),
        ({"channel": "ibm_cloud", "token": "t", "instance": CRN + "\n"}, "instance contains"),
        ({"channel": "ibm_cloud", "token": "t\n", "instance": CRN}, "the token contains"),
    ],
)
def test_contradictory_settings_are_reported(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        Account(**arguments)


def test_a_token_is_not_shown() -> None:
    account = Account("ibm_cloud", "s3cret", instance=CRN)
    assert "s3cret" not in repr(account)


@pytest.mark.parametrize(
    ("url", "instance", "private", "base"),
    [
        (None, CRN, False, "https://quantum.cloud.ibm.com/api/v1"),
        (None, EU, False, "https://eu-de.quantum.cloud.ibm.com/api/v1"),
        (None, EU, True, "https://private.eu-de.quantum.cloud.ibm.com/api/v1"),
        ("http://x.org:81", CRN, False, "http://quantum.x.org/api/v1"),
        ("http://h:1/experimental/api/v1", CRN, False, "http://h:1/experimental/api/v1"),
    ],
)
def test_an_instances_url_is_the_official_clients(
    *, url: str | None, instance: str, private: bool, base: str
) -> None:
    from qiskit_ibm_runtime.api.utils import default_runtime_url_resolver  # noqa: PLC0415 - slow

    account = Account("ibm_cloud", "t", url, instance, private_endpoint=private)
    assert account.ibm_api_url() == base
    official = default_runtime_url_resolver(
        url or "https://cloud.ibm.com", instance, private, "ibm_cloud"
    )
    assert official == base


@pytest.mark.parametrize("channel", ["local", "ibm_quantum_platform"])
@pytest.mark.parametrize(
    "url", ["https://me:s3cret@host", "https://s3cret@host/x", "ftp://a:s3cret@b"]
)
def test_secrets_are_in_no_url_and_no_repr(channel: str, url: str) -> None:
    with pytest.raises(InvalidInputError, match="url has a user or a password") as caught:
        Account(channel, "t0ken", url)
    assert "s3cret" not in str(caught.value)
    shown = repr(
        Account(channel, "t0ken", "https://host", CRN, proxies={"https": "http://a:s3cret@b"})
    )
    assert not any(each in shown for each in ("t0ken", CRN, "s3cret"))
