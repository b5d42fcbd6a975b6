"""Parity with django-import-export, which exports the same tables in a subprocess."""
