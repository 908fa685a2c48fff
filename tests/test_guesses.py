"""How often somebody may be wrong: of one account from one address, and from one address at all."""

from __future__ import annotations

import pytest

from audiokit.guesses import Guesses, network_of


def tried(guesses, count, name="ann", address="10.0.0.1", at=0.0):
    for _ in range(count):
        guesses.attempt(name, address, at)


def test_after_so_many_failures_of_one_account_from_one_address_it_is_left_alone():
    guesses = Guesses(600, 10, 200)
    tried(guesses, 9)
    assert guesses.wait("ann", "10.0.0.1", 1.0) == 0
    tried(guesses, 1, at=2.0)
    assert guesses.wait("ann", "10.0.0.1", 100.0) == 500, "from the first of them on"
    assert guesses.wait("ann", "10.0.0.2", 100.0) == 0, "a right password still gets in from elsewhere"
    assert guesses.wait("bob", "10.0.0.1", 100.0) == 0, "others still get in from there"
    assert guesses.wait("ann", "10.0.0.1", 600.0) == 0, "it is over"


def test_an_address_that_tries_many_accounts_is_left_alone_too():
    guesses = Guesses(600, 10, 200)
    for n in range(200):
        assert guesses.wait("somebody", "10.0.0.1", 0.0) == 0
        guesses.attempt(f"account{n}", "10.0.0.1", 0.0)
    assert guesses.wait("somebody", "10.0.0.1", 0.0) == 600
    assert guesses.wait("somebody", "10.0.0.2", 0.0) == 0


def test_being_right_forgives_the_account_and_not_the_address():
    guesses = Guesses(600, 10, 20)
    tried(guesses, 9)
    tried(guesses, 1)
    guesses.was_right("ann", "10.0.0.1")
    tried(guesses, 9, name="bob")
    assert guesses.wait("ann", "10.0.0.1", 0.0) == guesses.wait("bob", "10.0.0.1", 0.0) == 0
    tried(guesses, 2, name="carl")
    assert guesses.wait("ann", "10.0.0.1", 0.0) > 0, "9 + 9 + 2 from that address"


def test_a_limit_of_nothing_is_no_limit():
    guesses = Guesses(600, 0, 0)
    tried(guesses, 1000)
    assert guesses.wait("ann", "10.0.0.1", 0.0) == 0


def test_what_is_remembered_of_guesses_is_bounded_and_goes():
    guesses = Guesses(600, 10, 200, remembered=50)
    for n in range(1000):
        guesses.attempt(f"account{n}", f"10.0.{n // 256}.{n % 256}", float(n))
    assert len(guesses._failures) == 50
    guesses.forget_old(10_000.0)
    assert guesses.is_quiet


@pytest.mark.parametrize("address, counted, why", [
    ("10.1.2.3", "10.1.2.3", "an IPv4 address"),
    ("::1", "::/64", "loopback is a network as any other"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "one person has 64 bits to choose from"),
    ("fe80::1%eth0", "fe80::/64", "a zone"),
    ("::ffff:10.1.2.3", "10.1.2.3", "IPv4 on an IPv6 socket"),
    ("-", "-", "no address"),
])
def test_guesses_are_counted_by_network(address, counted, why):
    assert network_of(address) == counted, why
