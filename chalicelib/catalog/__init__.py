"""The catalogue: languages, compilers, standards and options as data, shared by the API and the runner.

One TOML file per language here, one per family of compilers in ``families/``. The API uses it to
check requests; the runner uses it to find installed compilers and to build their commands. It never
looks at the machine and never runs anything.

To add a compiler version: one ``[[compilers]]`` entry in the language's file. To add a language: one
file; also a family file, if its compilers are driven in a way that no family has yet. See
docs/development.md for the places outside of this package.
"""

from chalicelib.catalog.catalog import Catalog
from chalicelib.catalog.command import (
    build_command,
    build_env,
    build_listing,
    circle_of,
    translation_units,
    why_objects_collide,
)
from chalicelib.catalog.header_search import folders_of
from chalicelib.catalog.loader import load_catalog, parse_catalog
from chalicelib.catalog.options import MAX_OPTION_CHARACTERS, MAX_OPTIONS
from chalicelib.catalog.schema import CompilerEntry, Family, Language, LimitMessage, Standard, version_key
from chalicelib.file_names import (
    MAX_FILE_NAME_BYTES,
    MAX_FILE_NAME_LEVELS,
    check_file_name,
    check_file_names,
)

__all__ = [
    "MAX_FILE_NAME_BYTES",
    "MAX_FILE_NAME_LEVELS",
    "MAX_OPTIONS",
    "MAX_OPTION_CHARACTERS",
    "Catalog",
    "CompilerEntry",
    "Family",
    "Language",
    "LimitMessage",
    "Standard",
    "build_command",
    "build_env",
    "build_listing",
    "check_file_name",
    "check_file_names",
    "circle_of",
    "folders_of",
    "load_catalog",
    "parse_catalog",
    "translation_units",
    "version_key",
    "why_objects_collide",
]
