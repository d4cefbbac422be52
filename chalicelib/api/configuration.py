"""Configuration files that a request brings along: what the client's own tools would read from them.

A file counts when the language's compiler, or the tool that calls it in everybody's folder, reads it: for
TypeScript tsconfig.json, for Rust Cargo.toml. It is honoured or invalid, never ignored. What the request says
itself wins. All other files of that kind are only there to be read; package.json is one that tsc reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.api import cargo_manifest, tsconfig
from chalicelib.api.validation import invalid, quoted
from chalicelib.catalog import Language
from chalicelib.errors import InvalidRequest
from chalicelib.models import Environment

# The first rustc to which cargo says which configurations there are.
_CHECKS_CFG = (1, 80)
_RUSTUP = ("rust-toolchain.toml", "rust-toolchain")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What configuration files say in place of a request's fields; None where they say nothing."""

    standard: str | None = None
    main: str | None = None
    options: tuple[str, ...] = ()
    oldest_compiler: tuple[int, ...] = ()
    check_cfg: tuple[str, ...] = ()

    def options_for(self, environment: Environment) -> tuple[str, ...]:
        """The options for one compiler: some are for those that know them only."""
        checks = self.check_cfg if environment.version_key >= _CHECKS_CFG else ()
        return (*checks, *self.options)

    def problem_with(self, environment: Environment) -> InvalidRequest | None:
        """The error about a compiler that is older than they allow, or None."""
        if environment.version_key >= self.oldest_compiler:
            return None
        version = ".".join(map(str, self.oldest_compiler))
        return invalid(
            "files", f"{cargo_manifest.FILE}: it needs rustc {version}, and {environment.id} is older."
        )


def read_configuration(
    files: Mapping[str, str] | None, main: str | None, language: Language
) -> Configuration:
    """What the `files` of a request say. Raises `InvalidRequest` for what cannot be honoured."""
    files = files or {}
    if language.id == "typescript" and tsconfig.FILE in files:
        target = tsconfig.read_tsconfig(files[tsconfig.FILE])
        sources = [name for name in sorted(files) if language.is_source(name)]
        own = language.default_main in files or not sources
        return Configuration(_standard(target, language, tsconfig.FILE), None if own else sources[0])
    chosen_by_rustup = next((name for name in _RUSTUP if name in files), None)
    if language.id == "rust" and chosen_by_rustup:
        raise invalid(
            "files",
            f"{chosen_by_rustup} is read by rustup, which does not run: name a `compiler`, and leave it out.",
        )
    if language.id == "rust" and cargo_manifest.FILE in files:
        manifest = cargo_manifest.read_manifest(files)
        if main not in (None, manifest.main):
            raise invalid(
                "main", f"`main` is {quoted(main or '')}, but Cargo.toml builds {quoted(manifest.main)}."
            )
        edition = _standard(manifest.edition, language, cargo_manifest.FILE)
        return Configuration(
            edition, manifest.main, manifest.options, manifest.oldest_compiler, manifest.check_cfg
        )
    return Configuration()


def _standard(name: str, language: Language, file: str) -> str:
    standard = language.standard(name)
    if standard is None:
        raise invalid(
            "files", f"{file}: {quoted(name)} is not a standard of {language.name} that is known here."
        )
    return standard.id
