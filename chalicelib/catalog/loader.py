"""Reads the TOML files of this package, once, and nothing else on the machine."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from chalicelib.catalog.catalog import Catalog
from chalicelib.catalog.schema import Family, Language


def parse_catalog(languages: Mapping[str, str], families: Mapping[str, str]) -> Catalog:
    """A catalogue from TOML texts by file name. Raises a `ValueError` that names the file if one is wrong."""

    def table(name: str, text: str) -> dict[str, object]:
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"catalogue file {name}: {error}") from error

    return Catalog(
        languages=[Language.model_validate(table(name, text)) for name, text in sorted(languages.items())],
        families=[Family.model_validate(table(name, text)) for name, text in sorted(families.items())],
    )


@dataclass(frozen=True, slots=True)
class CatalogTexts:
    """The package's TOML files by name."""

    languages: Mapping[str, str]
    families: Mapping[str, str]


def catalog_texts() -> CatalogTexts:
    """The texts of all catalogue files of this package."""
    folder = files("chalicelib.catalog")
    return CatalogTexts(_texts(folder), _texts(folder / "families"))


@cache
def load_catalog() -> Catalog:
    """The catalogue of this package: read on the first call and shared afterwards."""
    texts = catalog_texts()
    return parse_catalog(texts.languages, texts.families)


def _texts(folder: Traversable) -> dict[str, str]:
    tables = [item for item in folder.iterdir() if item.name.endswith(".toml")]
    return {item.name: item.read_text(encoding="utf-8") for item in tables}
