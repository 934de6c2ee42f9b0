"""A reference profile: what approved data looks like, small enough to sign and to keep in a repository.

    profile = profiles.build("approved.csv", label="label")
    profile.save("profile.json")
    profiles.load("profile.json").digest        # the sha256 of the file

One canonical JSON document: for each column its cells and counts, how near to each other rows naturally are, and, where there
are labels, a sample of reference rows as calibration material for the test of label noise.

**A profile with a label holds reference rows**: up to 2,000, coarsely quantised (steps of 1/16 standard deviation, cut off at
8), in random order. Whoever may not see the data may not see the profile. Without a label, or with `sample=0`, it holds counts
and the names of frequent categories only.

A profile is worth what its reference is worth: poison that is already in the reference becomes the norm. Sign it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pratique.profiles.model import Profile, find, load
from pratique.profiles.parts import Column, Duplicates, Neighbours, Sample

__all__ = ["Column", "Duplicates", "Neighbours", "Profile", "Sample", "build", "find", "load"]


def build(
    source: Any, *, label: str | None = "label", ignore: tuple[str, ...] = (), bins: int = 10, sample: int = 2000,
    seed: int = 0, progress: Callable[[int, int], None] = lambda done, steps: None,
) -> Profile:  # fmt: skip
    """Describe approved data.

    Args:
        source: a CSV or Parquet file, a folder of them, or a pandas DataFrame.
        label: the column with the class of each row; None if there is none.
        ignore: columns whose values say nothing, such as ids and dates of collection.
        bins: cells of equal mass per numeric column, 2 to 256.
        sample: reference rows to keep for the test of label noise, at most 100,000; 0 for none (then there is no test).
        seed: of the choice and the order of those rows.
        progress: told how many steps are done, and of how many.

    Raises:
        ArtifactError: the table cannot be read.
        UsageError: the table cannot serve as a reference; the message says which column and why.
    """
    from pratique.profiles.building import build_profile

    return build_profile(source, label=label, ignore=ignore, bins=bins, sample=sample, seed=seed, progress=progress)
