"""Whether more rows of a batch lie where the reference has none, and whether equal rows carry different labels.

Strangers: rows far from every trusted row of their own label, by a score that needs no model of the density (Ramaswamy et al.,
distance to the k-th neighbour, 2000). The test is that of `pratique.comparing.labels`, with this score.

Conflicts: rows whose values are exactly those of a row with another label, in the batch or in the reference. One of the two
labels is wrong, or the columns do not determine the label. How many are too many the reference tells: pairs of rows conflict
like accidents, and how often is known from the reference only (Poisson, whose rate is gamma: negative binomial).
"""

# ruff: noqa: TID253
from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pratique.comparing.encoding import blocks, squared_distances
from pratique.comparing.labels import NEIGHBOURS, Conformity, Ints, conformity


def strangers(
    reference: NDArray[np.int16], reference_labels: Ints, reference_folds: Ints, batch: NDArray[np.int16], batch_labels: Ints
) -> Conformity:
    """Test whether the batch has more rows far from their label than the reference. See `conformity`."""
    return conformity(reference, reference_labels, reference_folds, batch, batch_labels, score=distances)


def distances(
    rows: NDArray[np.int16], labels: Ints, trusted: NDArray[np.int16], trusted_labels: Ints, classes: Ints
) -> NDArray[np.float64]:
    """Distance of each row to its k-th nearest trusted row of its own label, in steps."""
    result = np.empty(len(rows))
    for label in classes:
        mine = np.flatnonzero(labels == label)
        own = trusted[trusted_labels == label]
        k = min(NEIGHBOURS, len(own)) - 1
        for part in blocks(len(mine)):
            near = np.partition(squared_distances(rows[mine[part]], own), k, axis=1)[:, k]
            result[mine[part]] = np.sqrt(near)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts:
    """Rows that contradict another row."""

    p: float
    """Probability of so many if batch and reference are alike."""

    share: float
    """Rows of the batch in conflict, per row."""

    before: float
    """The same of the reference, within itself."""

    rows: tuple[int, ...]
    """Row numbers of the batch: each repeats an earlier row of the batch, or one of the reference, under another label."""


def conflicts(reference: NDArray[np.int16], reference_labels: Ints, batch: NDArray[np.int16], batch_labels: Ints) -> Conflicts:
    """Count rows in conflict. Labels are numbers of the reference's labels, -1 for none of them: such rows contradict nobody.

    Two looks, within the batch and against the reference, so twice the smaller p.
    """
    known, n = np.flatnonzero(batch_labels >= 0), len(reference)
    rows, labels = np.concatenate([reference, batch[known]]), np.concatenate([reference_labels, batch_labels[known]])
    group = _grouped(rows)
    before, inside, either = (_later(group[part], labels[part]) for part in (slice(n), slice(n, None), slice(None)))
    against, m = either[n:] & ~inside, len(known)
    weight, count = max(1.0, _clump(group[:n], before)), int(before.sum())
    growth = m / n * max(1.0, m / n), m / n * 2  # of pairs of rows; where a common row takes part in all, of rows
    p = [_as_many(int(look.sum()) / weight, count / weight, more) for look, more in zip((inside, against), growth, strict=True)]
    if not np.isfinite(p).all():  # no comparison with NaN is true, so NaN would never alarm
        raise FloatingPointError("the chance of so many conflicts could not be computed")
    found = tuple(int(row) for row in known[either[n:]])
    return Conflicts(p=min(1.0, 2 * min(p)), share=len(found) / max(m, 1), before=count / max(n, 1), rows=found)


def _as_many(after: float, before: float, growth: float) -> float:
    """The chance of so many, given both (Poisson, and so often more likely in the batch): Przyborowski and Wilenski, 1940."""
    return float(stats.nbinom.sf(np.ceil(after) - 1, before + 1, 1 / (1 + growth))) if after else 1.0


def _grouped(rows: NDArray[np.int16]) -> NDArray[np.int64]:
    """A number for each different row, by digest: sorting millions of wide rows takes minutes."""
    numbers: dict[bytes, int] = {}
    contiguous = np.ascontiguousarray(rows)
    digests = (hashlib.blake2b(row, digest_size=16).digest() for row in contiguous)
    return np.fromiter((numbers.setdefault(one, len(numbers)) for one in digests), dtype=np.int64, count=len(rows))


def _later(group: NDArray[np.int64], labels: Ints) -> NDArray[np.bool_]:
    """Whether an earlier row of the same group has another label."""
    order = np.lexsort((np.arange(len(group)), group))
    found = np.zeros(len(group), dtype=bool)
    sorted_group, sorted_labels = group[order], labels[order]
    starts = np.flatnonzero(np.diff(sorted_group, prepend=-1))
    sizes = np.diff(starts, append=len(group))
    for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        inside = sorted_labels[start : start + size]
        found[order[start + 1 : start + size]] = _seen_other(inside)
    return found


def _seen_other(inside: Ints) -> NDArray[np.bool_]:
    """For each row but the first: whether an earlier one has another label."""
    low, high = np.minimum.accumulate(inside)[:-1], np.maximum.accumulate(inside)[:-1]
    others: NDArray[np.bool_] = (low != inside[1:]) | (high != inside[1:])
    return others


def _clump(group: NDArray[np.int64], contradicted: NDArray[np.bool_]) -> float:
    """Conflicting rows of the reference that come together: the mean of squared sizes over the mean size."""
    sizes = np.unique(group[contradicted], return_counts=True)[1].astype(float)
    return float((sizes**2).sum() / sizes.sum()) if len(sizes) else 1.0
