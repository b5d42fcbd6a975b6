"""The version of async_export."""

__all__ = ("VERSION",)

VERSION = "0.1.0"
