"""Which compiler options a user may give."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.catalog import MAX_OPTION_CHARACTERS, MAX_OPTIONS, load_catalog

_FAMILIES = sorted(load_catalog().families)
# Those that have the options of gcc and clang.
_GNU = ["clang", "gcc", "zig-cc"]


def _words(text: str) -> list[str]:
    return text.split()


ALLOWED = _words("""
    -Wall -Wextra -Werror -Werror=return-type -Wno-unused -Wformat=2 -Wno-error=deprecated-declarations
    -W#warnings -Wc++20-extensions -w -pedantic -pedantic-errors
    -O -O0 -O1 -O2 -O3 -Os -Og -Ofast -g -g0 -g3 -ggdb -gdwarf-4
    -DNAME -DNAME=1 -DNAME= -DADD(a,b)=a+b -DTEXT="a;b|c$(d)/e" -D_GNU_SOURCE -UNDEBUG
    -fno-exceptions -fexceptions -fno-rtti -fsigned-char -funsigned-char -fPIC -fpie -fwrapv
    -fno-builtin-printf -ffreestanding -fsanitize=address,undefined -ftemplate-depth=50
    -fconstexpr-depth=1000 -fvisibility=hidden -fopenmp -fno-char8_t
    -pipe -trigraphs -falign-functions=32 -ggdb3
    -finput-charset=UTF-8 -fexec-charset=UTF-8 -masm=intel -masm=att -mabi=sysv -Winvalid-pch
    -I. -iquote. -isystem. -idirafter.
    -march=x86-64-v3 -mtune=generic -mavx2 -mno-avx -mavx512f -mno-red-zone
    -pthread -static -shared -nostdlib -nostdinc++ -lm -lpthread
