"""The component `validate_dataset`. Written by tools/components.py."""

from pratique.components.validate_dataset.component import validate_dataset

__all__ = ["validate_dataset"]
