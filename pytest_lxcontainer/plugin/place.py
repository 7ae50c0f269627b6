"""Where a fixture is defined: it is told apart from others by that, and named by it in pytest's messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType


@dataclass(frozen=True, slots=True)
class Place:
    """A *line* of a *file*; *key* is the same in every worker of xdist, and other for each fixture of a module."""

    file: str
    line: int
    key: str

    @classmethod
    def of(cls, frame: FrameType) -> Place:
        """Where *frame* is, and the line of the module that led there: a function may make fixtures for several."""
        places = [_text(frame)]
        outer: FrameType | None = frame
        while outer is not None and outer.f_code.co_name != "<module>":
            outer = outer.f_back
        if outer is not None:
            places.append(_text(outer))
        return cls(frame.f_code.co_filename, frame.f_lineno, " ".join(dict.fromkeys(places)))

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def function(self) -> Callable[[], None]:
        """A function that seems to be defined here: as ``__wrapped__`` it tells pytest where another one is from."""

        def nothing() -> None: ...

        nothing.__code__ = nothing.__code__.replace(co_filename=self.file, co_firstlineno=self.line)
        return nothing


def is_class_body(frame: FrameType) -> bool:
    """Whether what *frame* defines becomes an attribute of a class."""
    return "__qualname__" in frame.f_locals and "__module__" in frame.f_locals


def _text(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
