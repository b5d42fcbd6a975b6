"""CSV and TSV: tablib's bytes, every option, every refusal, and the files for Excel."""

from __future__ import annotations

import copy
import csv
import inspect
import io
import itertools
from collections.abc import Sequence

import pytest
import tablib
from hypothesis import given
from hypothesis import strategies as st

from async_export.errors import ConfigurationError, EncodeError
from async_export.formats import CSVEncoder, Encoder, TSVEncoder
from async_export.formats._excel import ExcelCSVEncoder, ExcelTSVEncoder
from async_export.formats._formulas import FormulaGuard
from async_export.types import Column, Record

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(',;\t"\r\n \0=')).filter(
    lambda text: "\0" not in text
)


@st.composite
def datasets(draw: st.DrawFn) -> tuple[list[str], list[list[str | None]], list[int]]:
    """Draw headers, records and the places where the records are cut into batches."""
    width = draw(st.integers(1, 4))
    headers = draw(st.lists(TEXT, min_size=width, max_size=width))
    record = st.lists(TEXT | st.none(), min_size=width, max_size=width)
    records = draw(st.lists(record, max_size=12))
    return headers, records, sorted(draw(st.lists(st.integers(0, len(records)), max_size=4)))


def export(
    encoder: Encoder, headers: Sequence[str], records: Sequence[Record], cuts: Sequence[int] = ()
) -> bytes:
    """Encode the records in batches that end at the *cuts*."""
    edges = [0, *cuts, len(records)]
    batches = [records[a:b] for a, b in itertools.pairwise(edges)]
    begin = encoder.begin([Column(f"field_{i}", header) for i, header in enumerate(headers)])
    return begin + b"".join(map(encoder.encode, batches)) + encoder.end()


@given(datasets())
@pytest.mark.parametrize(("name", "encoder_class"), [("csv", CSVEncoder), ("tsv", TSVEncoder)])
def test_bytes_are_those_of_tablib(
    name: str,
    encoder_class: type[CSVEncoder],
    dataset: tuple[list[str], list[list[str | None]], list[int]],
) -> None:
    """Any text in any batches gives the bytes of tablib's export."""
    headers, records, cuts = dataset
    expected = tablib.Dataset(*records, headers=headers).export(name)
    assert export(encoder_class(), headers, records, cuts) == expected.encode()


@given(datasets(), st.sampled_from(["\r\n", "\n", "\r"]), st.sampled_from(",;\t|"))
def test_reads_back(
    dataset: tuple[list[str], list[list[str | None]], list[int]], end: str, delimiter: str
) -> None:
    """The csv module reads back what was written, whatever ends the lines."""
    headers, records, cuts = dataset
    encoder = CSVEncoder(lineterminator=end, delimiter=delimiter)
    text = export(encoder, headers, records, cuts).decode()
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert read == [headers, *([cell or "" for cell in record] for record in records)]


def test_exact_bytes() -> None:
    """Special characters are quoted, None is nothing and lines end with CR LF."""
    records: list[Record] = [["1", "a,b"], [None, 'say "hi"'], ["", "two\nlines"]]
    expected = b'id,name\r\n1,"a,b"\r\n,"say ""hi"""\r\n,"two\nlines"\r\n'
    assert export(CSVEncoder(), ["id", "name"], records) == expected


def test_one_empty_column() -> None:
    """A record of one empty cell is not an empty line."""
    assert export(CSVEncoder(), ["a"], [[""], [None], ["x"]]) == b'a\r\n""\r\n""\r\nx\r\n'


def test_no_rows() -> None:
    """Without records there is the header line; without that, nothing."""
    assert export(CSVEncoder(), ["a", "b"], []) == b"a,b\r\n"
    assert export(CSVEncoder(header=False), ["a", "b"], []) == b""


def test_duplicate_headers_stay() -> None:
    """CSV keeps two columns with the same header."""
    assert export(CSVEncoder(), ["a", "a"], [["1", "2"]]) == b"a,a\r\n1,2\r\n"


def test_options() -> None:
    """Delimiter, quote character, quoting, line end and header are the caller's."""
    encoder = CSVEncoder(
        delimiter=";", quotechar="'", quoting=csv.QUOTE_ALL, lineterminator="\n", header=False
    )
    assert export(encoder, ["a", "b"], [["1", "it's"]]) == b"'1';'it''s'\n"


