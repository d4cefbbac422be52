"""What the compilers' drivers take by a file's name, from their own documents, and what becomes of it here.

Written down a second time, as the catalogue must not be tested by its own lists: gcc's manual ("Options
Controlling the Kind of Output") and the lang-specs.h of its languages, clang's `lookupTypeForExtension`,
zig's `--help`, go/build's `fileListForExt`, the manual pages of javac and tsc, and compileall.
"""

from typing import Literal

Kind = Literal["compiled", "invalid", "read"]

_C_FAMILY_INVALID = (
    # Modules of C++, Objective-C, and what clang compiles for other machines or from its own formats.
    ".cppm .ixx .ccm .cxxm .c++m .mpp .iim .iih .m .mm .M .mi .mii "
    ".cu .cui .cl .clcpp .hip .hipi .hlsl .ll .bc "
    # Precompiled files, other languages of gcc and clang, and what zig gives to a resource compiler.
    ".gch .pch .pcm .ast .asm .adb .ads .d .di .dd .mod .m2i .a68 .cob .cbl .COB .CBL .rc "
    # Languages of this service.
    ".f .for .ftn .F .FOR .fpp .FPP .FTN .f90 .f95 .f03 .f08 .F90 .F95 .F03 .F08 .go .rs .zig .java .py .ts"
)
_HEADERS = ".h .hh .H .hp .hxx .hpp .HPP .h++ .tcc .inc .def .inl .ipp"
_DATA = ".txt .json .md .csv .bin .html .toml .o .a .so"

# By language: what a source or another file of a request is, by the end of its name.
TAKEN: dict[str, dict[Kind, str]] = {
    "c": {
        "compiled": ".c .C .i .s .S .sx",
        "invalid": f".cc .cp .cxx .cpp .CPP .c++ .CC .CXX .C++ .ii {_C_FAMILY_INVALID}",
        "read": f"{_HEADERS} {_DATA}",
    },
    "cpp": {
        "compiled": ".cc .cp .cxx .cpp .CPP .c++ .C .CC .CXX .C++ .c .i .ii .s .S .sx",
        "invalid": f".Cpp .cPP .Cc .cXX {_C_FAMILY_INVALID}",
        "read": f"{_HEADERS} {_DATA}",
    },
    "fortran": {
        "compiled": ".f .for .ftn .F .FOR .fpp .FPP .FTN .f90 .f95 .f03 .f08 .F90 .F95 .F03 .F08 .s .S .sx",
        "invalid": (
            ".For .Ftn .fPP .c .C .i .ii .cc .cpp .m .mm .mi .mii .mod .smod .adb .ads .d "
            ".go .rs .zig .java .py .ts"
        ),
        "read": f".inc .h .fi .nml .hpp {_DATA}",
    },
    "go": {
        "compiled": ".go",
        "invalid": (
            ".Go .GO .c .cc .cpp .cxx .m .f .F .for .f90 .S .sx .swig .swigcxx .syso .rs .zig .java .py .ts"
        ),
        "read": f".s .h .hh .hpp .hxx .mod .sum .tmpl {_DATA}",
    },
    "java": {
        "compiled": ".java",
        "invalid": ".Java .JAVA .c .cpp .f90 .go .rs .zig .py .ts",
        "read": f".properties .xml .jar .class .kt {_DATA}",
    },
    "typescript": {
        "compiled": ".ts .tsx .mts .cts .d.ts .d.mts .d.cts",
        "invalid": ".Ts .TSX .c .cpp .f90 .go .rs .zig .java .py",
        # Without `allowJs`, which is off, tsc reads no JavaScript.
        "read": f".js .jsx .mjs .cjs .css .svg {_DATA}",
    },
    "python": {
        "compiled": ".py",
        "invalid": ".pyw .PY .Py .c .cpp .f90 .go .rs .zig .java .ts",
        "read": f".pyi .pyx .ipynb .cfg {_DATA}",
    },
    "rust": {
        # rustc and zig read the other files themselves: with `mod`, `include!` or `@import`, under any name.
        "compiled": ".rs",
        "invalid": ".c .cpp .f90 .go .zig .java .py .ts",
        "read": f".RS .in .s .S .h {_DATA}",
    },
    "zig": {
        "compiled": ".zig",
        "invalid": ".c .cpp .f90 .go .rs .java .py .ts",
        "read": f".ZIG .zon .s .S .h {_DATA}",
    },
}


def extensions(language: str, kind: Kind) -> list[str]:
    """The ends of names that are of that kind in that language."""
    return TAKEN[language][kind].split()
