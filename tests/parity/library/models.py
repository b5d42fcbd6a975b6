# mypy: allow-subclassing-any
"""Django's models of the tables in `parity.models`; for the subprocess."""

# ruff: noqa: D101, D102, D106, DJ001, DJ008, DJ012, RUF012 - as Django's documentation has them

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField, IntegerRangeField
from django.db import models


class Scalar(models.Model):
    id = models.AutoField(primary_key=True)
    small = models.SmallIntegerField(null=True)
    whole = models.IntegerField(null=True)
    big = models.BigIntegerField(null=True)
    ratio = models.FloatField(null=True)
    single = models.FloatField(null=True)
    price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    amount = models.DecimalField(max_digits=200, decimal_places=100, null=True)
    flag = models.BooleanField(null=True)
    short = models.CharField(max_length=60, null=True)
    body = models.TextField(null=True)
    code = models.CharField(max_length=5, null=True)
    binding = models.CharField(max_length=10, null=True)
    day = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    clock = models.TimeField(null=True)
    span = models.DurationField(null=True)
    uid = models.UUIDField(null=True)
    payload = models.JSONField(null=True)
    words = ArrayField(models.TextField(), null=True)
    numbers = ArrayField(models.IntegerField(), null=True)
    grid = ArrayField(ArrayField(models.IntegerField()), null=True)
    ratios = ArrayField(models.FloatField(), null=True)
    prices = ArrayField(models.DecimalField(max_digits=9, decimal_places=3), null=True)
    flags = ArrayField(models.BooleanField(), null=True)
    days = ArrayField(models.DateField(), null=True)
    moments = ArrayField(models.DateTimeField(), null=True)
    spans = ArrayField(models.DurationField(), null=True)
    uids = ArrayField(models.UUIDField(), null=True)
    address = models.GenericIPAddressField(null=True)
    raw = models.BinaryField(null=True)

    class Meta:
        managed = False
        db_table = "scalar"
        ordering = ["id"]


class Extreme(models.Model):
    id = models.AutoField(primary_key=True)
    ratio = models.FloatField(null=True)
    amount = models.DecimalField(max_digits=200, decimal_places=100, null=True)
    day = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    local = models.DateTimeField(null=True)
    span = IntegerRangeField(null=True)
    payload = models.JSONField(null=True)
    raw = models.BinaryField(null=True)
    api_token = models.TextField(null=True)

    class Meta:
        managed = False
        db_table = "extreme"
        ordering = ["id"]


class Note(models.Model):
    key = models.CharField(max_length=40, primary_key=True)
    title = models.CharField(max_length=200, null=True, blank=True)
    body = models.TextField(null=True)
    position = models.IntegerField()

    class Meta:
        managed = False
        db_table = "note"
        ordering = ["position"]


class CountryManager(models.Manager):
    def get_by_natural_key(self, code: str, name: str) -> Country:
        found: Country = self.get(code=code, name=name)
        return found


class Country(models.Model):
    code = models.CharField(max_length=2, primary_key=True)
    name = models.TextField()

    objects = CountryManager()

    def natural_key(self) -> tuple[str, str]:
        return (self.code, self.name)

    class Meta:
        managed = False
        db_table = "country"
        ordering = ["code"]


class Author(models.Model):
    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    born = models.DateField(null=True)
    settings = models.JSONField(null=True)
    country = models.ForeignKey(
        Country, models.CASCADE, null=True, db_column="country_code", related_name="+"
    )
    mentor = models.ForeignKey("self", models.CASCADE, null=True, related_name="+")

    @property
    def initials(self) -> str | None:
        return "".join(word[0] for word in self.name.split()) or None

    def age_in_2000(self) -> int | None:
        return 2000 - self.born.year if self.born else None

    class Meta:
        managed = False
        db_table = "author"
        ordering = ["id"]


class Profile(models.Model):
    id = models.AutoField(primary_key=True)
    bio = models.TextField(null=True)
    verified = models.BooleanField()
    author = models.OneToOneField(Author, models.CASCADE)

    class Meta:
        managed = False
        db_table = "profile"
        ordering = ["id"]


class Category(models.Model):
    id = models.AutoField(primary_key=True)
    name = models.TextField(null=True)
    since = models.DateField(null=True)

    class Meta:
        managed = False
        db_table = "category"
        ordering = ["id"]


class Keyword(models.Model):
    slug = models.CharField(max_length=20, primary_key=True)
    name = models.TextField()

    class Meta:
        managed = False
        db_table = "keyword"
        ordering = ["name", "slug"]


class Book(models.Model):
    id = models.AutoField(primary_key=True)
    name = models.TextField()
    author = models.ForeignKey(Author, models.CASCADE, null=True, related_name="books")
    sequel_of = models.ForeignKey("self", models.CASCADE, null=True, related_name="+")
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    published = models.DateField(null=True)
    added = models.DateTimeField(null=True)
    available = models.BooleanField(null=True)
    pages = models.IntegerField(null=True)
    categories = models.ManyToManyField(Category, db_table="book_category")
    keywords = models.ManyToManyField(Keyword, db_table="book_keyword")

    class Meta:
        managed = False
        db_table = "book"
        ordering = ["id"]


class UnorderedPart(models.Model):
    id = models.AutoField(primary_key=True)

    class Meta:
        managed = False
        db_table = "unordered_part"


class Unordered(models.Model):
    id = models.AutoField(primary_key=True)
    parts = models.ManyToManyField(UnorderedPart, db_table="unordered_parts")

    class Meta:
        managed = False
        db_table = "unordered"
