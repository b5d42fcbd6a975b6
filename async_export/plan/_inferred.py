"""Reads that no ``@depends`` declares, found in the hooks' bytecode."""

from __future__ import annotations

from collections.abc import Sequence

from async_export.plan._draft import Draft, DraftField
from async_export.plan._strategy import collect_reasons
from async_export.reads import infer_reads

__all__ = ("infer_all",)


def infer_all(draft: Draft, items: Sequence[DraftField]) -> None:
    """Let hooks without ``@depends`` have light rows, if that leaves no reason for mapped objects.

    All or none: a hook that does receive mapped objects may change what others see of them.
    """
    undeclared = [item for item in items if item.hook is not None and item.reads is None]
    if not undeclared or not _may_infer(draft):
        return
    mapper = draft.mapper
    assert mapper is not None
    for item in undeclared:
        assert item.hook is not None
        item.reads = infer_reads(item.hook, mapper)
        item.inferred = item.reads is not None
    reasons, draft.reasons = draft.reasons, []
    collect_reasons(draft, items)
    if draft.reasons:
        draft.reasons = reasons
        for item in undeclared:
            item.reads, item.inferred = None, False


def _may_infer(draft: Draft) -> bool:
    """Tell whether mapped objects would be as their mapper says, and nobody watches them."""
    options = draft.hooks.options
    if draft.mapper is None or draft.queried is None or not options.infer_reads or options.load:
        return False
    if getattr(draft.queried.statement, "_with_options", None) != ():
        return False
    if draft.database is None:
        return False
    return not draft.database.session.sync_session.dispatch.loaded_as_persistent
