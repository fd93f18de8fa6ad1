from __future__ import annotations

from datetime import UTC, datetime

from qsession_widget.runtime.auth.user_registry import UserRegistry, hash_of
from qsession_widget.runtime.http.requester import Requester
from qsession_widget.runtime.model.user import User
from qsession_widget.wire.fields import ADMINISTRATOR

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_removed_user_is_not_authenticated() -> None:
    registry = UserRegistry("token", [User("ada", NOON, hash_of("first"))])
    requester = Requester("ada", registry)
    assert (requester.is_authenticated, requester.username) == (True, "ada")
    registry.remove("ada")
    assert not requester.is_authenticated
    registry.add(User("ada", NOON, hash_of("second")))
    assert not requester.is_authenticated, "the token has changed"
    assert Requester(ADMINISTRATOR, registry).is_authenticated


def test_an_unknown_name_is_not_authenticated() -> None:
    assert not Requester("nemo", UserRegistry("token")).is_authenticated
