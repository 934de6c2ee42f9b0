"""How votes are counted: as many of those who are trusted as there are different signers for them, and never one more."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from pratique import signing

BALLOTS = st.sets(st.tuples(st.sampled_from("ABCD"), st.sampled_from("123")), max_size=7)


def brute(ballots: set[tuple[str, str]]) -> int:
    """The most ballots of which no two share an entry or a signer, by trying all."""
    for size in range(min(4, len(ballots)), 0, -1):
        for chosen in combinations(sorted(ballots), size):
            if len({entry for entry, _ in chosen}) == len({actor for _, actor in chosen}) == size:
                return size
    return 0


@given(BALLOTS)
def test_it_is_the_best_that_can_be_done_and_no_better(ballots: set[tuple[str, str]]) -> None:
    assert signing.votes(ballots) == brute(ballots)


@given(BALLOTS, st.sets(st.sampled_from("ABCD")))
def test_ballots_for_others_do_not_count(ballots: set[tuple[str, str]], among: set[str]) -> None:
    assert signing.votes(ballots, frozenset(among)) == brute({one for one in ballots if one[0] in among})


@given(BALLOTS, BALLOTS)
def test_another_ballot_never_takes_a_vote_away(some: set[tuple[str, str]], more: set[tuple[str, str]]) -> None:
    assert signing.votes(some) <= signing.votes(some | more) <= signing.votes(some) + signing.votes(more)


def test_the_plain_cases() -> None:
    assert signing.votes([]) == 0
    assert signing.votes([("A", "1"), ("B", "1")]) == 1, "one signer who fits two entries"
    assert signing.votes([("A", "1"), ("A", "2")]) == 1, "two signers who fit one entry"
    assert signing.votes([("A", "1"), ("B", "1"), ("A", "2")]) == 2, "the one who fits both makes room"