def test_carriage_return_is_quoted_whatever_ends_the_line() -> None:
    r"""A cell with a lone CR is quoted with ``\n`` line ends too, on every Python."""
    encoder = CSVEncoder(lineterminator="\n")
    assert export(encoder, ["a"], [["x\ry"], ["z"]]) == b'a\n"x\ry"\nz\n'


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", b"\xef\xbb\xbf"), ("utf-8-sig", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe")],
)
@pytest.mark.parametrize("header", [True, False])
def test_byte_order_mark_appears_once(encoding: str, mark: bytes, header: bool) -> None:
    """With ``bom=True`` the file starts with one mark and holds no other."""
    encoder = CSVEncoder(encoding=encoding, bom=True, header=header)
    output = export(encoder, ["é"], [["x"], ["y"]], cuts=[1])
    assert output.startswith(mark)
    text = output.removeprefix(mark).decode(encoding)
    assert text == ("é\r\n" if header else "") + "x\r\ny\r\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("bom", [True, False])
def test_encodings_with_their_own_mark(encoding: str, bom: bool) -> None:
    """Codecs that write a mark themselves write one per file, not one per batch."""
    output = export(CSVEncoder(encoding=encoding, bom=bom), ["a"], [["x"], ["y"]], cuts=[0, 1])
    assert output == "a\r\nx\r\ny\r\n".encode(encoding)


def test_encoding_that_shifts_ends_unshifted() -> None:
    """A codec with shift states is brought back to its first state at the end."""
    output = export(CSVEncoder(encoding="iso2022_jp", header=False), ["a"], [["日"], ["本"]])
    assert output == "日\r\n本\r\n".encode("iso2022_jp")


@pytest.mark.parametrize(
    ("encoder", "content_type"),
    [
        (CSVEncoder(), "text/csv; charset=utf-8"),
        (CSVEncoder(encoding="utf-8-sig"), "text/csv; charset=utf-8"),
        (CSVEncoder(encoding="latin-1"), "text/csv; charset=iso-8859-1"),
        (CSVEncoder(encoding="cp1252"), "text/csv; charset=windows-1252"),
        (TSVEncoder(encoding="utf-16"), "text/tab-separated-values; charset=utf-16"),
    ],
)
def test_content_type_names_the_encoding(encoder: Encoder, content_type: str) -> None:
    """The media type tells a browser the character set."""
    assert encoder.content_type == content_type


def test_concatenable_unless_each_file_has_a_mark() -> None:
    """Files can be joined, unless the codec starts each of them with a mark."""
    assert CSVEncoder().concatenable
    assert not CSVEncoder(encoding="utf-16").concatenable


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ";;"},
        {"delimiter": ""},
        {"delimiter": '"'},
        {"delimiter": "\n"},
        {"delimiter": "|", "lineterminator": "|\n"},
        {"quotechar": "\r"},
        {"delimiter": None},
        {"quotechar": "''"},
        {"quotechar": None},
        {"quoting": 99},
        {"lineterminator": ""},
        {"encoding": "utf-9"},
        {"encoding": "base64"},
        {"encoding": None},
        {"encoding": "latin-1", "bom": True},
        {"encoding": "latin-1", "delimiter": "→"},
    ],
)
def test_senseless_options_are_refused_at_once(options: dict[str, object]) -> None:
    """An option that makes no CSV fails in the constructor, not in the export."""
    with pytest.raises(ConfigurationError):
        CSVEncoder(**options)  # type: ignore[arg-type]  # what users do


def test_character_outside_the_encoding() -> None:
    """The error names the column and not the value."""
    encoder = CSVEncoder(encoding="latin-1")
    with pytest.raises(EncodeError, match=r"column 'Price'.*latin-1") as caught:
        export(encoder, ["id", "Price"], [["1", "2"], ["3", "secret 5 €"]])
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, UnicodeEncodeError)


def test_header_outside_the_encoding() -> None:
    """A header that cannot be encoded fails in ``begin``."""
    with pytest.raises(EncodeError, match="column '€'"):
        CSVEncoder(encoding="ascii").begin([Column("id", "id"), Column("price", "€")])


