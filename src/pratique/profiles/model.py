"""What a profile is, and its file."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from pratique import documents
from pratique.artifacts import Subject
from pratique.errors import Malformed, UsageError
from pratique.profiles.parts import MAX_COLUMNS, Column, Duplicates, Neighbours, Part, Sample, decode


class Profile(Part):
    """What approved data looks like."""

    format: Literal["pratique-profile-v1"] = "pratique-profile-v1"
    """Changes when older readers would misread a newer profile."""

    rows: int = Field(ge=1, le=1 << 53)
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
        if all(column.role == "ignored" for column in self.columns):
            raise ValueError("every column is ignored")
        if self.sample and (self.label is None or self.sample.width != sum(column.width for column in self.columns)):
            raise ValueError("the sample does not fit the columns")
        if self.sample and self.label and max(decode(self.sample.labels)) >= len(self.label.values):
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
            UsageError: the path cannot be written, or `load` would not read so large a file.
        """
        content = self.content
        if len(content) > documents.MAX_BYTES:
            raise UsageError(
                f"the profile has {len(content):,} bytes; at most {documents.MAX_BYTES:,} are read",
                hint="ignore columns that tell nothing, or keep fewer reference rows: --sample",
            )
        try:
            Path(path).write_bytes(content)
        except OSError as error:
            raise UsageError(f"cannot write the profile {path}: {error.strerror}") from error


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
