"""Networks of the seed systems, one constructor a file."""

from .ck96 import ck96

__all__ = ["ck96"]
