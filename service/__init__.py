"""The HTTP service."""

__version__ = "0.9.0"
