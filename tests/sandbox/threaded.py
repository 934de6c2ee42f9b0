"""Loaders that cannot be locked, or cannot start."""

from __future__ import annotations

import threading
import time
from typing import Any


def prepare() -> None:
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()


def load(stream: Any, answer: Any) -> None:
    answer.write(b"nobody looked")