""")

ALLOWED_BY_ONE = {
    "gcc": [
        "-fpermissive",
        "-fmax-errors=5",
        "-fanalyzer",
        "-fconcepts",
        "-static-libstdc++",
        "-fconcepts-diagnostics-depth=3",
        "-ftrack-macro-expansion=0",
        "-fno-ipa-sra",
        "-funroll-all-loops",
        "-fno-tree-vrp",
    ],
    "clang": [
        "-Weverything",
        "-ferror-limit=0",
        "-fms-extensions",
        "-fconstexpr-steps=100",
        "-stdlib=libstdc++",
    ],
    "zig-cc": ["-Weverything", "-fms-extensions"],
    "gfortran": ["-Wall", "-Wno-unused", "-O2", "-ffree-form", "-fopenmp", "-DNAME=1", "-lm"],
    "go": ["-tags=integration,linux", "-tags=x"],
    "javac": ["-Xlint", "-Xlint:unchecked,-serial", "-Werror", "-parameters", "--enable-preview"],
    "rustc": ["-Dwarnings", "-Wunused-variables", "-Aclippy::all", "-O", "-Copt-level=3", "--cfg=feature"],
    "tsc": ["--strict", "--noUnusedLocals", "--noImplicitReturns", "--experimentalDecorators"],
    "zig": ["-OReleaseSafe", "-fno-strip", "-mcpu=baseline"],
}

# Options of other families that read, write, run or load something, or change messages.
_FORBIDDEN_BY_ONE = {
    "gfortran": """
        -J/tmp -I/etc -fintrinsic-modules-path=/x -Wl,-T,x -std=f95 -c -B/tmp -fdump-parse-tree
    """,
    "go": """
        -toolexec=sh -gcflags=-x -ldflags=-x -overlay=/x -modfile=/x -C/etc -exec=sh -mod=mod -o=x -n -race
    """,
    "javac": """
        -J-Xmx9g -proc:full -processor=X -Akey=v -Xplugin:x -cp=/x --module-path=/x -d=/x -sourcepath=/
    """,
    "python": "-m -c -O -W -X --help -I -s",
    "rustc": """
        -Whelp -Ahelp -Dhelp -Fhelp -Chelp
        -L/x --extern=a=/x --emit=link -o=x -Clinker=sh -Clink-arg=x -Zx --sysroot=/x --edition=2021 --json=x
    """,
    "tsc": """
        --project=/x -p --outDir=/x --typeRoots=/x --pretty --plugins=x --watch --baseUrl=/x --rootDirs=/
    """,
    "zig": """
        -I/etc -L/x -target=x --libc=/x -femit-bin=/x --global-cache-dir=/x -lc --verbose-link -cflags
        -mcpu=native
    """,
}

# Options that read, write, run or load something; that would fake a success; that take the next argument.
_FORBIDDEN = _words("""
    -o -ooutput -o/etc/passwd --output=x -save-temps -save-temps=obj -MD -MMD -MF -MFdeps -M -MJ -dA -dumpbase
    -fdump-tree-all -fdump-rtl-all=/tmp/x -aux-info -gsplit-dwarf -fstack-usage -fprofile-arcs
    -fprofile-generate=/x -fprofile-use=/etc/passwd -ftest-coverage --coverage -fopt-info-all=/tmp/x
    -ftime-trace=/tmp/x
    -fplugin=/tmp/evil.so -fplugin-arg-x-y=z -wrapper -wrapper,sh,-c -specs=/tmp/specs --specs=x -B/tmp -B
    -fuse-ld=lld -flto -flto-partition=none -fmodules-ts -fmodules -fmodule-mapper=|sh -fmodule-file=x
    -Xclang -Xlinker -Xassembler -Xpreprocessor -mllvm -T/tmp/script -cc1 -cc1as
    -Wl,-T,script -Wl -Wa,-a=/etc/x -Wp,-MD,/tmp/x -Wa -Wp -z -zexecstack -u -e
    -I -I/etc -I.. -L/tmp -L -include -include/etc/passwd -imacros -isystem -iquote -idirafter -isysroot
    -iprefix --sysroot=/tmp --include=x -F/tmp -lfoo -l -l:libx.a -lmx -rpath
    -frandom-seed=1 -ffile-prefix-map=a=b -fdebug-prefix-map=a=b -fworking-directory
    -fdiagnostics-format=json -fdiagnostics-color=always -fno-diagnostics-show-option -fmessage-length=20
    -fno-show-column -fdiagnostics-parseable-fixits
    -std=c++20 -std --std=c++20 -ansi -x -xc -xassembler -E -S -c -fsyntax-only -r -m32 -m64 -mx32
    -march=native -mcpu=native -mcpu=native+nofp --target=arm -target -b -V
    -v -### --version -version --help --help=common --target-help -dumpversion -print-search-dirs
    -print-file-name=x -Q -ftime-report -mcpu=help -mtune=help -march=help -stdlib=libc++
    -D -U -m -f - -- -D= -D1=2 -D-x -U-x -D(x)=1 --define-macro=X -A -G
    -Wno-x,-y -foo -fno-no-rtti -fno-such-feature @file main.cpp /etc/passwd file
""")

_FORBIDDEN_TEXTS = [
    "",
    " ",
    "-Wall -o x",
    " -Wall",
    "-Wall\n",
    "-DX=\0",
    "-DX=a\nb",
    "-DX=\x1b[0m",
    "-DX=\ud800",
]


_FORBIDDEN_EVERYWHERE = ["@file", "-", "--", "-o"]


@pytest.mark.parametrize("family", _GNU)
@pytest.mark.parametrize("option", ALLOWED)
def test_options_that_only_change_the_judgement_are_allowed(family: str, option: str) -> None:
    """Warnings, optimisation, macros, language features and instruction sets pass."""
    assert load_catalog().why_forbidden(family, option) is None


@pytest.mark.parametrize(
    ("family", "option"),
    [(family, option) for family, options in ALLOWED_BY_ONE.items() for option in options],
)
def test_options_that_one_family_has_are_allowed_there(family: str, option: str) -> None:
    """A family's own options pass for it."""
    assert load_catalog().why_forbidden(family, option) is None


