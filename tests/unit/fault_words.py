"""What compilers were seen to print when a system call failed, by family: data for test_verdict.py.

Found by failing their system calls one after the other (`strace -e inject=…`): files that cannot be opened,
read or written, programs and threads that cannot be started, and memory that is not there.
"""

from chalicelib.models import Reason

_GCC = [
    (Reason.MEMORY, "cc1: fatal error: main.c: Cannot allocate memory\ncompilation terminated."),
    (
        Reason.MEMORY,
        "gcc: error while loading shared libraries: a.so: failed to map segment from shared object",
    ),
    (
        Reason.MEMORY,
        "/usr/bin/ld: a.out: final close failed: Cannot allocate memory\n"
        "collect2: error: ld returned 1 exit status",
    ),
    (
        Reason.MEMORY,
        "/tmp/a.s: Assembler messages:\n"
        "/tmp/a.s: Fatal error: can't write 11 bytes to section .text of main.o: 'Cannot allocate memory'",
    ),
    (Reason.PROCESSES, "gcc-12: fatal error: cannot execute ‘as’: execvp: Resource temporarily unavailable"),
    (Reason.DISK, "main.c:2:1: fatal error: error closing /tmp/a.s: Disk quota exceeded"),
    (
        Reason.DISK,
        "/usr/bin/ld: final link failed: Disk quota exceeded\ncollect2: error: ld returned 1 exit status",
    ),
    (
        Reason.INFRASTRUCTURE,
        'main.c:2:10: fatal error: b.h: Input/output error\n    2 | #include "b.h"\n      |          ^~~~~',
    ),
    (Reason.INFRASTRUCTURE, "cc1: error: main.c: Input/output error\n(null):0: confused by earlier errors"),
    (Reason.INFRASTRUCTURE, "Assembler messages:\nFatal error: can't create main.o: Input/output error"),
    (
        Reason.INFRASTRUCTURE,
        "/usr/bin/ld: /lib/x86_64-linux-gnu/libc.so.6: error adding symbols: Input/output error\n"
        "collect2: error: ld returned 1 exit status",
    ),
    (Reason.COMPILER_CRASH, "gcc-12: fatal error: cannot execute ‘cc1’: execvp: No such file or directory"),
    (Reason.COMPILER_CRASH, ""),
]

_CLANG = [
    (
        Reason.PROCESSES,
        "clang-19: error: unable to execute command: posix_spawn failed: Resource temporarily unavailable\n"
        "clang-19: error: linker command failed with exit code 1 (use -v to see invocation)",
    ),
    (
        Reason.MEMORY,
        "clang-19: error: unable to execute command: posix_spawn failed: Cannot allocate memory\n"
        "clang-19: error: linker command failed with exit code 1 (use -v to see invocation)",
    ),
    (Reason.MEMORY, "error: error reading 'main.c': Cannot allocate memory\n1 error generated."),
    (Reason.MEMORY, "clang-19: error: unable to make temporary file: Cannot allocate memory"),
    (
        Reason.INFRASTRUCTURE,
        "main.c:2:10: fatal error: cannot open file './b.h': Too many open files\n"
        '    2 | #include "b.h"\n      |          ^\n1 error generated.',
    ),
    (Reason.INFRASTRUCTURE, "fatal error: cannot open file 'main.c': Input/output error\n1 error generated."),
    (Reason.INFRASTRUCTURE, "clang-19: error: unable to make temporary file: Too many open files in system"),
    (
        Reason.INFRASTRUCTURE,
        "clang-19: error while loading shared libraries: libz.so.1: cannot open shared object file: Error 23",
    ),
    (
        Reason.INFRASTRUCTURE,
        "/usr/bin/ld: final link failed: Input/output error\n"
        "clang-19: error: linker command failed with exit code 1 (use -v to see invocation)",
    ),
    (
        Reason.COMPILER_CRASH,
        "clang-19: error: no such file or directory: 'main.c'\nclang-19: error: no input files",
    ),
    (Reason.COMPILER_CRASH, "clang-19: error: unable to make temporary file: Permission denied"),
    (Reason.COMPILER_CRASH, ""),
]

