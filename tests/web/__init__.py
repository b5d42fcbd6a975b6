"""Tests of `async_export.web`."""
