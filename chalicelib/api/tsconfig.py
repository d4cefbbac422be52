"""What a request's tsconfig.json says, and whether tsc may read it.

`tsc -p .` reads the file itself, so nothing of it is translated. Options that change how the sources are
judged, or only what is written, are taken. What would read files from outside of the request, compile other
projects or change the form of the messages is invalid, and so is an option that is not known here: the
verdict would be about something else than what the client's own tsc does.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.api.validation import invalid, quoted
from chalicelib.errors import InvalidRequest

FILE = "tsconfig.json"
# What tsc has without a `target`, since version 6.
_DEFAULT_TARGET = "es2025"

_JUDGED = frozenset(
    """
    allowArbitraryExtensions allowImportingTsExtensions allowJs allowSyntheticDefaultImports
    allowUmdGlobalAccess allowUnreachableCode allowUnusedLabels alwaysStrict checkJs customConditions
    erasableSyntaxOnly esModuleInterop exactOptionalPropertyTypes experimentalDecorators
    forceConsistentCasingInFileNames isolatedDeclarations isolatedModules jsx jsxFactory jsxFragmentFactory
    jsxImportSource lib libReplacement maxNodeModuleJsDepth module moduleDetection moduleResolution
    moduleSuffixes noCheck noErrorTruncation noFallthroughCasesInSwitch noImplicitAny noImplicitOverride
    noImplicitReturns noImplicitThis noLib noPropertyAccessFromIndexSignature noResolve
    noUncheckedIndexedAccess noUncheckedSideEffectImports noUnusedLocals noUnusedParameters preserveSymlinks
    reactNamespace resolveJsonModule resolvePackageJsonExports resolvePackageJsonImports
    rewriteRelativeImportExtensions skipDefaultLibCheck skipLibCheck stableTypeOrdering strict
    strictBindCallApply strictBuiltinIteratorReturn strictFunctionTypes strictNullChecks
    strictPropertyInitialization target types useDefineForClassFields useUnknownInCatchVariables
    verbatimModuleSyntax
    """.split()  # noqa: SIM905 - easier to read than a list of as many lines
)
_WRITTEN = frozenset(
    """
    composite declaration declarationMap disableSizeLimit downlevelIteration emitBOM emitDeclarationOnly
    emitDecoratorMetadata importHelpers incremental inlineSourceMap inlineSources mapRoot newLine noEmit
    noEmitHelpers noEmitOnError preserveConstEnums preserveWatchOutput pretty removeComments sourceMap
    sourceRoot stripInternal
    """.split()  # noqa: SIM905 - easier to read than a list of as many lines
)
# Their values name files or folders, which must be in the folder of the request.
_PATHS = frozenset(
    {
        "baseUrl",
        "declarationDir",
        "outDir",
        "outFile",
        "paths",
        "rootDir",
        "rootDirs",
        "tsBuildInfoFile",
    }
)
_FORBIDDEN = {
    **dict.fromkeys(("extends",), "send the options themselves"),
    **dict.fromkeys(("references",), "a request is one project"),
    **dict.fromkeys(("typeRoots", "plugins"), "it loads what is not in the request"),
    **dict.fromkeys(
        (
            "diagnostics", "explainFiles", "extendedDiagnostics", "listEmittedFiles", "listFiles", "locale",
            "traceResolution",
        ),
        "it would change the form of the messages, which the service reads",
    ),
    **dict.fromkeys(("generateCpuProfile", "generateTrace"), "it writes files of its own"),
}  # fmt: skip

# A comment ends where a line ends for tsc: also at a CR alone, and at U+2028 and U+2029.
_STRING = r'"(?:[^"\\\n\r]|\\.)*"?'
_COMMENT = re.compile(rf"{_STRING}|//[^\n\r\u2028\u2029]*|/\*(?:[^*]|\*(?!/))*(?:\*/|\Z)")
_TRAILING_COMMA = re.compile(rf"{_STRING}|,\s*(?=[\]}}])")


def read_tsconfig(text: str) -> str:
    """The `target` of a tsconfig.json, or the one that tsc has without. Raises `InvalidRequest`."""
    config = _parsed(text)
    for name in ("extends", "references"):
        if config.get(name):
            raise _not_taken(f"`{name}`", name)
    options = config.get("compilerOptions", {})
    if not isinstance(options, dict):
        raise _wrong("its `compilerOptions` is not an object")
    for name, value in options.items():
        if name in _FORBIDDEN and value not in (False, None, [], ""):
            raise _not_taken(f"`compilerOptions.{name}`", name)
        if name not in _JUDGED | _WRITTEN | _PATHS | _FORBIDDEN.keys():
            raise _wrong(f"{quoted(name)} in `compilerOptions` is not an option that this service takes")
    named = {name: options[name] for name in _PATHS & options.keys()}
    named |= {name: config[name] for name in ("files", "include", "exclude") if name in config}
    for name, value in named.items():
        outside = next((path for path in _strings(value) if _leads_out(path)), None)
        if outside is not None:
            raise _wrong(f"`{name}` names {quoted(outside)}, which is not in the folder of the request")
    target = options.get("target")
    return target if isinstance(target, str) and target else _DEFAULT_TARGET


def _parsed(text: str) -> dict[str, Any]:
    """The object in the file: JSON with comments and trailing commas; an empty file is an empty object."""
    plain = _COMMENT.sub(lambda match: match[0] if match[0][0] == '"' else " ", text.removeprefix("\ufeff"))
    plain = _TRAILING_COMMA.sub(lambda match: match[0] if match[0][0] == '"' else " ", plain)
    if not plain.strip():
        return {}
    try:
        config = json.loads(plain, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise _wrong(f"line {error.lineno} is not JSON with comments") from None
    except (RecursionError, ValueError):
        raise _wrong("it cannot be read") from None
    if not isinstance(config, dict):
        raise _wrong("it is not an object")
    return config


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    config = dict(pairs)
    if len(config) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _wrong(f"{quoted(name)} is there twice")
    return config


def _strings(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _leads_out(path: str) -> bool:
    parts = path.removeprefix("${configDir}/").replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" != path or parts[0].endswith(":")


def _not_taken(what: str, name: str) -> InvalidRequest:
    return _wrong(f"{what} is not supported: {_FORBIDDEN[name]}")


def _wrong(what: str) -> InvalidRequest:
    return invalid("files", f"{FILE}: {what}.")
