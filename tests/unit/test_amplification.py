"""How much a request makes the store hold: each field has a bound, and what is stored follows what is sent.

A record is measured as Redis gets it, by the names and values of `job_to_fields`; so are the texts beside it.
"""

import base64
import bisect
import json
import zlib
from collections.abc import Iterable
from typing import Any

import pytest

from chalicelib.api import compile_request
from chalicelib.api.compile_request import ClientJob, ClientRequest
from chalicelib.api.expectations import (
    MAX_EXPECT_BYTES,
    MAX_EXPECTED_CHARACTERS,
    MAX_EXPECTED_DIAGNOSTICS,
    MAX_POSITION,
    ClientExpectation,
    ClientExpectedDiagnostic,
)
from chalicelib.api.json_body import MAX_BODY_BYTES
from chalicelib.api.source_files import MAX_CONTROL_CHARACTERS, MAX_FILES, MAX_SOURCE_BYTES
from chalicelib.api.validation import MAX_NAME_CHARACTERS, ClientModel
from chalicelib.catalog import MAX_FILE_NAME_BYTES, MAX_OPTION_CHARACTERS, MAX_OPTIONS, load_catalog
from chalicelib.errors import RequestError, SourceTooLarge
from chalicelib.matrix import plan
from chalicelib.matrix.plan import MAX_CELLS, MAX_PATTERNS, ClientMatrix
from chalicelib.models import CompileRequest, Expectation, Job, new_id
from chalicelib.storage.redis.jobs import job_to_fields
from chalicelib.storage.sources import MIN_OWN_TEXT_BYTES, pack
from runner.diagnostics.collector import MAX_MESSAGE_CHARACTERS
from tests.support.factories import make_environment