_GFORTRAN = [
    (Reason.INFRASTRUCTURE, "f951: Fatal Error: Cannot open file ‘main.f90’\ncompilation terminated."),
    (
        Reason.INFRASTRUCTURE,
        "f951: Fatal Error: Cannot open file ‘m.f90’\ncompilation terminated.\nmain.f90:2:5:\n\n"
        "    2 | use m\n      |     1\n"
        "Fatal Error: Cannot open module file ‘m.mod’ for reading at (1): No such file or directory",
    ),
    (Reason.COMPILER_CRASH, "f951: Fatal Error: Cannot rename module file ‘m.mod0’: Permission denied"),
]

_GO = [
    (Reason.INFRASTRUCTURE, "read /work/main.go: read /work/main.go: input/output error"),
    (Reason.INFRASTRUCTURE, "# x\n./main.go:4:1: I/O error: read ./main.go: input/output error"),
    (
        Reason.INFRASTRUCTURE,
        "lstat /work/b: input/output error\npattern ./...: lstat /work/b: input/output error",
    ),
    (
        Reason.INFRASTRUCTURE,
        "go: go.mod file not found in current directory or any parent directory; see 'go help modules'",
    ),
    (Reason.INFRASTRUCTURE, "package x: cannot find package in:\n\t/usr/lib/go-1.19/src/runtime"),
    (Reason.INFRASTRUCTURE, "pattern ./...: readdirent /work/b: input/output error"),
    (Reason.INFRASTRUCTURE, "main.go:2:8: open /work/b/b.go: too many open files"),
    (Reason.INFRASTRUCTURE, "package x: open /usr/lib/go-1.19/src/runtime: too many open files in system"),
    (Reason.MEMORY, "main.go:2:8: lstat /work/b/b.go: cannot allocate memory"),
    (Reason.MEMORY, "go: open /work/go.mod: cannot allocate memory"),
]

_JAVAC = [
    (
        Reason.INFRASTRUCTURE,
        "error: error reading Main.java; /work/Main.java: Too many open files in system\n1 error",
    ),
    (Reason.INFRASTRUCTURE, "error: error reading Main.java; Input/output error\n1 error"),
    (Reason.INFRASTRUCTURE, "error: release version 17 not supported\nUsage: javac <options> <source files>"),
    (Reason.INFRASTRUCTURE, "error: file not found: b/B.java\nUsage: javac <options> <source files>"),
    (Reason.MEMORY, "error: error reading Main.java; /work/Main.java: Cannot allocate memory\n1 error"),
]

_TSC = [
    (
        Reason.INFRASTRUCTURE,
        "error TS6053: File 'b.ts' not found.\n  The file is in the program because:\n"
        "    Root file specified for compilation",
    ),
    (
        Reason.INFRASTRUCTURE,
        "error TS5033: Could not write file '/work/.out/a.js': open /work/.out/a.js: input/output error.",
    ),
    (
        Reason.MEMORY,
        "error TS5033: Could not write file '/work/.out/a.js': open /work/.out/a.js: cannot allocate memory.",
    ),
]

_ZIG = [
    (
        Reason.INFRASTRUCTURE,
        "b.zig:1:1: error: unable to load 'b.zig': InputOutput\nmain.zig:1:19: note: file imported here",
    ),
]

_ZIG_CC = [
    (Reason.DISK, "main.c:1:1: error: NoSpaceLeft"),
    (Reason.MEMORY, "main.c:1:1: error: SystemResources"),
    (Reason.MEMORY, "main.c:2:10: fatal error: cannot open file './b.h': Out of memory"),
    (Reason.INFRASTRUCTURE, "main.c:1:1: error: CacheCheckFailed"),
    (Reason.INFRASTRUCTURE, "main.c:2:10: fatal error: cannot open file './b.h': I/O error"),
    (Reason.COMPILER_CRASH, "main.c:1:1: error: Unexpected"),
]

SEEN = [
    (family, *case)
    for family, cases in {
        "gcc": _GCC,
        "clang": _CLANG,
        "gfortran": _GFORTRAN,
        "go": _GO,
        "javac": _JAVAC,
        "tsc": _TSC,
        "zig": _ZIG,
        "zig-cc": _ZIG_CC,
    }.items()
    for case in cases
]
