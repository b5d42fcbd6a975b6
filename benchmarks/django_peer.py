# mypy: allow-subclassing-any
"""django-import-export on the same table."""

# ruff: noqa: DJ001, DJ008 - as Django's documentation has them

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.case import Job, Ready, Told

__all__ = ("open_django", "open_django_hook")


@contextmanager
def open_django(job: Job) -> Iterator[Ready]:
    """Export without a hook."""
    _configure(job.url)
    from import_export.resources import ModelResource

    item = _model()

    class ItemResource(ModelResource):
        class Meta:
            model = item

    yield Ready(_exporter(ItemResource(), item))


@contextmanager
def open_django_hook(job: Job) -> Iterator[Ready]:
    """Export with the hook that formats a price."""
    _configure(job.url)
    from import_export.resources import ModelResource

    item = _model()

    class ItemResource(ModelResource):
        class Meta:
            model = item

        def dehydrate_price(self, item: Any) -> str:
            return f"{item.price:.2f} EUR"

    yield Ready(_exporter(ItemResource(), item))


def _configure(url: str) -> None:
    import django
    from django.conf import settings

    parts = urlsplit(url)
    hosts = parse_qs(parts.query).get("host", [parts.hostname])
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.removeprefix("/"),
        "HOST": hosts[0],
        "PORT": parts.port or "",
        "USER": parts.username,
        "PASSWORD": parts.password or "",
    }
    settings.configure(
        DATABASES={"default": database},
        INSTALLED_APPS=["import_export"],
        USE_TZ=True,
        TIME_ZONE="UTC",
    )
    django.setup()


def _model() -> Any:
    from django.db import models

    class Item(models.Model):
        id = models.BigIntegerField(primary_key=True)
        name = models.TextField()
        category = models.CharField(max_length=20)
        price = models.DecimalField(max_digits=12, decimal_places=2)
        ratio = models.FloatField()
        active = models.BooleanField()
        born = models.DateField()
        created = models.DateTimeField()
        code = models.UUIDField()
        quantity = models.IntegerField()
        note = models.TextField(null=True)

        class Meta:
            app_label = "benchmarks"
            db_table = "items"
            managed = False

    return Item


def _exporter(resource: Any, item: Any) -> Any:
    def export(limit: int | None, path: Path) -> Told:
        dataset = resource.export(item.objects.order_by("id")[:limit])
        path.write_bytes(dataset.export("csv").encode())
        return Told(len(dataset))

    return export