@pytest.mark.parametrize(
    ("family", "option"),
    [
        *((family, option) for family in _GNU for option in _FORBIDDEN),
        *((family, option) for family, options in _FORBIDDEN_BY_ONE.items() for option in _words(options)),
        *(
            (family, option)
            for family in _FAMILIES
            for option in (*_FORBIDDEN_TEXTS, "@file", "-", "--", "-o")
        ),
    ],
)
def test_options_that_do_anything_else_are_forbidden_with_a_sentence(family: str, option: str) -> None:
    """What touches files, runs programs, ends early or is not an option does not pass."""
    reason = load_catalog().why_forbidden(family, option)
    assert reason is not None
    assert re.fullmatch(r"[A-Z'\"].{20,}\.", reason), reason


def test_the_reason_says_what_to_use_instead() -> None:
    """If the service has another way, the sentence names it."""
    catalog = load_catalog()
    for family in _GNU:
        assert "`standard`" in str(catalog.why_forbidden(family, "-std=c++20"))
        assert "`stage`" in str(catalog.why_forbidden(family, "-c"))
        assert "`architecture`" in str(catalog.why_forbidden(family, "-m32"))
        assert "`files`" in str(catalog.why_forbidden(family, "main.cpp"))


def test_several_options_in_one_are_told_apart() -> None:
    """A whole command line in one option is detected; the value of a macro may contain such words."""
    catalog = load_catalog()
    for option in (
        "-O2 -Wall",
        "-Wall --x",
        "-DA=1 -DB=2",
        "-DA=1\u00a0-O2",
        "-DA=1 -march=native",
        "-DA -I.",
    ):
        assert "give each one as its own element" in str(catalog.why_forbidden("gcc", option))
    for option in ("-DX=1 -2", '-DX="see -Wall"', "-DX=(a -O2)", "-DX=a - b"):
        assert catalog.why_forbidden("gcc", option) is None


def test_an_option_has_a_longest_length() -> None:
    """The longest option passes and one character more does not."""
    longest = "-DX=" + "1" * (MAX_OPTION_CHARACTERS - 4)
    assert load_catalog().why_forbidden("gcc", longest) is None
    assert load_catalog().why_forbidden("gcc", longest + "1") is not None
    assert MAX_OPTIONS == 32


def test_no_allowed_option_names_a_path() -> None:
    """Outside a macro's value, no allowed option holds a slash or an at sign, so none can name a file."""
    catalog = load_catalog()
    for family in _FAMILIES:
        for option in (ALLOWED if family in _GNU else []) + ALLOWED_BY_ONE.get(family, []):
            if option.startswith("-D"):
                continue
            for part in ("/etc/passwd", "=/etc/passwd", ",/etc/passwd", "@x", "=@x"):
                assert catalog.why_forbidden(family, option + part) is not None, option + part


@settings(deadline=None)  # a busy machine is not a failure
@given(st.text(max_size=40), st.sampled_from(_FAMILIES))
def test_any_text_gets_an_answer(text: str, family: str) -> None:
    """No text makes the check fail, and what passes starts with a dash and has no control character."""
    for option in (text, "-" + text):
        if load_catalog().why_forbidden(family, option) is None:
            assert option.startswith("-")
            assert not any(ord(character) < 32 for character in option)


@settings(deadline=None)  # a busy machine is not a failure
@given(
    st.from_regex(r"-(?:W|f|m|O|g|l|stdlib=)[A-Za-z0-9=,.+_/@:-]{0,30}", fullmatch=True),
    st.sampled_from(_GNU),
)
def test_what_passes_is_whole_and_names_no_file(option: str, family: str) -> None:
    """Options made from an attacker's alphabet pass only without a slash, an at sign or a linker's comma."""
    if load_catalog().why_forbidden(family, option) is None:
        assert "/" not in option
        assert "@" not in option
        assert not re.match(r"-(?:W[lap](?:,|$)|X|mllvm|fplugin|fdump|fprofile)", option)
