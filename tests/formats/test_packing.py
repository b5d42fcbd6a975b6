"""Packed formats: read by the usual readers, the same bytes always, nothing that looks whole."""

from __future__ import annotations

import copy
import gzip
import io
import itertools
import random
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from unittest import mock

import pytest
from encoded import columns_of
from hypothesis import given, settings
from hypothesis import strategies as st

from async_export.errors import ConfigurationError, FormatLimitError, MissingDependencyError
from async_export.formats import (
    CSVEncoder,
    Encoder,
    GzipEncoder,
    JSONEncoder,
    PackingEncoder,
    ZipEncoder,
    ZstdEncoder,
    _optional,
    _packing,
    _zip,
    make_encoder,
)
from async_export.formats._zip_archive import FileNames
from async_export.types import Column, Kind, Record

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COLUMNS = columns_of("a", "b")
RECORDS = [["1", "x"], ["2", "é"]]
CSV = "a,b\r\n1,x\r\n2,é\r\n".encode()


class RawEncoder(Encoder):
    """Records of one cell, which is bytes already."""

    name = "raw"
    extension = "bin"
    content_type = "application/octet-stream"

    def begin(self, columns: Sequence[Column]) -> bytes:
        """Begin with nothing."""
        return b""

    def encode(self, records: Sequence[Record]) -> bytes:
        """Join the cells."""
        return b"".join(cell for (cell,) in records)

    def end(self) -> bytes:
        """End with nothing."""
        return b""


def unzip(data: bytes) -> bytes:
    """Give the only file of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        (name,) = archive.namelist()
        return archive.read(name)


UNPACK: dict[type[PackingEncoder], Callable[[bytes], bytes]] = {
    GzipEncoder: gzip.decompress,
    ZstdEncoder: zstd.decompress,
    ZipEncoder: unzip,
}

Make = Callable[[Encoder], PackingEncoder]

MAKERS: dict[str, Make] = {
    "gzip": GzipEncoder,
    "gzip of level 0": lambda inner: GzipEncoder(inner, level=0),
    "gzip by isal": lambda inner: GzipEncoder(inner, compressor="isal"),
    "zstd": ZstdEncoder,
    "zip": ZipEncoder,
    "zip by isal": lambda inner: ZipEncoder(inner, level=3, compressor="isal"),
}

each_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
each_class = pytest.mark.parametrize("cls", UNPACK)


def packed(encoder: Encoder, records: Sequence[Record] = RECORDS) -> bytes:
    """Encode the records, one after the other."""
    head = encoder.begin(COLUMNS)
    return head + b"".join(encoder.encode([record]) for record in records) + encoder.end()


def packed_raw(encoder: PackingEncoder, pieces: Sequence[bytes]) -> bytes:
    """Pack the pieces, as does whoever has them without records."""
    return encoder.begin([]) + b"".join(map(encoder.pack, pieces)) + encoder.end()


def pieces_of(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Cut the data."""
    return [data[a:b] for a, b in itertools.pairwise([0, *sorted(cuts), len(data)])]


def lines(count: int) -> bytes:
    """Give some data that can be compressed, but not very much."""
    chosen = random.Random(1)
    return b"".join(b"%d,%d\r\n" % (i, chosen.randrange(10**9)) for i in range(count))


@each_maker
def test_readers_read_them(make: Make) -> None:
    """The usual readers give the bytes of the format within, and find its checksums right."""
    encoder = make(CSVEncoder())
    assert UNPACK[type(encoder)](packed(encoder)) == CSV
    assert UNPACK[type(encoder)](packed(encoder, [])) == b"a,b\r\n"
    data = lines(40_000)
    assert len(data) > 2 * _packing.BLOCK_BYTES
    assert UNPACK[type(encoder)](packed_raw(make(RawEncoder()), [data])) == data


