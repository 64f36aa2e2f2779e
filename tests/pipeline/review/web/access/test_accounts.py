"""Rules for names and passwords, the log of changes, and how often one may try."""

from __future__ import annotations

import pytest

from pipeline.errors import InputError
from pipeline.review.store import Store
from pipeline.review.web.access import attempts
from pipeline.review.web.access.accounts import (
    account,
    accounts,
    add_account,
    anybody,
    check_password,
    check_rules,
    set_disabled,
    set_password,
    set_role,
)
from pipeline.review.web.access.attempts import ADDRESS, NAME, Attempts
from pipeline.review.web.access.log import lines

from .conftest import PASSWORD


@pytest.mark.parametrize(
    "password", ["", "elevenchars", "x" * 1025, "ann.smith@clinic.example", "Ann.Smith@Clinic.Example1"]
)
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(InputError, match="password"):
        check_rules("ann.smith@clinic.example", password)


@pytest.mark.parametrize("name", ["", "a" * 65, "a/b", "a\nb", "<script>", "=cmd()"])
def test_names_that_could_be_something_else_are_refused(store: Store, name: str) -> None:
    with pytest.raises(InputError, match="cannot be a name"), store.writing() as session:
        add_account(session, name, PASSWORD, "viewer", by="test")


def test_accounts_live_in_either_database(any_store: Store) -> None:
    with any_store.writing() as session:
        assert not anybody(session)
        add_account(session, "Ann", PASSWORD, "reviewer", by="root")
        assert anybody(session)
    with pytest.raises(InputError, match="already"), any_store.writing() as session:
        add_account(session, "aNN", PASSWORD, "viewer", by="root")
    actor = check_password(any_store, "Ann", PASSWORD)
    assert actor is not None
    assert (actor.name, actor.role) == ("Ann", "reviewer")
    assert check_password(any_store, "ann", PASSWORD) is None
    with any_store.writing() as session:
        set_role(session, "Ann", "admin", by="root")
        set_password(session, "Ann", "another long password", by="root")
        set_disabled(session, "Ann", True, by="root")
    assert check_password(any_store, "Ann", "another long password") is None
    with any_store.reading() as session:
        assert not anybody(session)
        assert [(each.name, each.role, each.disabled) for each in accounts(session)] == [("Ann", "admin", True)]
        told = [(each.user, each.action, each.detail) for each in reversed(lines(session, 10))]
    assert told == [
        ("root", "account added", {"account": "Ann", "role": "reviewer"}),
        ("root", "role changed", {"account": "Ann", "role": "admin"}),
        ("root", "password changed", {"account": "Ann"}),
        ("root", "account disabled", {"account": "Ann"}),
    ]


def test_the_same_characters_are_the_same_password(store: Store) -> None:
    with store.writing() as session:
        add_account(session, "zoë", "Größe im Quadrat", "viewer", by="test")
    assert check_password(store, "zoë", "Größe im Quadrat") is not None


def test_an_unknown_account_is_named_with_those_there_are(store: Store) -> None:
    with store.writing() as session:
        add_account(session, "rosa", PASSWORD, "viewer", by="test")
    with pytest.raises(InputError, match="Did you mean 'rosa'"), store.reading() as session:
        account(session, "roza")


class Clock:
    """Seconds that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_tries_come_back_one_by_one() -> None:
    clock = Clock()
    tries = Attempts(clock)
    assert [tries.take("ann", "10.0.0.1") for _ in range(NAME.burst)] == [0.0] * NAME.burst
    assert tries.take("ANN", "10.0.0.2") == pytest.approx(NAME.seconds)
    clock.now += NAME.seconds - 1
    assert tries.take("ann", "10.0.0.1") == pytest.approx(1)
    clock.now += 1
    assert tries.take("ann", "10.0.0.1") == 0
    assert tries.take("ann", "10.0.0.1") > 0
    clock.now += 1000 * NAME.seconds
    assert [tries.take("ann", "10.0.0.1") > 0 for _ in range(NAME.burst + 1)] == [False] * NAME.burst + [True]


def test_hammering_does_not_make_the_wait_longer() -> None:
    clock = Clock()
    tries = Attempts(clock)
    waits = [tries.take("ann", "10.0.0.1") for _ in range(1000)]
    assert max(waits) == pytest.approx(NAME.seconds)


def test_one_address_cannot_try_many_names() -> None:
    tries = Attempts(Clock())
    waits = [tries.take(f"name {number}", "2001:db8::1") for number in range(ADDRESS.burst)]
    assert waits == [0.0] * ADDRESS.burst
    assert tries.take("another", "2001:db8::ffff:2") == pytest.approx(ADDRESS.seconds)
    assert tries.take("another", "2001:db8:0:1::1") == 0


def test_memory_is_bounded_and_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MOST", 50)
    tries = Attempts(Clock())
    for number in range(1000):
        tries.take(f"name {number}", f"10.0.{number // 250}.{number % 250}")
    assert len(tries._free) <= 52
    assert "name name 999" in tries._free
