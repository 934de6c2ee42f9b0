"""The pieces of a profile, as untrusted bytes must spell them."""

from __future__ import annotations

import base64
import binascii
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pratique.comparing.copies import Nearness

MAX_COLUMNS = 10_000
MAX_LABELS = 200
MAX_WIDTH = 100_000
"""Numbers that encode one row."""

MAX_FOLDS = 16

MAX_SAMPLE = 100_000
"""Reference rows in a profile."""


class Part(BaseModel):
    """Nothing that is not declared, nothing converted in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Column(Part):
    """One column of the reference."""

    name: str = Field(min_length=1)
    """As in the table."""

    kind: Literal["numeric", "categorical", "other"]
    """How its values are compared; other: not at all."""

    role: Literal["feature", "label", "ignored"]
    """An ignored column must be there, but its values are not looked at."""

    edges: list[FiniteFloat] = Field(default=[], max_length=4096)
    """Inner edges of a numeric column's cells, ascending; see `pratique.comparing.cells`."""

    values: list[str] = Field(default=[], max_length=MAX_LABELS)
    """A categorical column's frequent values; all values of the label."""

    counts: list[int] = Field(default=[], max_length=5000)
    """Reference rows per cell; see `pratique.comparing.cells`."""

    low: float = Field(default=0.0, allow_inf_nan=False)
    """Smallest finite value of a numeric column."""

    high: float = Field(default=0.0, allow_inf_nan=False)
    """Largest finite value."""

    scale: float = Field(default=0.0, allow_inf_nan=False, ge=0)
    """Their standard deviation, or three times that of the middle 80 % where tails are heavy; 0 for a constant."""

    middle: list[FiniteFloat] = Field(default=[], max_length=3)
    """The 10, 50 and 90 % quantiles of the finite values."""

    @property
    def center(self) -> float:
        """The median of a numeric column."""
        return self.middle[1]

    @property
    def width(self) -> int:
        """How many numbers encode this column of a row."""
        if self.role != "feature":
            return 0
        return int(self.scale > 0) if self.kind == "numeric" else len(self.values)

    @property
    def nulls(self) -> int:
        """The cell of nulls."""
        return len(self.edges) + 1 if self.kind == "numeric" else len(self.values) + 1

    def explains_nulls(self, rows: int) -> bool:
        """Whether so many rows without a single value are no surprise (a chance of at least one in a million)."""
        usual: float = (self.counts[self.nulls] / sum(self.counts)) ** rows
        return usual >= 1e-6

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
        if any(not a < b for a, b in pairwise(self.edges)):
            raise ValueError(f"the edges of column {self.name!r} do not ascend")
        if any(not a < b for a, b in pairwise(self.values)):
            raise ValueError(f"the values of column {self.name!r} do not ascend")
        if self.kind == "numeric" and (
            len(self.middle) != 3 or [self.low, *self.middle, self.high] != sorted([self.low, *self.middle, self.high])
        ):
            raise ValueError(f"the quantiles of column {self.name!r} do not ascend")
        if (self.kind == "other") != (self.role == "ignored") or (self.role == "label" and self.kind != "categorical"):
            raise ValueError(f"column {self.name!r} cannot be {self.kind} and {self.role}")
        return self


class Duplicates(Part):
    """Copies of rows inside the reference."""

    share: float = Field(ge=0, le=1)
    """Rows beyond the first of each group, per row."""

    largest: int = Field(ge=1)
    """Rows in the largest group."""

    pairs: int = Field(ge=0)
    """Pairs of rows in one group."""


class Neighbours(Part):
    """How near to each other different reference rows are."""

    rows: int = Field(ge=2)
    """Reference rows that were compared."""

    closest: float = Field(ge=0, allow_inf_nan=False)
    """1 % of them have a neighbour within this distance, in steps of 1/256 unit of scale."""

    close: float = Field(ge=0, allow_inf_nan=False)
    """5 % do."""

    dimension: float = Field(ge=1, le=100)
    """How the number of neighbours grows with the distance, cautiously."""

    copies: Duplicates
    """Near copies in the reference itself."""

    @property
    def nearness(self) -> Nearness:
        """The distances, as the statistics take them."""
        from pratique.comparing.copies import Nearness

        return Nearness(closest=self.closest, close=self.close, dimension=self.dimension)


class Sample(Part):
    """Encoded reference rows, in random order."""

    rows: int = Field(ge=1, le=MAX_SAMPLE)
    """How many."""

    width: int = Field(ge=1, le=MAX_WIDTH)
    """Numbers per row."""

    codes: str
    """Base64 of rows x width int16, little-endian."""

    labels: str
    """Base64 of one uint8 per row: which of the label's values."""

    folds: str
    """Base64 of one uint8 per row: which fold it is calibrated in."""

    @model_validator(mode="after")
    def _agree(self) -> Sample:
        sizes = [len(decode(text)) for text in (self.codes, self.labels, self.folds)]
        if sizes != [2 * self.rows * self.width, self.rows, self.rows]:
            raise ValueError("the sample has another size than it says")
        if max(decode(self.folds)) >= MAX_FOLDS:
            raise ValueError("the sample has too many folds")
        return self

    def arrays(self) -> tuple[NDArray[np.int16], NDArray[np.int64], NDArray[np.int64]]:
        """Codes (rows x width), labels and folds."""
        import numpy as np

        codes = np.frombuffer(decode(self.codes), dtype="<i2").astype(np.int16).reshape(self.rows, self.width)
        labels, folds = (np.frombuffer(decode(text), dtype=np.uint8).astype(np.int64) for text in (self.labels, self.folds))
        return codes, labels, folds


def decode(text: str) -> bytes:
    """Strict base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
