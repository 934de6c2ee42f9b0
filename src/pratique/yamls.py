"""YAML from strangers, as Kubernetes reads it: bounded, and with one meaning.

    documents(data, what="deploy.yaml")     # a list of plain values, one for each document

libyaml finds the events, and nothing else of PyYAML is used: its composer recurses in C and ends the process on 200,000 open
brackets, its constructor takes the last of two equal keys, and an alias in it may stand for a billion nodes. Here nesting is
counted, a key twice is an error, and whatever an alias repeats is counted again.

Scalars mean what `sigs.k8s.io/yaml` takes them for (YAML 1.1 without dates): null, booleans, numbers, text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from pratique.errors import Malformed

MAX_DEPTH = 100
"""A CustomResourceDefinition of KServe nests about 40 levels; etcd takes no object that is much deeper."""
MAX_NODES = 4_000_000
"""Kubeflow's example, 664 objects, has 400,000. Ten times that is one very large cluster."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})\Z")
_BASED = re.compile(r"[-+]?0(?:x[0-9a-fA-F]{1,15}|o?[0-7]{1,20})\Z")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_BOOL, _TEXT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:str"
_TAGS = {None, "!", _TEXT, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:int", _BOOL}


def documents(
    data: bytes, *, what: str, max_depth: int = MAX_DEPTH, max_nodes: int = MAX_NODES, aliases: bool = True
) -> list[Any]:
    """Every document of a stream.

    Args:
        data: the stream.
        what: its name, for messages.
        max_depth: levels of nesting.
        max_nodes: values in all, those that an alias repeats counted again.
        aliases: whether there may be any.

    Raises:
        Malformed: not YAML, a key twice or one that is no text, a tag, or nested or repeated beyond all measure.
    """
    try:
        return list(_documents(iter(yaml.parse(data, Loader=_LOADER)), max_depth, max_nodes, aliases))
    except yaml.YAMLError as error:
        raise Malformed(f"{what} is not YAML: {' '.join(str(error).split())[:300]}") from error
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} is not text: {error}") from error
    except _Refused as error:
        raise Malformed(f"{what} is YAML that cannot be trusted to mean one thing: {error}") from error


class _Refused(ValueError):
    """Why."""


def _documents(events: Iterator[Any], max_depth: int, max_nodes: int, aliases: bool) -> Iterator[Any]:
    count = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            value, size = _document(events, max_depth, max_nodes - count, aliases)
            count += size
            yield value


def _document(events: Iterator[Any], max_depth: int, max_nodes: int, aliases: bool) -> tuple[Any, int]:
    """One document without recursion: `open_` holds what is still being filled, innermost last."""
    root = _Node(None)
    open_ = [root]
    named: dict[str, tuple[Any, int]] = {}
    for event in events:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            value, size = _scalar(event), 1
            if event.anchor:
                named[event.anchor] = (value, 1)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            if event.tag not in _TAGS:
                raise _Refused(f"the tag {event.tag!r} in {_place(event)}")
            if len(open_) > max_depth:
                raise _Refused(f"it is nested more than {max_depth} levels deep")
            open_.append(_Node({} if kind is yaml.MappingStartEvent else [], event.anchor))
            continue
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            done = open_.pop()
            value, size = done.value, done.size
            if done.anchor:
                named[done.anchor] = (value, size)
        elif kind is yaml.AliasEvent:
            if not aliases:
                raise _Refused(f"the alias {event.anchor!r} in {_place(event)}")
            if event.anchor not in named:
                raise _Refused(f"the alias {event.anchor!r} in {_place(event)} names nothing that is finished before it")
            value, size = named[event.anchor]
        else:  # the end of the document
            return root.value, root.size
        open_[-1].take(value, size, event)
        if open_[-1].size > max_nodes:
            raise _Refused(f"it holds more than {max_nodes:,} values left to it")
    raise _Refused("it is cut off")


class _Node:
    """A mapping, a list or a document that is being filled."""

    __slots__ = ("anchor", "key", "size", "value")

    def __init__(self, value: Any, anchor: str | None = None) -> None:
        self.value, self.anchor, self.size = value, anchor, 1
        self.key: Any = None

    def take(self, value: Any, size: int, event: Any) -> None:
        self.size += size
        if type(self.value) is list:
            self.value.append(value)
        elif type(self.value) is not dict:
            self.value = value
        elif self.key is None:
            self.key = _key(value, event)
            if self.key in self.value:
                raise _Refused(f"the key {self.key[:80]!r} appears twice ({_place(event)})")
        else:
            self.value[self.key] = value
            self.key = None


def _key(value: Any, event: Any) -> str:
    """Kubernetes' fields are named in text. `on` and `404` as keys of somebody's ConfigMap are text there, too."""
    if type(event) is yaml.ScalarEvent:
        text: str = event.value
        if text == "<<" and event.implicit[0]:
            raise _Refused(f"a merge key in {_place(event)}")
        return text
    if isinstance(value, str):
        return value
    raise _Refused(f"a key that is no text, in {_place(event)}")


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.tag not in _TAGS:
        raise _Refused(f"the tag {event.tag!r} in {_place(event)}")
    if not event.implicit[0] or event.tag == _TEXT:  # quoted, or said to be text
        return text
    if len(text) <= 5 and text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] in "+-.0123456789":
        if _INTEGER.match(text):
            return int(text)
        if _BASED.match(text):
            return int(text, 16) if "x" in text else int(text.replace("o", ""), 8)
        if _NUMBER.match(text) and len(text) < 40:
            return float(text)
    return text


def _place(event: Any) -> str:
    mark = event.start_mark
    return f"line {mark.line + 1}" if mark else "an unknown line"
