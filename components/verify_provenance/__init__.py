"""The component `verify_provenance`. Written by tools/components.py."""

from pratique.components.verify_provenance.component import verify_provenance

__all__ = ["verify_provenance"]
