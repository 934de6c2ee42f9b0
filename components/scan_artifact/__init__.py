"""The component `scan_artifact`. Written by tools/components.py."""

from pratique.components.scan_artifact.component import scan_artifact

__all__ = ["scan_artifact"]
