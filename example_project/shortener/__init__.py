"""A link shortener.

Links live in PostgreSQL, the busy ones in a Redis cache; they are served over WSGI or exported to nginx.
"""

from shortener.cache import Cache
from shortener.links import Link, Shortener, UnknownCodeError
from shortener.storage import Storage

__all__ = ["Cache", "Link", "Shortener", "Storage", "UnknownCodeError"]
