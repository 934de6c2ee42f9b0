"""Keeping Great Expectations' side effects inside."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Keep GX's side effects inside: analytics off, its log silent, its warnings, its current context and hooks undone."""
    logger, before = logging.getLogger("great_expectations"), os.environ.get("GX_ANALYTICS_ENABLED")
    level = logger.level
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    with warnings.catch_warnings(), _own_context():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL + 1)  # what it would say is in the findings
        try:
            yield
        finally:
            logger.setLevel(level)
            if before is None:
                del os.environ["GX_ANALYTICS_ENABLED"]
            else:
                os.environ["GX_ANALYTICS_ENABLED"] = before


@contextlib.contextmanager
def _own_context() -> Iterator[None]:
    """Give a caller who has a GX context of their own that context back."""
    show = warnings.showwarning
    from great_expectations.data_context.data_context.context_factory import project_manager
    from great_expectations.exceptions.exceptions import DataContextError

    if warnings.showwarning is not show:
        logging.captureWarnings(False)  # importing GX captures every warning of the process
    try:
        previous = project_manager.get_current_project()
    except DataContextError:
        previous = None
    try:
        yield
    finally:
        project_manager.set_project(previous)
