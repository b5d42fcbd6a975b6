"""A Django app: the same tables, for the subprocess."""
