"""The component `audit`. Written by tools/components.py."""

from pratique.components.audit.component import audit

__all__ = ["audit"]
