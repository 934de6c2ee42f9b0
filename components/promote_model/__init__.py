"""The component `promote_model`. Written by tools/components.py."""

from pratique.components.promote_model.component import promote_model

__all__ = ["promote_model"]
