"""Label selectors: whether labels match, and which labels somebody would have to choose so that they do.

    selector = compiled(Selector(...))
    selector.matches({"app": "server"})
    labels_for(selector.terms + other.terms)      # {'app': 'server'}, or None if no labels fit both

A selector is a conjunction of terms about one key each. The negation of a term is a term again (In and NotIn, Exists and
DoesNotExist), so whether labels exist that fit some selectors, and do not fit others, is decided exactly, key by key. That is
what "a pod with labels of the attacker's choice" comes to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pratique.isolation.shapes import Selector


class Term(NamedTuple):
    """`key` has one of `values`, or has none of them (or is not there at all)."""

    key: str
    values: frozenset[str] | None
    """None stands for every value: with `positive`, the key must be there; without, it must not."""

    positive: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """For these labels."""
        there = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return there is self.positive

    @property
    def negated(self) -> Term:
        """What holds wherever this does not."""
        return self._replace(positive=not self.positive)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A selector, ready to be asked."""

    terms: tuple[Term, ...]
    sound: bool = True
    """False if it says something that the API server would refuse, so that what it selects is not known."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it selects something with these labels."""
        return all(term.holds(labels) for term in self.terms)

    @property
    def everything(self) -> bool:
        """Whether there are no labels that it does not select."""
        return not self.terms


EVERYTHING = Compiled(())


def compiled(selector: Selector | None) -> Compiled:
    """The terms of a selector; None selects everything."""
    if selector is None:
        return EVERYTHING
    terms = [Term(key, frozenset({value}), True) for key, value in selector.match_labels.items()]
    sound = True
    for one in selector.match_expressions:
        if one.operator in ("In", "NotIn") and one.values:
            terms.append(Term(one.key, frozenset(one.values), one.operator == "In"))
        elif one.operator in ("Exists", "DoesNotExist") and not one.values:
            terms.append(Term(one.key, None, one.operator == "Exists"))
        else:
            sound = False
    return Compiled(tuple(terms), sound)


def labels_for(terms: Iterable[Term]) -> dict[str, str] | None:
    """The fewest labels for which all terms hold, or None if there are none."""
    by_key: dict[str, list[Term]] = {}
    for term in terms:
        by_key.setdefault(term.key, []).append(term)
    labels: dict[str, str] = {}
    for key, about in by_key.items():
        if all(term.holds({}) for term in about):
            continue
        value = _value(about)
        if value is None:
            return None
        labels[key] = value
    return labels


def _value(about: Sequence[Term]) -> str | None:
    """A value with which all terms about one key hold. One that no selector names is always to be had."""
    named = [term.values for term in about if term.positive and term.values is not None]
    choices = sorted(frozenset.intersection(*named)) if named else [_fresh(about)]
    key = about[0].key
    return next((value for value in choices if all(term.holds({key: value}) for term in about)), None)


def _fresh(about: Sequence[Term]) -> str:
    taken = frozenset().union(*(term.values or () for term in about))
    return next(value for value in ("any", *(f"any-{number}" for number in range(len(taken) + 1))) if value not in taken)


MAX_TRIES = 20_000
"""Branches looked at before a question about labels counts as undecided. Kubeflow's own 40 policies need less than 100."""


class Undecided(Exception):
    """There are too many selectors to be sure."""


def labels_without(terms: Sequence[Term], selectors: Sequence[Compiled]) -> dict[str, str] | None:
    """Labels for which all terms hold and that none of the selectors select; None if there are none.

    1. What the terms themselves ask for, with nothing else, often is the answer.
    2. Otherwise one term of each selector has to fail; which, is tried in turn, and given up as soon as keys contradict.

    Raises:
        Undecided: it was not found out within `MAX_TRIES`.
    """
    if any(one.everything for one in selectors):
        return None
    labels = labels_for(terms)
    if labels is None or not any(one.matches(labels) for one in selectors):  # 1
        return labels
    tries = 0

    def search(chosen: tuple[Term, ...]) -> dict[str, str] | None:
        nonlocal tries
        tries += 1
        if tries > MAX_TRIES:
            raise Undecided
        labels = labels_for(chosen)
        if labels is None:
            return None
        hit = next((one for one in selectors if one.matches(labels)), None)
        if hit is None:
            return labels
        for term in hit.terms:  # once one of them fails, whatever else is asked for, this selector is out of the way
            found = search((*chosen, term.negated))
            if found is not None:
                return found
        return None

    return search(tuple(terms))  # 2