CATALOG = load_catalog()
STANDARDS = ("c++17", "gnu++17", "c++20", "gnu++20")
OFFERED = [make_environment(id=f"gcc-{number}", standards=STANDARDS) for number in range(MAX_CELLS // 4)]

# Stored for each byte sent, where every field is at its bound.
FACTOR = 3
# What a job has beside its request: names of fields, id, fingerprint, times and names of the compiler.
RECORD_BYTES = 1024
# Source that is all escapes, its control characters, and 128 KiB for `expect`, options and names of files.
LARGEST_REQUEST_BYTES = 2 * MAX_SOURCE_BYTES + 6 * MAX_CONTROL_CHARACTERS + 128 * 1024

# How JSON writes them: as they are, in two characters, in six, in four bytes.
CHARACTERS = {"a letter": "x", "a quote": '"', "a control character": "\x01", "four bytes": "\U0001f600"}


def _stored(requests: Iterable[CompileRequest]) -> int:
    """The bytes of the records of these requests, and of the texts that they name.

    Texts count as if they did not shrink: whoever wants to fill the store sends such ones.
    """
    jobs = [
        Job(id=new_id(), request=each, fingerprint=compile_request.fingerprint(each)) for each in requests
    ]
    packed = pack([job.request for job in jobs])
    records = (job_to_fields(job, record) for job, record in zip(jobs, packed.records, strict=True))
    texts = (max(len(text), len(zlib.decompress(text))) for text in packed.texts.values())
    return sum(texts) + sum(
        len(name) + len(value.encode()) for record in records for name, value in record.items()
    )


def _stored_by_compile(body: bytes) -> int:
    request = compile_request.resolve(compile_request.parse(body), CATALOG, OFFERED)
    return _stored([request])


def _stored_by_matrix(body: bytes) -> int:
    requests = plan.make_plan(plan.parse(body), CATALOG, OFFERED).requests
    assert len(requests) == MAX_CELLS
    return _stored(requests)


def _sent(**fields: Any) -> bytes:
    return json.dumps({"language": "cpp"} | fields, ensure_ascii=False).encode()


def _source(character: str, size_bytes: int) -> str:
    """A source of that character as far as it may have it, and of quotes, which are stored as two."""
    count = size_bytes // len(character.encode())
    if character == "\x01":
        count = min(count, MAX_CONTROL_CHARACTERS)
    text = character * count
    return text + '"' * (size_bytes - len(text.encode()))


def _expect(character: str) -> dict[str, Any]:
    """The longest `expect` of that character: as many diagnostics as are allowed, all texts of one length."""

    def make(length: int) -> dict[str, Any]:
        diagnostic = dict.fromkeys(("message", "code", "file"), character * length)
        return {"diagnostics": [diagnostic] * MAX_EXPECTED_DIAGNOSTICS}

    def size(length: int) -> int:
        return len(Expectation.model_validate(make(length)).model_dump_json().encode())

    longest = bisect.bisect_right(range(1, MAX_EXPECTED_CHARACTERS), MAX_EXPECT_BYTES, key=size)
    return make(longest)


def _files(text: str) -> dict[str, str]:
    """The text as the main file, and as many empty files as a request may have, with the longest names."""
    names = [f"{number:03}{'n' * (MAX_FILE_NAME_BYTES - 5)}.h" for number in range(MAX_FILES - 1)]
    return {"main.cpp": text} | dict.fromkeys(names, "")


OPTIONS = ['-DX="' + '"' * (MAX_OPTION_CHARACTERS - 5)] * MAX_OPTIONS


@pytest.mark.parametrize("source", CHARACTERS)
@pytest.mark.parametrize("expected", CHARACTERS)
@pytest.mark.parametrize("how", ["source_code", "code", "files"])
def test_a_compile_stores_less_than_three_times_what_was_sent(how: str, source: str, expected: str) -> None:
    """With every field at its bound, in each way to send a source, by kinds of characters."""
    text = _source(CHARACTERS[source], MAX_SOURCE_BYTES)
    sources: dict[str, dict[str, Any]] = {
        "source_code": {"source_code": text},
        "code": {"code": base64.b64encode(text.encode()).decode()},
        "files": {"files": _files(text), "main": "main.cpp"},
    }
    body = _sent(**sources[how], options=OPTIONS, expect=_expect(CHARACTERS[expected]))
    assert len(body) <= MAX_BODY_BYTES
    stored = _stored_by_compile(body)
    assert stored < FACTOR * len(body)
    assert stored <= LARGEST_REQUEST_BYTES + RECORD_BYTES


@pytest.mark.parametrize("name", CHARACTERS)
@pytest.mark.parametrize("size_bytes", [1, 1000, MIN_OWN_TEXT_BYTES, 64 * 1024, MAX_SOURCE_BYTES])
def test_a_matrix_of_64_cells_stores_less_than_three_times_what_was_sent(size_bytes: int, name: str) -> None:
    """Source, options and `expect` are stored once, and a short record for each cell."""
    text = _source(CHARACTERS[name], size_bytes)
    choices: tuple[dict[str, Any], ...] = ({}, {"options": OPTIONS}, {"expect": _expect(CHARACTERS[name])})
    for fields in choices:
        body = _sent(source_code=text, standards="all", **fields)
        assert _stored_by_matrix(body) < FACTOR * len(body) + MAX_CELLS * RECORD_BYTES


@pytest.mark.parametrize(
    "size_bytes", [0, MIN_OWN_TEXT_BYTES - 1, MIN_OWN_TEXT_BYTES, 3 * MIN_OWN_TEXT_BYTES]
)
def test_a_matrix_of_many_files_stores_less_than_three_times_what_was_sent(size_bytes: int) -> None:
    """As many files as a request may have: each cell names those that are stored by themselves."""
    files = {f"{number}.h": f"{number:03}" + "x" * (size_bytes - 3) for number in range(MAX_FILES - 1)}
    body = _sent(files=files | {"main.cpp": "y" * size_bytes}, main="main.cpp", standards="all")
    assert _stored_by_matrix(body) < FACTOR * len(body) + MAX_CELLS * RECORD_BYTES


LONG_NAME = "n" * (MAX_NAME_CHARACTERS + 1)
LONG_TEXT = "n" * (MAX_EXPECTED_CHARACTERS + 1)

# Each field of what a client sends → a value just over its bound, and the bound. None: it has no length.
OVER: dict[type[ClientModel], dict[str, tuple[Any, int] | None]] = {
    ClientJob: {
        "source_code": ("x" * (MAX_SOURCE_BYTES + 1), MAX_SOURCE_BYTES),
        "code": (base64.b64encode(b"x" * (MAX_SOURCE_BYTES + 1)).decode(), MAX_SOURCE_BYTES),
        "files": ({f"{number}.h": "" for number in range(MAX_FILES + 1)}, MAX_FILES),
        "main": ("n" * (MAX_FILE_NAME_BYTES + 1), MAX_FILE_NAME_BYTES),
        "language": (LONG_NAME, MAX_NAME_CHARACTERS),
        "stage": (LONG_NAME, MAX_NAME_CHARACTERS),
        "include_dirs": (["x"] * (MAX_OPTIONS + 1), MAX_OPTIONS),
        "options": (["-Wall"] * (MAX_OPTIONS + 1), MAX_OPTIONS),
        "cache": None,
        "expect": ({"diagnostics": [{"message": "x" * 8000}] * 9}, MAX_EXPECT_BYTES),
    },
    ClientRequest: dict.fromkeys(
        ("compiler", "standard", "architecture", "os"), (LONG_NAME, MAX_NAME_CHARACTERS)
    ),
    ClientMatrix: dict.fromkeys(
        ("compilers", "standards", "targets"), (["*"] * (MAX_PATTERNS + 1), MAX_PATTERNS)
    ),
    ClientExpectation: {
        "verdict": (LONG_NAME, MAX_NAME_CHARACTERS),
        "diagnostics": ([{"line": 1}] * (MAX_EXPECTED_DIAGNOSTICS + 1), MAX_EXPECTED_DIAGNOSTICS),
    },
    ClientExpectedDiagnostic: {
        "severity": (LONG_NAME, MAX_NAME_CHARACTERS),
        **dict.fromkeys(("message", "code", "file"), (LONG_TEXT, MAX_EXPECTED_CHARACTERS)),
        **dict.fromkeys(("line", "column"), (MAX_POSITION + 1, MAX_POSITION)),
    },
}


def _around(model: type[ClientModel], field: str, value: Any) -> dict[str, Any]:
    """The field where it belongs in a request."""
    fields: dict[str, Any] = {field: value}
    if model is ClientExpectedDiagnostic:
        fields = {"diagnostics": [fields]}
    if model in (ClientExpectation, ClientExpectedDiagnostic):
        fields = {"expect": fields}
    return fields


def test_every_field_of_a_request_is_in_the_table() -> None:
    """A field that is added needs a bound: those of a request and of a matrix, and of `expect`."""
    inherited = set(ClientJob.model_fields)
    assert set(OVER[ClientJob]) == inherited
    for model in set(OVER) - {ClientJob}:
        assert set(OVER[model]) == set(model.model_fields) - (
            inherited if issubclass(model, ClientJob) else set()
        )


BOUNDED = [(model, name) for model, fields in OVER.items() for name, over in fields.items() if over]


@pytest.mark.parametrize(("model", "field"), BOUNDED)
def test_a_field_over_its_bound_is_an_error_that_names_both(model: type[ClientModel], field: str) -> None:
    """A 400 or 413 whose sentence has the bound, and the field unless it is about all of the source."""
    over = OVER[model][field]
    assert over is not None
    value, bound = over
    is_source = field in ("source_code", "code", "files")
    others = {} if is_source else {"source_code": "int x;"}
    body = _sent(**others, **_around(model, field, value))
    submit = _stored_by_matrix if model is ClientMatrix else _stored_by_compile
    with pytest.raises(RequestError) as caught:
        submit(body)
    assert str(bound) in caught.value.message
    assert is_source or f"{field}`" in caught.value.message


@pytest.mark.parametrize("field", ["options.0", "compilers.1", "standards.0", "targets.0"])
def test_an_element_of_a_list_has_a_bound(field: str) -> None:
    """Each option, and each name or glob of a matrix; the sentence names the element."""
    name, _, number = field.partition(".")
    bound = MAX_OPTION_CHARACTERS if name == "options" else MAX_NAME_CHARACTERS
    values = ["*"] * int(number) + ["-" + "W" * bound]
    with pytest.raises(RequestError) as caught:
        _stored_by_matrix(_sent(source_code="int x;", **{name: values}))
    assert f"`{field}` is too long: at most {bound} characters" in caught.value.message


def test_control_characters_are_bounded_however_they_are_sent() -> None:
    """JSON stores each in six characters; tabs and ends of lines do not count."""
    text = "\x00" * MAX_CONTROL_CHARACTERS + "\t\n\r\f" * 100_000
    for more, valid in (("", True), ("\x1f", False)):
        for sent in (
            {"source_code": text + more},
            {"code": base64.b64encode((text + more).encode()).decode()},
            {"files": {"main.cpp": text, "more.h": more}},
        ):
            if valid:
                assert _stored_by_compile(_sent(**sent))
            else:
                with pytest.raises(SourceTooLarge, match="control characters; at most 16384 are"):
                    _stored_by_compile(_sent(**sent))


def test_an_expected_text_may_be_as_long_as_a_diagnostics_message() -> None:
    """The two bounds are one, in two packages of which neither imports the other."""
    assert MAX_EXPECTED_CHARACTERS == MAX_MESSAGE_CHARACTERS
    assert _stored_by_compile(
        _sent(source_code="", expect={"diagnostics": [{"message": "x" * MAX_EXPECTED_CHARACTERS}]})
    )
