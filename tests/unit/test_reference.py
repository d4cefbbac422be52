"""The generated parts of the documents are current, and every table that can be made is on a page."""

import pytest

from runner.sandbox import limits
from tools.reference import pages, tables
from tools.reference.pages import ROOT


def test_the_generated_parts_are_current() -> None:
    """What `make docs` would write is what the documents and .env.example hold."""
    assert [str(path.relative_to(ROOT)) for path in pages.stale()] == [], "run `make docs`"


def test_every_table_is_on_a_page() -> None:
    """A page names no table twice, and no table is made for nothing."""
    names = [name for page in pages.pages() for name in pages.names_in(page.read_text())]
    assert sorted(names) == sorted(pages.TABLES)


def test_only_the_generated_parts_of_a_page_change() -> None:
    """Text outside of the two lines stays as it is, and old rows between them go."""
    page = "before\n\n<!-- generated: exit codes -->\n| old | row |\n<!-- end of exit codes -->\n\nafter\n"
    filled = pages.filled(page)
    assert filled.startswith("before\n\n<!-- generated: exit codes -->\n")
    assert filled.endswith("<!-- end of exit codes -->\n\nafter\n")
    assert "old" not in filled
    assert tables.exit_codes() in filled
    assert pages.filled(filled) == filled


def test_a_name_without_a_table_is_noticed() -> None:
    """A page that asks for a table that is not made does not stay empty in silence."""
    with pytest.raises(KeyError, match="no such table"):
        pages.filled("<!-- generated: no such table -->\n<!-- end of no such table -->")


def test_a_constant_is_found_wherever_it_is() -> None:
    """A constant that moves to another module keeps its row; one that is gone is noticed."""
    assert tables.value_of("MAX_CELLS") == 64
    with pytest.raises(LookupError, match="NO_SUCH_CONSTANT is defined in 0 modules"):
        tables.value_of("NO_SUCH_CONSTANT")


def test_a_row_without_words_is_noticed() -> None:
    """A constant without a comment above it cannot be explained: the generation says where it is missing."""
    with pytest.raises(LookupError, match="NO_SUCH_CONSTANT"):
        tables.comment_above(limits, "NO_SUCH_CONSTANT = ")


@pytest.mark.parametrize("path", [page for page in pages.pages() if "<!-- generated" in page.read_text()])
def test_generated_parts_are_closed(path: object) -> None:
    """Each beginning has its end: a part with a misspelt end would never be written."""
    text = (ROOT / str(path)).read_text()
    assert len(pages.names_in(text)) == text.count("<!-- generated: ") == text.count("<!-- end of ")
