"""URIs without secrets: what may be logged, recorded and shown.

redact("s3://key:secret@bucket/model")                   # s3://bucket/model
redact("cannot GET https://cdn/x?Signature=abc: 403")    # cannot GET https://cdn/x?…: 403
"""

from __future__ import annotations

import re

_URL = re.compile(r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,40})://(?P<rest>[^\s'\"<>]+)")
"""Bounded on the left, so that a stranger's megabyte of letters is gone through once."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_KEPT = re.compile(r"(versionId|generation|versionid)=[\w.-]+\Z")
"""Queries that name a version and hold no secret."""

_CONTAINER_AT_ACCOUNT = frozenset({"abfs", "abfss", "wasb", "wasbs"})
"""Azure's URIs, in which the part before the `@` is the container."""


def redact(text: str) -> str:
    """Take user names, passwords and query strings out of every URL in a text, and control characters out of it."""
    return _CONTROL.sub("?", _URL.sub(_without_secrets, text))


def _without_secrets(match: re.Match[str]) -> str:
    scheme, rest = match["scheme"], match["rest"]
    address, question, query = rest.partition("?")
    host, slash, path = address.partition("/")
    if scheme.lower() not in _CONTAINER_AT_ACCOUNT:
        host = host.rpartition("@")[2]
    if question and not _KEPT.match(query):
        query = "…" + query[len(query.rstrip(":;,.)]")) :]  # with the punctuation of the sentence round the URL
    return f"{scheme}://{host}{slash}{path}{question}{query}"