def test_lone_surrogate() -> None:
    """Half of a character has no bytes in UTF-8."""
    with pytest.raises(EncodeError, match=r"column 'b'.*surrogates"):
        export(CSVEncoder(), ["a", "b"], [["x", "\ud800"]])


def test_unquotable_cell() -> None:
    """A cell that needs quotes which are switched off is an error with its column."""
    encoder = CSVEncoder(quoting=csv.QUOTE_NONE, quotechar=None)
    with pytest.raises(EncodeError, match="column 'b'") as caught:
        export(encoder, ["a", "b"], [["", "x"], ["1", "2,3"]])
    assert isinstance(caught.value.__cause__, csv.Error)


def test_unquotable_empty_record() -> None:
    """An error that concerns no single cell is still an EncodeError."""
    encoder = CSVEncoder(quoting=csv.QUOTE_NONE, quotechar=None)
    with pytest.raises(EncodeError):
        export(encoder, ["a"], [[""]])


def test_copies_of_one_encoder_do_not_mix() -> None:
    """Two exports at once by copies of one configured encoder keep apart."""
    encoder = CSVEncoder(delimiter=";")
    first, second = copy.copy(encoder), copy.copy(encoder)
    columns = [Column("a", "a"), Column("b", "b")]
    first_bytes, second_bytes = first.begin(columns), second.begin(columns)
    first_bytes += first.encode([["1", "1"]])
    second_bytes += second.encode([["2", "2"]])
    first_bytes += first.encode([["3", "3"]])
    assert first_bytes == b"a;b\r\n1;1\r\n3;3\r\n"
    assert second_bytes == b"a;b\r\n2;2\r\n"


CELLS = TEXT | st.none() | st.integers() | st.floats() | st.booleans()


@given(st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[CELLS] * width), max_size=8)))
@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("delimiter", [",", ";", " "])
def test_all_quoted_as_by_csv(end: str, delimiter: str, records: list[tuple[object, ...]]) -> None:
    """With ``QUOTE_ALL`` any cells give the bytes of the csv module."""
    width = len(records[0]) if records else 1
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=end, delimiter=delimiter)
    writer.writerows([["a"] * width, *records])
    encoder = CSVEncoder(quoting=csv.QUOTE_ALL, lineterminator=end, delimiter=delimiter)
    expected = file.getvalue().encode()
    assert export(encoder, ["a"] * width, records) == expected
    assert export(encoder, ["a"] * width, records, range(1, len(records))) == expected


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_no_columns(quoting: int) -> None:
    """Records without cells are lines all the same, however they are cut."""
    encoder = CSVEncoder(quoting=quoting, header=False)
    assert export(encoder, [], [[], []]) == export(encoder, [], [[], []], [1]) == b"\r\n\r\n"


@given(datasets(), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
def test_escaped_cells(
    dataset: tuple[list[str], list[list[str | None]], list[int]], quoting: int
) -> None:
    """Formulas are disarmed before cells are quoted, in any batches, and counted."""
    headers, records, cuts = dataset
    guard = FormulaGuard("escape")
    guard.begin([Column("a", header) for header in headers])
    safe = guard.records(records)
    plain = export(CSVEncoder(quoting=quoting), guard.headers(headers), safe)
    encoder = CSVEncoder(quoting=quoting, formula_policy="escape")
    assert export(encoder, headers, records, cuts) == plain
    assert encoder.escaped == guard.escaped
    assert export(CSVEncoder(quoting=quoting), headers, records) == plain or plain.count(b"'")


def test_escaped_exactly() -> None:
    """Cells and headers get an apostrophe, and ``begin`` counts anew."""
    encoder = CSVEncoder(formula_policy="escape")
    records: list[Record] = [["-5", "=1", None], [-5, "a\n=2,=3", "x"]]
    expected = b"n,'=b,c\r\n-5,'=1,\r\n-5,\"a\n'=2,'=3\",x\r\n"
    for _ in range(2):
        assert export(encoder, ["n", "=b", "c"], records) == expected
        assert encoder.escaped == 2
    raw = CSVEncoder()
    assert b"'" not in export(raw, ["n", "=b", "c"], records)
    assert raw.escaped == 0


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
def test_rejected_formulas(quoting: int) -> None:
    """A formula is an error with its column, one in a header a matter of configuration."""
    encoder = CSVEncoder(formula_policy="reject", quoting=quoting)
    with pytest.raises(EncodeError, match=r"column 'b': a cell .* formula") as caught:
        export(encoder, ["a", "b"], [["1", "-5"], ["2", "=secret"]])
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="column '=b': a header"):
        export(encoder, ["a", "=b"], [])
    with pytest.raises(ConfigurationError, match="formula_policy"):
        CSVEncoder(formula_policy="prefix")  # type: ignore[arg-type]  # what users do


