"""The demo: 252 countries and 234,908 cities of GeoNames, in a PostgreSQL of its own."""

from __future__ import annotations

from async_export.demo.cities import City, CityResource, Country

__all__ = ("City", "CityResource", "Country")
