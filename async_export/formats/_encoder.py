"""What a format is: an encoder from records to bytes, without any I/O."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from async_export.formats._copy_form import CopyForm
from async_export.types import CellForm, Column, Kind, Record

__all__ = ("Encoder", "SheetEncoder", "TitledEncoder")


class Encoder(Protocol):
    """Turns records into the bytes of one format.

    An instance is its options: the constructor's keyword-only arguments, checked there. Before
    each export it is copied with :func:`copy.copy`, so that one configured instance serves many
    exports at once. Therefore **all mutable state is made in** :meth:`begin`, never before.

    The bytes of an export, joined, depend neither on how the records are cut into batches nor on
    the packages that happen to be installed.

    Subclass it for the defaults below, or write a class with all of these members, of which
    ``copy_form``, ``limits``, ``extra``, ``with_titles`` and the counts may be left out. The
    attributes stand on the class; an instance may have its own where its options change them.

    Attributes:
        name: What users call the format, such as ``"csv"``; compared without regard to case.
        extension: The ending of its files, without the dot: ``"csv"``, ``"csv.gz"``.
        content_type: The media type of its files, for HTTP.
        cells: Whether records hold text cells or native ones.
        natives: With ``cells = "native"``, the kinds whose native cells the format holds.
            Columns of other kinds get text cells, in which None stays None.
        streaming: Whether bytes leave as records come, in memory that does not grow.
        max_rows: The most records that a file can hold; None if there is no limit.
        limits: What else its files cannot hold, for people; empty if there is nothing.
        extra: The extra of async_export that the format needs; empty if none.
        with_titles: Whether it is a `TitledEncoder`.
        concatenable: Whether files joined end to end are one file, headers apart.
        offload: Whether encoding is heavy enough to belong in a worker thread.
        escaped: Cells so far that were changed because a spreadsheet would take them for formulas.
        cut: Cells so far that were cut because they were too long.
        taken: Bytes so far that records took, where those that leave are fewer or later: before
            compression, or before they are gathered.
    """

    name: str
    extension: str
    content_type: str
    cells: CellForm = "text"
    natives: frozenset[Kind] = frozenset()
    streaming: bool = True
    max_rows: int | None = None
    limits: str = ""
    extra: str = ""
    with_titles: bool = False
    concatenable: bool = False
    offload: bool = False
    escaped: int = 0
    cut: int = 0
    taken: int = 0

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


class TitledEncoder(Encoder, Protocol):
    """An encoder whose files may hold records that are no rows of the export.

    *titles* stand above the header, *footers* below the last record. They may be shorter than the
    columns are, and hold cells of any type.
    """

    with_titles: bool = True

    @abstractmethod
    def begin(self, columns: Sequence[Column], titles: Sequence[Record] = ()) -> bytes:
        """Start a file, as `Encoder.begin` does, with *titles* above the header."""
        ...

    @abstractmethod
    def end(self, footers: Sequence[Record] = ()) -> bytes:
        """Finish the file, as `Encoder.end` does, with *footers* below the last record."""
        ...


class SheetEncoder(TitledEncoder, Protocol):
    """An encoder whose files may hold several tables: sheets of a workbook, files of an archive.

    ``begin`` starts a file with one of them, and ``end`` finishes both. For several it is
    `begin_file`, then for each `begin_sheet`, ``encode``, `end_sheet`, and `end_file`.
    """

    @abstractmethod
    def begin_file(self) -> bytes:
        """Start a file."""
        ...

    @abstractmethod
    def begin_sheet(
        self, name: str, columns: Sequence[Column], titles: Sequence[Record] = ()
    ) -> bytes:
        """Start the next table.

        Args:
            name: What it is called; names that the format cannot hold are changed.
            columns: Its columns.
            titles: Records above its header.
        """
        ...

    @abstractmethod
    def end_sheet(self, footers: Sequence[Record] = ()) -> bytes:
        """Finish a table, with *footers* below its last record."""
        ...

    @abstractmethod
    def end_file(self) -> bytes:
        """Finish the file."""
        ...