@each_maker
@given(st.binary(max_size=1000), st.integers(1, 20), st.lists(st.integers(0, 20_000), max_size=20))
@settings(max_examples=25)
def test_cuts_do_not_matter(make: Make, data: bytes, times: int, cuts: list[int]) -> None:
    """The same bytes come out, wherever they were cut on the way in."""
    data *= times
    encoder = make(RawEncoder())
    with mock.patch.object(_packing, "BLOCK_BYTES", 4096):
        whole = packed_raw(encoder, [data])
        cut = packed_raw(encoder, pieces_of(data, [min(each, len(data)) for each in cuts]))
    assert cut == whole
    assert UNPACK[type(encoder)](whole) == data


@each_maker
def test_cuts_of_much_data_do_not_matter(make: Make) -> None:
    """Nor do they with blocks of the real size, of which some compressors see the ends."""
    data = lines(40_000)
    chosen = random.Random(2)
    encoder = make(RawEncoder())
    whole = packed_raw(encoder, [data])
    for count in (5, 5_000):
        cuts = [chosen.randrange(len(data)) for _ in range(count)]
        assert packed_raw(encoder, pieces_of(data, cuts)) == whole


@each_maker
def test_bytes_leave_as_they_come(make: Make) -> None:
    """Data does not wait for the end."""
    encoder = make(RawEncoder())
    encoder.begin([])
    data = lines(100_000)
    made = [len(encoder.pack(piece)) for piece in pieces_of(data, range(0, len(data), 65_536))]
    assert sum(size > 0 for size in made) >= 3
    assert len(encoder.end()) < sum(made) / 2


def test_bytes_of_gzip() -> None:
    """The header tells neither time nor system, and the rest is what zlib makes of all at once."""
    data = lines(1000)
    stream = zlib.compressobj(1, zlib.DEFLATED, -15)
    expected = (
        bytes.fromhex("1f8b08000000000000ff")
        + stream.compress(data)
        + stream.flush()
        + zlib.crc32(data).to_bytes(4, "little")
        + len(data).to_bytes(4, "little")
    )
    assert packed_raw(GzipEncoder(RawEncoder()), [data]) == expected


def test_zstd_has_a_checksum() -> None:
    """A bit that changed on the way is noticed."""
    data = packed_raw(ZstdEncoder(RawEncoder()), [bytes(range(256)) * 4])
    info = data[4]
    assert info & 0b100
    wrong = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(zstd.ZstdError, match="checksum"):
        zstd.decompress(wrong)


