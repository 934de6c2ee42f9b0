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

import base64
import binascii
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pratique import documents
from pratique.artifacts import Subject
from pratique.errors import Malformed, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_COLUMNS = 10_000
MAX_LABELS = 200


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Column(_Part):
    """One column of the reference."""

    name: str = Field(min_length=1)
    """As in the table."""

    kind: Literal["numeric", "categorical", "other"]
    """How its values are compared."""

    role: Literal["feature", "label", "ignored"]
    """An ignored column must be there, but its values are not looked at."""

    edges: list[float] = Field(default=[], max_length=4096)
    """Inner edges of a numeric column's bins, ascending."""

    values: list[str] = Field(default=[], max_length=MAX_LABELS)
    """A categorical column's frequent values; all values of the label."""

    counts: list[int] = Field(default=[], max_length=5000)
    """Reference rows per cell; see `pratique.comparing.cells`."""

    low: float = Field(default=0.0, allow_inf_nan=False)
    """Smallest finite value of a numeric column."""

    high: float = Field(default=0.0, allow_inf_nan=False)
    """Largest finite value."""

    mean: float = Field(default=0.0, allow_inf_nan=False)
    """Mean of the finite values."""

    scale: float = Field(default=0.0, allow_inf_nan=False, ge=0)
    """Their standard deviation; 0 for a constant."""

    @property
    def width(self) -> int:
        """How many numbers encode this column of a row."""
        if self.role != "feature":
            return 0
        return int(self.scale > 0) if self.kind == "numeric" else len(self.values)

    @model_validator(mode="after")
    def _agree(self) -> Column:
        if self.role == "ignored":
            expected = 0
        elif self.kind == "numeric":
            expected = len(self.edges) + 4
        else:
            expected = len(self.values) + 2
        if len(self.counts) != expected or min(self.counts, default=0) < 0:
            raise ValueError(f"column {self.name!r} should have {expected} counts, none negative")
        if any(not a < b for a, b in zip(self.edges, self.edges[1:])):
            raise ValueError(f"the edges of column {self.name!r} do not ascend")
        if self.kind == "other" and self.role != "ignored" or self.role == "label" and self.kind != "categorical":
            raise ValueError(f"column {self.name!r} cannot be {self.kind} and {self.role}")
        return self


class Duplicates(_Part):
    """Copies of rows inside the reference."""

    share: float = Field(ge=0, le=1)
    """Rows beyond the first of each group, per row."""

    largest: int = Field(ge=1)
    """Rows in the largest group."""


class Neighbours(_Part):
    """How near to each other different reference rows are."""

    rows: int = Field(ge=2)
    """Reference rows that were compared."""

    distance: float = Field(ge=0, allow_inf_nan=False)
    """1 % of them have a neighbour within this distance, in steps of 1/16 standard deviation."""

    dimension: float = Field(ge=1, le=100)
    """Intrinsic dimension."""

    copies: Duplicates
    """Near copies in the reference itself."""


class Sample(_Part):
    """Encoded reference rows, in random order."""

    rows: int = Field(ge=1, le=100_000)
    """How many."""

    width: int = Field(ge=1, le=100_000)
    """Numbers per row."""

    codes: str
    """Base64 of rows x width int8."""

    labels: str
    """Base64 of one uint8 per row: which of the label's values."""

    folds: str
    """Base64 of one uint8 per row: which fold it is calibrated in."""

    @model_validator(mode="after")
    def _agree(self) -> Sample:
        sizes = [len(_bytes(text)) for text in (self.codes, self.labels, self.folds)]
        if sizes != [self.rows * self.width, self.rows, self.rows]:
            raise ValueError("the sample has another size than it says")
        return self

    def arrays(self) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
        """Codes (rows x width), labels and folds."""
        import numpy as np

        codes = np.frombuffer(_bytes(self.codes), dtype=np.int8).reshape(self.rows, self.width)
        labels, folds = (np.frombuffer(_bytes(text), dtype=np.uint8).astype(np.int64) for text in (self.labels, self.folds))
        return codes, labels, folds


