"""The component `gate`. Written by tools/components.py."""

from pratique.components.gate.component import gate

__all__ = ["gate"]