@each_class
def test_truncated_files_look_broken(cls: type[PackingEncoder]) -> None:
    """No reader takes a file for whole of which the end is missing."""
    whole = packed_raw(cls(RawEncoder()), [lines(200)])
    assert UNPACK[cls](whole)
    for size in {1, 5, 12, len(whole) // 2, len(whole) - 9, len(whole) - 1}:
        with pytest.raises((EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zstd.ZstdError)):
            UNPACK[cls](whole[:size])


@pytest.mark.parametrize("cls", [GzipEncoder, ZstdEncoder])
def test_joined_files_are_one(cls: type[PackingEncoder]) -> None:
    """What may be joined unpacked may be so packed."""
    encoder = cls(CSVEncoder(header=False))
    assert encoder.concatenable
    assert not cls(JSONEncoder()).concatenable
    assert UNPACK[cls](packed(encoder) * 2) == b"1,x\r\n2,\xc3\xa9\r\n" * 2


@pytest.mark.parametrize(
    ("cls", "ending", "content_type"),
    [
        (GzipEncoder, "gz", "application/gzip"),
        (ZstdEncoder, "zst", "application/zstd"),
        (ZipEncoder, "zip", "application/zip"),
    ],
)
def test_attributes_follow(cls: type[PackingEncoder], ending: str, content_type: str) -> None:
    """What the format within can do, the packed one can."""

    class Limited(RawEncoder):
        cells = "native"
        natives = frozenset({Kind.DATE})
        streaming = False
        max_rows = 7
        limits = "little"
        extra = "much"
        offload = True
        concatenable = True

    encoder = cls(Limited())
    assert (encoder.name, encoder.extension) == (f"raw.{ending}", f"bin.{ending}")
    assert encoder.content_type == content_type
    assert encoder.cells == "native"
    assert encoder.natives == {Kind.DATE}
    assert (encoder.streaming, encoder.max_rows, encoder.limits) == (False, 7, "little")
    assert (encoder.extra, encoder.with_titles, encoder.offload) == ("much", False, False)
    assert encoder.concatenable == (cls is not ZipEncoder)
    assert cls(CSVEncoder()).with_titles
    assert cls(JSONEncoder()).cells == "native"
    assert cls(CSVEncoder()).extra == ("zstd" if cls is ZstdEncoder else "")
    assert hasattr(encoder, "begin_sheet") == (cls is ZipEncoder)


@each_class
def test_format_that_is_no_subclass(cls: type[PackingEncoder]) -> None:
    """A class with the members that every format must have is packed as well."""
    names = ("name", "extension", "content_type", "begin", "encode", "end")
    structural = type("Structural", (), {name: getattr(RawEncoder, name) for name in names})()
    encoder = cls(structural)
    assert (encoder.copy_form(), encoder.escaped, encoder.cut) == (None, 0, 0)
    assert UNPACK[cls](packed(encoder, [[b"x"]])) == b"x"


@each_class
def test_titles_and_footers(cls: type[PackingEncoder]) -> None:
    """They are those of the format within."""
    encoder = cls(CSVEncoder())
    data = encoder.begin(COLUMNS, [["title"]]) + encoder.encode(RECORDS) + encoder.end([["sum", 3]])
    assert UNPACK[cls](data) == b"title,\r\n" + CSV + b"sum,3\r\n"


@each_class
def test_one_instance_serves_many_exports(cls: type[PackingEncoder]) -> None:
    """Copies of an instance, each in the midst of an export, do not disturb each other."""
    inner = CSVEncoder()
    configured = cls(inner)
    one, other = copy.copy(configured), copy.copy(configured)
    made = [one.begin(COLUMNS), other.begin(columns_of("c"))]
    for record in RECORDS:
        made[0] += one.encode([record])
        made[1] += other.encode([record[:1]])
    made[1] += other.end()
    made[0] += one.end()
    assert [UNPACK[cls](data) for data in made] == [CSV, b"c\r\n1\r\n2\r\n"]
    assert configured.inner is inner
    assert vars(inner) == vars(CSVEncoder())
    assert packed(configured) == packed(configured) == made[0]


@each_class
def test_copy_form_is_that_of_the_format(cls: type[PackingEncoder]) -> None:
    """What COPY writes can be packed."""
    form = cls(CSVEncoder(delimiter=";")).copy_form()
    assert form is not None
    assert form.delimiter == ";"
    assert cls(JSONEncoder()).copy_form() is None


@each_class
def test_cells_are_counted(cls: type[PackingEncoder]) -> None:
    """Cells that the format within changed are counted, of each export anew."""
    encoder = cls(CSVEncoder(formula_policy="escape"))
    for _ in range(2):
        packed(encoder, [["=1", "@"], ["x", "=2"]])
        assert (encoder.escaped, encoder.cut) == (3, 0)


@each_class
def test_packed_formats_are_not_packed_again(cls: type[PackingEncoder]) -> None:
    """That would help nobody."""
    with pytest.raises(ConfigurationError, match=r"csv.gz is packed already; pack csv instead"):
        cls(GzipEncoder(CSVEncoder()))


@pytest.mark.parametrize(
    "make",
    [
        lambda: GzipEncoder(CSVEncoder(), level=10),
        lambda: GzipEncoder(CSVEncoder(), level=-1),
        lambda: GzipEncoder(CSVEncoder(), level=True),
        lambda: GzipEncoder(CSVEncoder(), level=4, compressor="isal"),
        lambda: ZipEncoder(CSVEncoder(), level=1.5),  # type: ignore[arg-type]  # what users do
        lambda: ZstdEncoder(CSVEncoder(), level=0),
        lambda: ZstdEncoder(CSVEncoder(), level=23),
    ],
)
def test_levels_that_do_not_exist(make: Callable[[], object]) -> None:
    """The message names those that do."""
    with pytest.raises(ConfigurationError, match="level must be a number from"):
        make()


def test_compressors_that_do_not_exist() -> None:
    """The message names those that do."""
    with pytest.raises(ConfigurationError, match="'zlib' or 'isal', not 'lzma'"):
        GzipEncoder(CSVEncoder(), compressor="lzma")  # type: ignore[arg-type]  # what users do


def test_missing_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed is said when the encoder is made, with the extra that brings it."""
    monkeypatch.setattr(_optional, "find_spec", lambda _: None)
    for cls in (GzipEncoder, ZipEncoder):
        with pytest.raises(MissingDependencyError, match=r"by isal .*async_export\[fast\]"):
            cls(CSVEncoder(), compressor="isal")
    module = "compression" if sys.version_info >= (3, 14) else "backports"
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"async_export\[zstd\]"):
        ZstdEncoder(CSVEncoder())


def test_made_by_name() -> None:
    """Options of the packing and of the format within are told apart."""
    encoder = make_encoder("csv.zip", delimiter=";", file_name="books.csv")
    with zipfile.ZipFile(io.BytesIO(packed(encoder))) as archive:
        assert archive.namelist() == ["books.csv"]
        assert archive.read("books.csv") == CSV.replace(b",", b";")


def archive_of(encoder: ZipEncoder, names: Sequence[str]) -> zipfile.ZipFile:
    """Make an archive of a file under each name, which holds the name's number."""
    data = encoder.begin_file()
    for number, name in enumerate(names):
        data += encoder.begin_sheet(name, COLUMNS[:1])
        data += encoder.encode([[str(number)]])
        data += encoder.end_sheet()
    archive = zipfile.ZipFile(io.BytesIO(data + encoder.end_file()))
    assert archive.testzip() is None
    return archive


def test_archive_of_several_files() -> None:
    """Each table is a file, with titles, footers and counts of its own."""
    encoder = ZipEncoder(CSVEncoder(formula_policy="escape"))
    for _ in range(2):
        data = encoder.begin_file()
        assert encoder.escaped == 0
        data += encoder.begin_sheet("Books", COLUMNS, [["title"]])
        data += encoder.encode([["=1", "=2"]]) + encoder.end_sheet([["end"]])
        assert encoder.escaped == 2
        data += encoder.begin_sheet("Authors.csv", columns_of("c"))
        data += encoder.encode([["=3"]])
        assert encoder.escaped == 3
        data += encoder.end_sheet() + encoder.end_file()
        assert encoder.escaped == 3
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == ["Books.csv", "Authors.csv"]
            assert archive.read("Books.csv") == b"title,\r\na,b\r\n'=1,'=2\r\nend,\r\n"
            assert archive.read("Authors.csv") == b"c\r\n'=3\r\n"


def test_cut_cells_of_several_files() -> None:
    """They add up as well."""

    class Cutting(RawEncoder):
        def begin(self, columns: Sequence[Column]) -> bytes:
            self.cut = 1
            return b""

    encoder = ZipEncoder(Cutting())
    encoder.begin_file()
    counts = []
    for name in "ab":
        encoder.begin_sheet(name, [])
        encoder.end_sheet()
        counts.append(encoder.cut)
    assert counts == [1, 2]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("Books", "Books.csv"),
        ("Books.csv", "Books.csv"),
        ("Bücher 2024", "Bücher 2024.csv"),
        ("../../etc/passwd", "-..-etc-passwd.csv"),
        ("..\\up", "-up.csv"),
        ("C:\\x", "C--x.csv"),
        ("a\0b\nc", "a-b-c.csv"),
        ("", "export.csv"),
        (" . ", "export.csv"),
        (".profile", "profile.csv"),
        ("end. .", "end.csv"),
        ("con", "_con.csv"),
        ("LPT1.x", "_LPT1.x.csv"),
        ("concert", "concert.csv"),
        ("x\u202evsc.exe", "x-vsc.exe.csv"),
        ("\ud800", "-.csv"),
        ("é" * 200, "é" * 125 + ".csv"),
    ],
)
def test_names_of_files(wanted: str, expected: str) -> None:
    """Names are what every system takes, and no paths."""
    assert archive_of(ZipEncoder(CSVEncoder()), [wanted]).namelist() == [expected]


