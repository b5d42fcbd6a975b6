"""The models of the demo, and the resource that exports them."""

# ruff: noqa: ARG002, D102, D106 - the resource is shown to readers as it stands here

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anyio import to_thread
from sqlalchemy import ARRAY, BigInteger, Double, ForeignKey, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from async_export.fields import Field, depends
from async_export.resources import ModelResource

__all__ = ("Base", "City", "CityResource", "Country")


class Base(DeclarativeBase):
    """The registry of these models; their tables are in a schema of their own."""

    metadata = MetaData(schema="async_export_demo")


class Country(Base):
    """A country, or a territory that has a code."""

    __tablename__ = "country"

    code: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    capital: Mapped[str] = mapped_column(Text)
    continent: Mapped[str] = mapped_column(Text)
    population: Mapped[int] = mapped_column(BigInteger)


class City(Base):
    """A place with 500 people or more."""

    __tablename__ = "city"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)
    alternate_names: Mapped[list[str]] = mapped_column(ARRAY(Text))
    country_code: Mapped[str] = mapped_column(ForeignKey(Country.code))
    latitude: Mapped[float] = mapped_column(Double)
    longitude: Mapped[float] = mapped_column(Double)
    population: Mapped[int] = mapped_column(BigInteger)
    timezone: Mapped[str] = mapped_column(Text)

    country: Mapped[Country] = relationship()


def utc_offset(timezone: str) -> str:
    """Give the offset that clocks have now, as in +05:45; empty if the system lacks the zone."""
    try:
        return datetime.now(ZoneInfo(timezone)).isoformat()[-6:]
    except ZoneInfoNotFoundError:
        return ""


class CityResource(ModelResource):
    """All cities, with their country's name and the offset of their clocks."""

    country = Field("country.name")
    utc_offset = Field(type=Text())

    class Meta:
        model = City
        exclude = ("country_code",)
        export_order = ("id", "name", "country")

    def before_export(self, queryset: Any, **kwargs: Any) -> None:
        self.offsets: dict[str, str] = {}

    @depends("timezone")
    async def dehydrate_utc_offset(self, city: Any) -> str:
        zone = city.timezone
        if zone not in self.offsets:  # it takes a file: not in the event loop
            offset = await to_thread.run_sync(utc_offset, zone)
            self.offsets[zone] = offset
        return self.offsets[zone]
