"""What a format is: an encoder from records to bytes, without any I/O."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

from async_export.formats._copy_form import CopyForm
from async_export.types import CellForm, Column, Kind, Record

__all__ = ("Encoder",)


class Encoder(Protocol):
    """Turns records into the bytes of one format.

    An instance is its options: the constructor's keyword-only arguments, checked there. Before
    each export it is copied with :func:`copy.copy`, so that one configured instance serves many
    exports at once. Therefore **all mutable state is made in** :meth:`begin`, never before.

    The bytes of an export, joined, depend neither on how the records are cut into batches nor on
    the packages that happen to be installed.

    Subclass it for the defaults below, or write a class with all of these members. The
    attributes stand on the class; an instance may have its own ``content_type`` and
    ``concatenable`` where its options change them.

    Attributes:
        name: What users call the format, such as ``"csv"``; compared without regard to case.
        extension: The ending of its files, without the dot: ``"csv"``, ``"csv.gz"``.
        content_type: The media type of its files, for HTTP.
        cells: Whether records hold text cells or native ones.
        natives: With ``cells = "native"``, the kinds whose native cells the format holds.
            Columns of other kinds get text cells, in which None stays None.
        streaming: Whether bytes leave as records come, in memory that does not grow.
        max_rows: The most records that a file can hold; None if there is no limit.
        concatenable: Whether files joined end to end are one file, headers apart.
        offload: Whether encoding is heavy enough to belong in a worker thread.
    """

    name: ClassVar[str]
    extension: ClassVar[str]
    content_type: str
    cells: ClassVar[CellForm] = "text"
    natives: ClassVar[frozenset[Kind]] = frozenset()
    streaming: ClassVar[bool] = True
    max_rows: ClassVar[int | None] = None
    concatenable: bool = False
    offload: ClassVar[bool] = False

    @abstractmethod
    def begin(self, columns: Sequence[Column]) -> bytes:
        """Start a file with these *columns*; called once, before anything else.

        Returns:
            The first bytes of the file; may be empty.

        Raises:
            ConfigurationError: the format cannot hold such columns.
            EncodeError: a header has no representation.
        """
        ...

    def copy_form(self) -> CopyForm | None:
        """Say how COPY of PostgreSQL writes what ``encode`` gives; None if it cannot."""
        return None

    @abstractmethod
    def encode(self, records: Sequence[Record]) -> bytes:
        """Encode any number of *records*, each with one cell per column.

        Returns:
            The next bytes of the file; may be empty when the format gathers first.

        Raises:
            EncodeError: a cell has no representation. The export is over then.
        """
        ...

    @abstractmethod
    def end(self) -> bytes:
        """Finish the file; never called after a failure: a broken file must look broken.

        Returns:
            The last bytes of the file; may be empty.
        """
        ...
