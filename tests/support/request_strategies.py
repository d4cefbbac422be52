"""Hypothesis strategies for requests: any JSON, almost valid ones, valid ones, canonical ones."""

import base64
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from chalicelib.models import CompileRequest, Stage

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
# Almost valid requests: the right names with any values, so that every branch is reached.
near_values: dict[str, st.SearchStrategy[Any]] = {
    "source_code": st.text(),
    "code": st.binary().map(lambda raw: base64.b64encode(raw).decode()) | st.text(),
    "files": st.dictionaries(
        st.sampled_from(["main.cpp", "a.hpp", "../x.cpp", "a", "a/b.c"]) | st.text(), st.text()
    ),
    "main": st.sampled_from(["main.cpp", "a.hpp"]) | st.text(),
    "language": st.sampled_from(["cpp", "c", "C++", "rust"]) | st.text(),
    "compiler": st.sampled_from(["gcc-12", "gcc", "clang-16", "msvc"]) | st.text(),
    "standard": st.sampled_from(["c++17", "c++20", "c17", "gnu++17"]) | st.text(),
    "architecture": st.sampled_from(["x86_64", "amd64", "arm64"]) | st.text(),
    "os": st.sampled_from(["linux", "windows"]) | st.text(),
    "stage": st.sampled_from(["syntax", "compile", "link", "run"]) | st.text(),
    "options": st.lists(st.sampled_from(["-Wall", "-O2", "@x", "-o/x"]) | st.text(), max_size=4),
    "cache": st.booleans(),
    "expect": st.fixed_dictionaries(
        {},
        optional={
            "verdict": st.sampled_from(["compiles", "rejected", "no"]) | json_values,
            "diagnostics": st.lists(
                st.fixed_dictionaries(
                    {}, optional={"line": st.integers(), "severity": st.text(), "message": json_values}
                ),
                max_size=3,
            )
            | json_values,
        },
    ),
}
near_requests = st.fixed_dictionaries(
    {}, optional={name: values | json_values for name, values in near_values.items()}
)

file_names = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True).map(lambda stem: f"{stem}.cpp")
# Everything that JSON in UTF-8 can contain: all of Unicode except lone surrogates.
sources = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
valid_requests = st.fixed_dictionaries(
    {
        "files": st.dictionaries(file_names, sources, min_size=1, max_size=5),
        "language": st.sampled_from(["cpp", "c++", "CPP"]),
    },
    optional={
        "compiler": st.sampled_from(["gcc-12", "gcc", "clang-16", "clang"]),
        "standard": st.sampled_from(["c++17", "c++20", "C++2a"]),
        "architecture": st.sampled_from(["x86_64", "amd64", "X64"]),
        "os": st.sampled_from(["linux", "Linux"]),
        "stage": st.sampled_from(["syntax", "compile", "link"]),
        "options": st.lists(st.sampled_from(["-Wall", "-O2", "-DX=1", "-fno-rtti"]), max_size=3),
        "cache": st.booleans(),
    },
)
canonical_requests = st.builds(
    CompileRequest,
    files=st.dictionaries(file_names, sources, min_size=1, max_size=4),
    main=file_names,
    language=st.sampled_from(["c", "cpp"]),
    compiler=st.sampled_from(["gcc-12", "clang-16"]),
    standard=st.sampled_from(["c++17", "c17"]),
    architecture=st.sampled_from(["x86_64", "arm64"]),
    os=st.sampled_from(["linux", "windows"]),
    stage=st.sampled_from(Stage),
    options=st.lists(st.sampled_from(["-Wall", "-O2"]), max_size=3).map(tuple),
    cache=st.booleans(),
)

# No deadline for a single example: how busy the machine is does not matter.
some_examples = settings(deadline=None)
many_examples = settings(deadline=None, max_examples=400)
