"""The component `verify_lineage`. Written by tools/components.py."""

from pratique.components.verify_lineage.component import verify_lineage

__all__ = ["verify_lineage"]