def test_titles_and_footers() -> None:
    """They stand around all else, as wide as the records, and hold cells of any type."""
    encoder = CSVEncoder(bom=True, encoding="utf-8", formula_policy="escape")
    columns = [Column(name, name) for name in "abc"]
    made = encoder.begin(columns, [["Report, 2024"], [], [None, 5, "=x"]])
    made += encoder.encode([["1", "2", "3"]]) + encoder.end([["Sum", -5.5]])
    assert made.decode("utf-8-sig") == (
        '"Report, 2024",,\r\n,,\r\n,5,\'=x\r\na,b,c\r\n1,2,3\r\nSum,-5.5,\r\n'
    )
    assert encoder.escaped == 1
    bare = TSVEncoder(header=False)
    assert bare.begin(columns[:1], [["T"]]) + bare.end([[None]]) == b'T\r\n""\r\n'
    assert CSVEncoder.with_titles
    assert TSVEncoder.with_titles


def test_wide_titles() -> None:
    """A title or footer with more cells than there are columns is refused."""
    encoder = CSVEncoder()
    with pytest.raises(ConfigurationError, match="2 cells, and there are 1 columns"):
        encoder.begin([Column("a", "a")], [["x", "y"]])
    encoder.begin([Column("a", "a")])
    with pytest.raises(ConfigurationError, match="2 cells"):
        encoder.end([["x", "y"]])


def test_copy_writes_no_apostrophes() -> None:
    """COPY serves only where cells are written as they are and quoted when they must be."""
    assert CSVEncoder().copy_form() is not None
    assert TSVEncoder().copy_form() is not None
    for encoder in (
        CSVEncoder(formula_policy="escape"),
        CSVEncoder(formula_policy="reject"),
        TSVEncoder(formula_policy="escape"),
        CSVEncoder(quoting=csv.QUOTE_ALL),
        ExcelCSVEncoder(),
        ExcelTSVEncoder(),
    ):
        assert encoder.copy_form() is None


@pytest.mark.parametrize(
    ("encoder", "delimiter"),
    [
        (CSVEncoder.excel(), ","),
        (CSVEncoder.excel(delimiter=";"), ";"),
        (ExcelCSVEncoder(), ","),
        (ExcelCSVEncoder(delimiter=";"), ";"),
        (ExcelCSVEncoder.excel(delimiter=";"), ";"),
        (TSVEncoder.excel(), "\t"),
        (ExcelTSVEncoder(), "\t"),
    ],
)
def test_excel(encoder: CSVEncoder, delimiter: str) -> None:
    """Files for Excel have a mark, quotes around all cells, and no formulas."""
    made = export(encoder, ["a", "é"], [["=1", None], ['"', -5]], [1])
    expected = "\ufeff'a'|'é'\r\n'\0=1'|''\r\n'`'|'-5'\r\n"
    expected = expected.replace("'", '"').replace("`", '""').replace("|", delimiter)
    assert made == expected.replace("\0", "'").encode()
    assert encoder.escaped == 1


def test_excel_options() -> None:
    """The options for Excel can be changed one by one, and are named like those of CSV."""
    encoder = CSVEncoder.excel(bom=False, quoting=csv.QUOTE_MINIMAL, header=False)
    assert export(encoder, ["a"], [["=1"], ["2"]]) == b"'=1\r\n2\r\n"
    assert type(TSVEncoder.excel()) is TSVEncoder
    for encoder_class, plain in ((ExcelCSVEncoder, CSVEncoder), (ExcelTSVEncoder, TSVEncoder)):
        assert list(inspect.signature(encoder_class).parameters) == list(
            inspect.signature(plain).parameters
        )
        assert encoder_class.name == f"{plain.name}-excel"
        assert encoder_class.extension == plain.extension