def test_names_that_are_taken() -> None:
    """Names that some systems take for one are numbered."""
    names = ["Books", "books", "BOOKS", "a/b", "a-b", "e\u0301", "\u00e9", "x" * 300, "x" * 299]
    archive = archive_of(ZipEncoder(CSVEncoder()), names)
    assert archive.namelist() == [
        "Books.csv",
        "books (2).csv",
        "BOOKS (3).csv",
        "a-b.csv",
        "a-b (2).csv",
        "e\u0301.csv",
        "\u00e9 (2).csv",
        "x" * 251 + ".csv",
        "x" * 247 + " (2).csv",
    ]
    assert [archive.read(name) for name in archive.namelist()] == [
        b"a\r\n%d\r\n" % number for number in range(len(names))
    ]


@given(st.lists(st.text(max_size=8) | st.text("./\\: cCoOnN()12", max_size=8), max_size=6))
@settings(max_examples=60)
def test_names_are_never_paths(names: list[str]) -> None:
    """Whatever the names, no file lands elsewhere, and none on another."""
    made = FileNames()
    found = [made.add(name, ".csv") for name in names]
    assert len({name.casefold() for name in found}) == len(names)
    for name in found:
        assert name == PurePosixPath(name).name == PureWindowsPath(name).name
        assert name.endswith(".csv")
        assert not name.startswith((".", " "))
        assert len(name.encode()) <= 255


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "C:", "nul.csv", "x ", "a\n", "é" * 200])
def test_file_names_that_are_refused(name: str) -> None:
    """A name that was asked for is not changed."""
    with pytest.raises(ConfigurationError, match="no name for a file within an archive"):
        ZipEncoder(CSVEncoder(), file_name=name)


