"""The component `verify_isolation`. Written by tools/components.py."""

from pratique.components.verify_isolation.component import verify_isolation

__all__ = ["verify_isolation"]
