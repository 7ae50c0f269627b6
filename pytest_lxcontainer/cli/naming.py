"""Errors that name an image as the person who typed it did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ImageNotCachedError, ImageNotFoundError


def no_image(text: str) -> str:
    """What is said where nothing is called *text*."""
    return f"No image named {text!r}"


@contextmanager
def naming(text: str) -> Iterator[None]:
    """Say first that there is no image *text* where neither a registry nor the store has it, and then why."""
    try:
        yield
    except (ImageNotFoundError, ImageNotCachedError) as error:
        error.message = f"{no_image(text)}: {error.message}"
        raise