class Profile(_Part):
    """What approved data looks like."""

    format: Literal["pratique-profile-v1"] = "pratique-profile-v1"
    """Changes when older readers would misread a newer profile."""

    rows: int = Field(ge=1)
    """Rows of the reference."""

    columns: list[Column] = Field(min_length=1, max_length=MAX_COLUMNS)
    """In the order of the table."""

    duplicates: Duplicates
    """Exact duplicates in the reference."""

    neighbours: Neighbours | None
    """None if no column tells rows apart."""

    sample: Sample | None
    """None if there is no label, or no sample was wanted."""

    @model_validator(mode="after")
    def _agree(self) -> Profile:
        if len({column.name for column in self.columns}) != len(self.columns):
            raise ValueError("a column is there twice")
        if any(column.role != "ignored" and sum(column.counts) != self.rows for column in self.columns):
            raise ValueError("the counts of a column do not add up to the rows")
        if sum(column.role == "label" for column in self.columns) > 1:
            raise ValueError("there are two labels")
        if self.sample and (self.label is None or self.sample.width != sum(column.width for column in self.columns)):
            raise ValueError("the sample does not fit the columns")
        if self.sample and self.label and max(_bytes(self.sample.labels)) >= len(self.label.values):
            raise ValueError("the sample has labels that the label column has not")
        return self

    @property
    def label(self) -> Column | None:
        """The label column, if there is one."""
        return next((column for column in self.columns if column.role == "label"), None)

    @property
    def features(self) -> list[Column]:
        """The columns whose drift is watched."""
        return [column for column in self.columns if column.role == "feature"]

    @property
    def content(self) -> bytes:
        """The profile as its file holds it."""
        return documents.canonical(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the file."""
        return documents.sha256(self.content)

    def subject(self, name: str = "profile.json") -> Subject:
        """Names the profile in evidence."""
        return Subject(digest=self.digest, name=name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the canonical file.

        Raises:
            UsageError: the path cannot be written.
        """
        try:
            Path(path).write_bytes(self.content)
        except OSError as error:
            raise UsageError(f"cannot write the profile {path}: {error.strerror}") from error


def build(
    source: Any, *, label: str | None = "label", ignore: tuple[str, ...] = (), bins: int = 10, sample: int = 2000, seed: int = 0
) -> Profile:
    """Describe approved data.

    Args:
        source: a CSV or Parquet file, a folder of them, or a pandas DataFrame.
        label: the column with the class of each row; None if there is none.
        ignore: columns whose values say nothing, such as ids and dates of collection.
        bins: cells of equal mass per numeric column.
        sample: reference rows to keep for the test of label noise; 0 for none (the test is then not available).
        seed: of the choice and the order of those rows.

    Raises:
        ArtifactError: the table cannot be read.
        UsageError: the table cannot serve as a reference; the message says which column and why.
    """
    from pratique.comparing.building import build_profile

    return build_profile(source, label=label, ignore=ignore, bins=bins, sample=sample, seed=seed)


def load(path: str | os.PathLike[str]) -> Profile:
    """Read a profile from a file that nobody has vouched for.

    Raises:
        UsageError: no such file.
        Malformed: not a profile, or not byte for byte as `save` writes it (then its digest would name something else).
    """
    try:
        if os.path.getsize(path) > documents.MAX_BYTES:
            raise Malformed(f"the profile {path} is larger than {documents.MAX_BYTES:,} bytes")
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the profile {path}: {error.strerror}", hint="pratique profile makes one") from error
    try:
        return _parse(data)
    except Malformed as error:
        raise Malformed(f"{path}: {error}", hint="make it again with `pratique profile`; profiles are not edited") from error


def find(reference: str) -> Profile:
    """The profile that an expectation names: a path, optionally with its digest: `profile.json#sha256:<hex>`.

    Raises:
        Malformed: not a profile, or not the one with that digest.
    """
    path, mark, digest = reference.partition("#sha256:")
    profile = load(path)
    if mark and profile.digest != f"sha256:{digest}":
        raise Malformed(f"the profile {path} is {profile.digest}, not sha256:{digest}")
    return profile


@functools.lru_cache(maxsize=4)  # by content: every expectation of a suite asks for the same profile
def _parse(data: bytes) -> Profile:
    value = documents.parse(data, what="the profile")
    try:
        profile = Profile.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Malformed(f"not a profile: {where or 'document'}: {first['msg']}") from error
    if profile.content != data:
        raise Malformed("the profile is not in its canonical spelling")
    return profile


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