def test_name_of_the_only_file() -> None:
    """By default it tells the format."""
    with zipfile.ZipFile(io.BytesIO(packed(ZipEncoder(CSVEncoder())))) as archive:
        (info,) = archive.infolist()
    assert info.filename == "export.csv"
    assert info.date_time == (1980, 1, 1, 0, 0, 0)


@pytest.mark.parametrize("cls", [GzipEncoder, ZstdEncoder])
def test_no_limit_of_size(cls: type[PackingEncoder], monkeypatch: pytest.MonkeyPatch) -> None:
    """What ZIP cannot hold, the others can."""
    monkeypatch.setattr(_zip, "MAX_BYTES", 1000)
    assert UNPACK[cls](packed_raw(cls(RawEncoder()), [lines(1000)])) == lines(1000)


def test_limits_of_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an archive ends, the message says what else to do; the format's own limits pass."""
    monkeypatch.setattr(_zip, "MAX_BYTES", 300_000)
    encoder = ZipEncoder(RawEncoder())
    encoder.begin([])
    encoder.pack(bytes(299_999))
    with pytest.raises(FormatLimitError, match=r"4 GiB; export raw.gz or raw.zst.*several"):
        encoder.pack(bytes(300_000))
    monkeypatch.setattr(_zip, "MAX_ENTRIES", 2)
    with pytest.raises(FormatLimitError, match="or several archives"):
        archive_of(ZipEncoder(CSVEncoder()), ["a", "b", "c"])

    class Limited(RawEncoder):
        def encode(self, records: Sequence[Record]) -> bytes:
            raise FormatLimitError("full")

    encoder = ZipEncoder(Limited())
    encoder.begin([])
    with pytest.raises(FormatLimitError, match=r"^full$"):
        encoder.encode([[b""]])


def test_level_matters() -> None:
    """Trying harder makes files smaller."""
    data = lines(20_000)
    makers: list[Callable[[Any], Make]] = [
        lambda level: lambda inner: GzipEncoder(inner, level=level),
        lambda level: lambda inner: ZipEncoder(inner, level=level),
        lambda level: lambda inner: ZstdEncoder(inner, level=level + 4),
    ]
    for make in makers:
        sizes = [len(packed_raw(make(level)(RawEncoder()), [data])) for level in (1, 9)]
        assert sizes[1] < sizes[0]
