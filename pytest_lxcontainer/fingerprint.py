"""What a function does, as text: the same for the same source, another as soon as the source changes.

A template is kept under it across runs. Beside its own source a function is what it is given (bound arguments,
defaults, closure) and what it names in its own module: functions, classes, and plain constants such as a schema's text.
What it reads from files, or calls in other modules, is not looked at.
"""

from __future__ import annotations

import functools
import inspect
import re
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

from .errors import InvalidSettingsError

_PARSING = threading.Lock()
"""For a class `inspect` parses its file; in several threads at once, CPython 3.11's `ast.parse` fails now and then."""

_PLAIN = (str, bytes, int, float, complex, bool, type(None), PurePath)


def fingerprint(function: Callable[..., Any]) -> str:
    """Everything that *function* is made of, as text.

    Raises `InvalidSettingsError` for what holds something that has no text of its own, such as an open connection.
    """
    return "\n".join(_Reader(function).of(function))


class _Reader:
    """Reads each function once, whoever names it."""

    def __init__(self, whole: Callable[..., Any]) -> None:
        self._whole = whole
        self._seen: set[int] = set()

    def of(self, value: Any) -> Iterator[str]:
        """The text of *value*, in parts."""
        if isinstance(value, _PLAIN):
            yield f"{type(value).__qualname__} {value!r}"
        elif isinstance(value, (list, tuple, set, frozenset, Mapping)):
            yield from self._collection(value)
        elif id(value) in self._seen:
            yield f"again {_name(value)}"
        else:
            self._seen.add(id(value))
            yield from self._made(value)

    def _collection(self, value: Any) -> Iterator[str]:
        yield f"{type(value).__qualname__} of {len(value)}"
        entries = list(value.items()) if isinstance(value, Mapping) else list(value)
        for part in sorted(entries, key=repr) if isinstance(value, (set, frozenset)) else entries:
            yield from self.of(part)

    def _made(self, value: Any) -> Iterator[str]:
        if isinstance(value, functools.partial):
            yield from self._parts("partial", (value.func, value.args, value.keywords))
        elif isinstance(value, types.MethodType):
            yield from self._parts("method", (value.__func__, value.__self__))
        elif isinstance(value, types.FunctionType):
            yield from self._function(value)
        elif isinstance(value, (type, types.BuiltinFunctionType)):
            yield f"{_name(value)}\n{_source(value)}"
        elif isinstance(value, re.Pattern):
            yield from self._parts("pattern", (value.pattern, int(value.flags)))
        elif is_dataclass(value):
            yield from self._parts(_name(type(value)), [getattr(value, each.name) for each in fields(value)])
        elif callable(value) and hasattr(value, "__dict__"):
            yield from self._parts("object", (type(value), vars(value)))
        else:
            raise self._without_text(value)

    def _parts(self, kind: str, parts: Any) -> Iterator[str]:
        yield kind
        for part in parts:
            yield from self.of(part)

    def _function(self, function: types.FunctionType) -> Iterator[str]:
        yield f"{_name(function)}\n{_source(function)}"
        yield from self.of((function.__defaults__, function.__kwdefaults__))
        yield from self.of(dict(inspect.getclosurevars(function).nonlocals))
        for name in sorted(_names(function.__code__)):
            value = function.__globals__.get(name)
            if _is_own(value, function.__module__) or (name in function.__globals__ and _is_plain(value)):
                yield f"global {name}"
                yield from self.of(value)

    def _without_text(self, value: Any) -> InvalidSettingsError:
        return InvalidSettingsError(
            f"{self._whole!r} holds a {type(value).__qualname__}, so nobody can tell when it changes: {value!r}",
            hint="pass key=…, a text of your own that changes when what it does changes",
        )


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"


def _source(value: Any) -> str:
    """The source of a function or class; of one without, what the interpreter makes of it."""
    try:
        with _PARSING:
            return inspect.getsource(value)
    except (OSError, TypeError):
        code = getattr(value, "__code__", None)
        return "" if code is None else _instructions(code)


def _instructions(code: types.CodeType) -> str:
    constants = (_instructions(each) if isinstance(each, types.CodeType) else repr(each) for each in code.co_consts)
    return " ".join([code.co_code.hex(), *code.co_names, *constants])


def _names(code: types.CodeType) -> set[str]:
    """What *code* and the functions in it name."""
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _is_own(value: Any, module: str | None) -> bool:
    return isinstance(value, (types.FunctionType, type)) and value.__module__ == module


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)
