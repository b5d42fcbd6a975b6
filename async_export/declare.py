"""What a resource class declares: its fields and Meta, along Python's own MRO."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Table, event, inspect
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper

from async_export.errors import ConfigurationError, UnknownNameError
from async_export.fields import Field, split_path
from async_export.guard import refuse_secrets
from async_export.options import ALL, ResourceOptions
from async_export.paths import has_attribute, known_names, resolve_path

__all__ = (
    "DEHYDRATE",
    "check_hooks",
    "check_names",
    "check_paths",
    "collect_fields",
    "collect_options",
    "dehydrate_name",
    "mapper_of",
    "when_configured",
)

DEHYDRATE: Final = "dehydrate_"


def dehydrate_name(field: str) -> str:
    """Name of the hook that makes the cells of *field*; dots of a path become ``__``."""
    return DEHYDRATE + field.replace(".", "__")


def collect_options(cls: type) -> ResourceOptions:
    """Merge the Meta classes of *cls* and its bases: the nearest one wins, option by option."""
    values: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        meta = vars(base).get("Meta")
        for each in reversed(meta.__mro__ if isinstance(meta, type) else ()):
            own = {k: v for k, v in vars(each).items() if not k.startswith("__")}
            values.update(own)
    return ResourceOptions.from_meta(values, cls.__name__)


def collect_fields(cls: type) -> dict[str, Field]:
    """Find the fields that *cls* declares or inherits, the bases' first.

    What ``cls.name`` gives decides, as for any attribute: the nearest class wins, mixins
    count, and ``name = None`` removes an inherited field.
    """
    names = dict.fromkeys(
        name
        for base in reversed(cls.__mro__)
        for name, value in vars(base).items()
        if isinstance(value, Field)
    )
    declared = {name: getattr(cls, name) for name in names}
    return {name: value for name, value in declared.items() if isinstance(value, Field)}


def mapper_of(model: Any) -> Mapper[Any] | None:
    """Give the mapper of a mapped class, None for a Table or no model.

    Raises:
        ConfigurationError: *model* is something else.
    """
    if model is None or isinstance(model, Table):
        return None
    try:
        found = inspect(model)
    except NoInspectionAvailable:
        found = None
    if not isinstance(found, Mapper):
        raise ConfigurationError(f"Meta.model takes a mapped class or a Table, not {model!r}")
    return found


def check_names(cls: type, options: ResourceOptions, declared: Mapping[str, Field]) -> list[str]:
    """Check the names in *options*, and give those of the fields to export, in order.

    Raises:
        UnknownNameError: a name is neither a declared field nor an attribute of the model.
        ConfigurationError: nothing says which columns to export, or one looks secret.
    """
    if options.model is None and not declared and options.fields not in {None, ALL}:
        raise ConfigurationError(f"{cls.__name__}.Meta needs a model, or the class fields")
    chosen = _chosen(cls, options, declared)
    known = [*declared, *_model_names(options.model)]
    for name in _named(options):
        if name not in declared and not _exists(options.model, name):
            raise UnknownNameError("field", split_path(name)[0], known, cls.__name__)
    for name in (*options.export_order, *options.widgets):
        if name not in chosen:
            raise UnknownNameError("field", name, chosen, f"{cls.__name__}.Meta")
    for name in vars(cls):
        if name in declared and name not in chosen and name not in options.exclude:
            raise ConfigurationError(
                f"{cls.__name__} declares the field {name!r}, but Meta.fields does not list it"
            )
    return sorted(chosen, key=_position(options.export_order))


def _position(first: Iterable[str]) -> Callable[[str], int]:
    places = {name: place for place, name in enumerate(first)}
    return lambda name: places.get(name, len(places))


def _named(options: ResourceOptions) -> list[str]:
    listed = () if options.fields in {None, ALL} else options.fields or ()
    return [*listed, *options.exclude]


def _chosen(cls: type, options: ResourceOptions, declared: Mapping[str, Field]) -> list[str]:
    if options.fields is not None and options.fields != ALL:
        names = list(options.fields)
    elif options.model is None:
        names = list(declared)
    elif options.fields is None and not options.exclude:
        raise ConfigurationError(
            f"{cls.__name__}.Meta needs fields or exclude: name the columns to export, or say "
            f'fields = "{ALL}"'
        )
    else:
        columns = {n: c for n, c in _columns(options.model).items() if n not in options.exclude}
        refuse_secrets(cls.__name__, {n: c for n, c in columns.items() if n not in declared})
        names = list(dict.fromkeys([*columns, *declared]))
    return [name for name in names if name not in options.exclude]


def _columns(model: Any) -> dict[str, str]:
    """Give the names that the columns of *model* have in the database, by those that they have."""
    mapper = mapper_of(model)
    columns = model.columns if mapper is None else mapper.columns
    public = mapper is not None
    return {
        key: str(getattr(column, "name", key))
        for key, column in columns.items()
        if not (public and key.startswith("_"))
    }


def _model_names(model: Any) -> list[str]:
    mapper = mapper_of(model)
    if mapper is not None:
        return known_names(mapper)
    return [] if model is None else list(model.columns.keys())


def _exists(model: Any, name: str) -> bool:
    """Tell whether the first step of *name* is on the model; the rest is checked later.

    Mappers are not configured for this: doing so before all classes are defined would break them.
    """
    if model is None:
        return False
    first = split_path(name)[0]
    if isinstance(model, Table):
        return name in model.columns or first in model.columns
    mapper = mapper_of(model)
    assert mapper is not None
    found = has_attribute(mapper, name) or has_attribute(mapper, first)
    return found or _is_back_reference_to_come(mapper, first)


def _is_back_reference_to_come(mapper: Mapper[Any], name: str) -> bool:
    """Tell whether configuring the mappers will make a back reference of this name."""
    others = (each for each in mapper.registry.mappers if not each.configured)
    attributes = (a for each in others for a in each.all_orm_descriptors.values())
    backrefs = (getattr(getattr(a, "prop", None), "backref", None) for a in attributes)
    return any(name == (b if isinstance(b, str) else b[0]) for b in backrefs if b)


def check_hooks(
    cls: type, options: ResourceOptions, declared: Mapping[str, Field], names: Iterable[str]
) -> None:
    """Check that every dehydrate hook belongs to a field, and every field finds its hook.

    Raises:
        UnknownNameError: ``dehydrate_x`` without a field x, or a ``dehydrate_method`` that does
            not exist.
    """
    inherited = [name for base in cls.__mro__ for name in getattr(base, "_names", ())]
    known = {dehydrate_name(name) for name in (*names, *declared, *options.exclude, *inherited)}
    mapper = mapper_of(options.model)
    for hook in dir(cls):
        name = hook.removeprefix(DEHYDRATE)
        if name == hook or hook in known or (mapper is not None and has_attribute(mapper, name)):
            continue
        nearest = sorted(each.removeprefix(DEHYDRATE) for each in known)
        raise UnknownNameError("field", name, nearest, f"{cls.__name__}.{hook}")
    for name, field in declared.items():
        method = field.dehydrate_method
        if isinstance(method, str) and not callable(getattr(cls, method, None)):
            methods = [each for each in dir(cls) if not each.startswith("_")]
            raise UnknownNameError("method", method, methods, f"{cls.__name__}.{name}")


def check_paths(cls: type, mapper: Mapper[Any], paths: Iterable[str]) -> None:
    """Check that each path leads somewhere from *mapper*.

    Raises:
        ConfigurationError: one does not; the message names *cls* and the path.
    """
    for path in paths:
        try:
            resolve_path(mapper, split_path(path))
        except ConfigurationError as error:
            error.add_note(f"in {cls.__name__}, path {path!r}")
            raise


def when_configured(mapper: Mapper[Any], check: Callable[[], None]) -> None:
    """Run *check* once the mappers are configured: now, if they are."""
    checks = [check]

    def look() -> None:
        # The event is that of all registries. Before it is the turn of this one, the check would
        # begin to configure it, and so on with the next: a recursion as deep as there are some.
        if mapper.configured and checks:
            checks.pop()()

    look()
    if checks:
        event.listen(Mapper, "after_configured", look)
