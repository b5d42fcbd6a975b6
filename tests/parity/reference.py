"""The subprocess: what django-import-export makes of the tables, as JSON on standard output.

Run as ``python -m parity.reference URL SCHEMA``.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

from django.conf import settings

__all__ = ("configure", "main")


def configure(url: str, schema: str) -> None:
    """Set Django up to read the tables in *schema*."""
    import django
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(url)
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": given.get("dbname", ""),
                "HOST": given.get("host", ""),
                "PORT": str(given.get("port", "")),
                "USER": given.get("user", ""),
                "PASSWORD": given.get("password", ""),
                "OPTIONS": {"options": f"-c search_path={schema}"},
            }
        },
        INSTALLED_APPS=["django.contrib.postgres", "import_export", "parity.library"],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        USE_TZ=True,
        TIME_ZONE="UTC",
    )
    django.setup()


def main(url: str, schema: str) -> None:
    """Export everything and print it."""
    configure(url, schema)
    from parity.cells import as_json
    from parity.reference_definitions import definitions
    from parity.reference_differences import differences

    # Some definitions do what it warns of.
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {"definitions": {}, "differences": {}}
    for name, export in definitions.items():
        dataset = export()
        found["definitions"][name] = {
            "csv": dataset.export("csv"),
            "tsv": dataset.export("tsv"),
            "dataset": [dataset.headers, [as_json(row) for row in dataset]],
        }
    for name, outcome in differences.items():
        found["differences"][name] = as_json_or_error(outcome)
    json.dump(found, sys.stdout)


def as_json_or_error(outcome: Any) -> Any:
    """Call *outcome*; an exception becomes ``{"error": its name}``."""
    from parity.cells import as_json

    try:
        return as_json(outcome())
    except Exception as error:  # noqa: BLE001 - the outcome may be any exception
        return {"error": type(error).__name__, "text": str(error)}


if __name__ == "__main__":
    main(*sys.argv[1:])
