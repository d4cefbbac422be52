"""What compilers were seen to print for a limit, a crash and an error, by family: data for test_verdict.py.

To add one: the words as a real compiler printed them, and the reason that they must be given.
"""

from chalicelib.models import Reason

_GCC = [
    (Reason.MEMORY, "cc1plus: out of memory allocating 65536 bytes after a total of 17354752 bytes"),
    (Reason.MEMORY, "cc1: out of memory allocating 4064 bytes"),
    (Reason.MEMORY, "virtual memory exhausted: Cannot allocate memory"),
    (Reason.MEMORY, "g++-12: fatal error: Killed signal terminated program cc1plus\ncompilation terminated."),
    (Reason.MEMORY, "collect2: fatal error: ld terminated with signal 9 [Killed]\ncompilation terminated."),
    (
        Reason.PROCESSES,
        "g++-12: fatal error: cannot execute ‘/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus’: "
        "vfork: Resource temporarily unavailable\ncompilation terminated.",
    ),
    (Reason.PROCESSES, "collect2: fatal error: vfork: Resource temporarily unavailable"),
    (
        Reason.PROCESSES,
        "gcc-14: fatal error: cannot execute ‘/usr/libexec/gcc/x86_64-linux-gnu/14/cc1’: "
        "posix_spawn: Resource temporarily unavailable\ncompilation terminated.",
    ),
    (
        Reason.PROCESSES,
        "gcc-14: fatal error: cannot execute ‘as’: posix_spawnp: Resource temporarily unavailable",
    ),
    (Reason.MEMORY, "gcc-14: fatal error: cannot execute ‘as’: posix_spawnp: Cannot allocate memory"),
    (
        Reason.DISK,
        "big.cpp:1502:12: fatal error: error writing to /tmp/ccDuWn1x.s: No space left on device\n"
        " 1502 | int main(){}\n      |            ^\ncompilation terminated.",
    ),
    (
        Reason.DISK,
        "/tmp/cc0a5FlH.s: Assembler messages:\n"
        "/tmp/cc0a5FlH.s: Fatal error: can't write 3885 bytes to section .text of big.o: "
        "'No space left on device'\n"
        "/tmp/cc0a5FlH.s: Fatal error: big.o: No such file or directory",
    ),
    (
        Reason.DISK,
        "/usr/bin/ld: final link failed: No space left on device\ncollect2: error: ld returned 1 exit status",
    ),
    (
        Reason.DISK,
        "g++-12: internal compiler error: File size limit exceeded signal terminated program cc1plus\n"
        "Please submit a full bug report, with preprocessed source (by using -freport-bug).",
    ),
    (
        Reason.TIMEOUT,
        "g++-12: internal compiler error: CPU time limit exceeded signal terminated program cc1plus",
    ),
    (Reason.COMPILER_CRASH, "big.cpp:1185:51: internal compiler error: Aborted\n 1185 | int f();"),
    (Reason.COMPILER_CRASH, "main.c:3: internal compiler error: in foo, at bar.c:12"),
    (Reason.COMPILER_CRASH, "gcc: internal compiler error: Segmentation fault signal terminated program cc1"),
    (Reason.COMPILER_CRASH, "gcc: fatal error: Terminated signal terminated program cc1"),
    (
        Reason.COMPILER_CRASH,
        "/tmp/ccl8jY71.s: Internal error (Segmentation fault).\nPlease report this bug.",
    ),
    (
        Reason.INFRASTRUCTURE,
        "cc1plus: fatal error: /usr/include/c++/12/tbb/tbb.h: Too many open files\ncompilation terminated.",
    ),
    (
        Reason.INFRASTRUCTURE,
        "/usr/bin/ld: cannot find -lstdc++: Too many open files\n"
        "/usr/bin/ld: cannot find -lm: Too many open files\ncollect2: error: ld returned 1 exit status",
    ),
    (
        Reason.INFRASTRUCTURE,
        "cc1plus: warning: ‘-fsanitize=hwaddress’ is not supported for this target\n"
        "/usr/bin/ld: cannot find -lhwasan: No such file or directory\n"
        "collect2: error: ld returned 1 exit status",
    ),
]

_CLANG = [
    (Reason.MEMORY, "LLVM ERROR: out of memory\nAllocation failed\nPLEASE submit a bug report to https://a"),
    (
        Reason.MEMORY,
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
    ),
    (
        Reason.MEMORY,
        "clang: error: unable to execute command: Killed\n"
        "clang: error: clang frontend command failed due to signal (use -v to see invocation)",
    ),
    (
        Reason.PROCESSES,
        "clang++-19: error: unable to execute command: posix_spawn failed: Resource temporarily unavailable",
    ),
    (Reason.DISK, "fatal error: error in backend: IO failure on output stream: No space left on device"),
    (
        Reason.DISK,
        "error: unable to open output file 'main.o': 'No space left on device'\n1 error generated.",
    ),
    (
        Reason.DISK,
        "/usr/bin/ld: final link failed: No space left on device\n"
        "clang: error: linker command failed with exit code 1 (use -v to see invocation)",
    ),
    (Reason.COMPILER_CRASH, "PLEASE submit a bug report to https://bugs.llvm.org/ and include the backtrace"),
    (
        Reason.COMPILER_CRASH,
        "clang: error: clang frontend command failed with exit code 139 (use -v to see invocation)",
    ),
    (Reason.COMPILER_CRASH, "fatal error: error in backend: Cannot select: intrinsic %llvm.foo"),
    (Reason.INFRASTRUCTURE, "error: unable to open output file '/tmp/main-3ddd78.o': 'Too many open files'"),
    (
        Reason.INFRASTRUCTURE,
        "/usr/bin/ld: cannot open linker script file /lib/x86_64-linux-gnu/libm.so: Too many open files\n"
        "clang: error: linker command failed with exit code 1 (use -v to see invocation)",
    ),
    (
        Reason.INFRASTRUCTURE,
        "/usr/bin/ld: cannot find -lomp: No such file or directory\n"
        "clang++-19: error: linker command failed with exit code 1 (use -v to see invocation)",
    ),
    (
        Reason.INFRASTRUCTURE,
        "/usr/bin/ld: cannot find /usr/lib/llvm-16/lib/clang/16/lib/linux/libclang_rt.asan_static-x86_64.a: "
        "No such file or directory\n"
        "/usr/bin/ld: cannot find /usr/lib/llvm-16/lib/clang/16/lib/linux/libclang_rt.asan-x86_64.a: "
        "No such file or directory\n"
        "clang: error: linker command failed with exit code 1 (use -v to see invocation)",
    ),
]

_GFORTRAN = [
    (
        Reason.MEMORY,
        "f951: Fatal Error: Error writing modules file: Cannot allocate memory\ncompilation terminated.",
    ),
    (Reason.MEMORY, "f951: out of memory allocating 4064 bytes after a total of 3751936 bytes"),
    (Reason.MEMORY, "virtual memory exhausted: Cannot allocate memory"),
    (
        Reason.INFRASTRUCTURE,
        "/usr/bin/ld: plugin framework: out of file descriptors. Try using fewer objects/archives\n\n"
        "/usr/bin/ld: cannot open linker script file /usr/lib/libgcc_s.so: Too many open files\n"
        "collect2: error: ld returned 1 exit status",
    ),
]

_GO = [
    (
        Reason.MEMORY,
        "fatal error: out of memory allocating heap arena map\n\nruntime stack:\nruntime.throw({})",
    ),
    (
        Reason.MEMORY,
        "fatal error: pageAlloc: out of memory\n\nruntime stack:\n\t/usr/lib/go/panic.go:1047 +0x5d",
    ),
    (Reason.MEMORY, "fatal error: runtime: cannot allocate memory\n\nruntime stack:"),
    (Reason.MEMORY, "runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT: abort"),
    (
        Reason.PROCESSES,
        "go: error obtaining buildID for go tool compile: fork/exec /usr/lib/go-1.19/pkg/tool/compile: "
        "resource temporarily unavailable",
    ),
    (
        Reason.PROCESSES,
        "runtime: failed to create new OS thread (have 5 already; errno=11)\n"
        "runtime: may need to increase max user processes (ulimit -u)\nfatal error: newosproc",
    ),
    (Reason.INFRASTRUCTURE, "open /work/main.go: too many open files"),
    (Reason.INFRASTRUCTURE, "go: error obtaining buildID for go tool asm: pipe2: too many open files"),
    (
        Reason.INFRASTRUCTURE,
        "go: error obtaining buildID for go tool compile: open /dev/null: too many open files",
    ),
    (
        Reason.INFRASTRUCTURE,
        "/usr/lib/go-1.24/src/runtime/rand.go:10:2: package internal/byteorder is not in std "
        "(/usr/lib/go-1.24/src/internal/byteorder)\n"
        "/usr/lib/go-1.24/src/reflect/iter.go:8:2: open /usr/lib/go-1.24/src/iter: too many open files\n"
        "main.go:3:8: package os is not in GOROOT (/usr/lib/go-1.24/src/os)",
    ),
    (
        Reason.INFRASTRUCTURE,
        "/usr/lib/go-1.24/src/errors/wrap.go:8:2: package internal/reflectlite is not in std "
        "(/usr/lib/go-1.24/src/internal/reflectlite)\n"
        "/usr/lib/go-1.24/src/io/fs/glob.go:8:2: cannot find package",
    ),
    (Reason.INFRASTRUCTURE, "main.go:3:8: package fmt is not in std (/usr/lib/go-1.24/src/fmt)"),
    (
        Reason.INFRASTRUCTURE,
        "go: error obtaining buildID for go tool compile: fork/exec /usr/lib/go-1.19/compile: "
        "bad file descriptor",
    ),
    (Reason.DISK, "go: creating work dir: mkdir /tmp/go-build1: no space left on device"),
    (Reason.COMPILER_CRASH, "./main.go:3:6: internal compiler error: bad type\n\nPlease file a bug report"),
]

_TSC = [
    (Reason.MEMORY, "fatal error: runtime: out of memory\nfatal error: runtime: cannot allocate memory"),
    (Reason.COMPILER_CRASH, "panic: runtime error: index out of range [3] with length 2\n\ngoroutine 1"),
    (Reason.COMPILER_CRASH, "something that nobody has seen yet"),
]

_PYTHON = [
    (Reason.MEMORY, "*** Error compiling 'main.py'...\nSorry: MemoryError: "),
    (
        Reason.MEMORY,
        'Traceback (most recent call last):\n  File "/usr/lib/python3.11/compileall.py", line 16\n'
        "    import py_compile\nMemoryError",
    ),
    (Reason.MEMORY, "Fatal Python error: _PySys_InitCore: can't initialize sys module\nMemoryError"),
    (
        Reason.COMPILER_CRASH,
        "*** Error compiling 'main.py'...\n"
        "Sorry: RecursionError: maximum recursion depth exceeded during compilation",
    ),
    (
        Reason.COMPILER_CRASH,
        "*** Error compiling 'main.py'...\n"
        "Sorry: MemoryError: Parser stack overflowed - Python source too complex to parse",
    ),
]

_JAVAC = [
    (
        Reason.MEMORY,
        "#\n# There is insufficient memory for the Java Runtime Environment to continue.\n"
        "# Native memory allocation (malloc) failed to allocate 262144 bytes. Error detail: AllocateHeap",
    ),
    (
        Reason.MEMORY,
        '[0.081s][warning][os,thread] Failed to start thread "VM Thread" - pthread_create failed (EAGAIN) '
        "for attributes: stacksize: 1024k, guardsize: 4k, detached.\nError occurred during initialization of "
        "VM\nCannot create VM thread. Out of system resources.",
    ),
    (
        Reason.MEMORY,
        '[0.010s][warning][os,thread] Failed to start thread "ArchiveWorkerThread" - pthread_create failed '
        "(EAGAIN) for attributes: stacksize: 1024k, guardsize: 4k, detached.\nError occurred during "
        "initialization of VM\nUnable to create archive worker: unable to create native thread: possibly out "
        "of memory or process/resource limits reached",
    ),
    (
        Reason.MEMORY,
        "Error occurred during initialization of "
        "VM\njava.lang.OutOfMemoryError: unable to create native thread: "
        "possibly out of memory or process/resource limits reached",
    ),
    (
        Reason.MEMORY,
        "\n\nThe system is out of resources.\nConsult the following stack trace for details.\n"
        "java.lang.OutOfMemoryError: Java heap space\n\tat jdk.compiler/com.sun.tools.javac.Main",
    ),
    (
        Reason.MEMORY,
        "Error: dl failure on line 542\nError: failed /usr/lib/jvm/lib/server/libjvm.so, because "
        "/usr/lib/jvm/lib/server/libjvm.so: cannot map zero-fill pages",
    ),
    (
        Reason.COMPILER_CRASH,
        "\n\nThe system is out of resources.\nConsult the following stack trace for details.\n"
        "java.lang.StackOverflowError\n\tat "
        "jdk.compiler/com.sun.tools.javac.comp.Attr.attribTree(Attr.java:674)",
    ),
    (
        Reason.INFRASTRUCTURE,
        "Main.java:1: error: error while writing A: /work/.out/A.class: File name too long\n"
        "class A{}\n^\n1 error",
    ),
]

_ZIG = [
    (Reason.MEMORY, "error: SystemResources"),
    (Reason.MEMORY, "error: OutOfMemory"),
    (
        Reason.MEMORY,
        "error: memory allocation failure\n"
        "/compilers/lib/zig/lib/std/ascii.zig:1:1: error: unable to load 'ascii.zig': OutOfMemory\n"
        "/compilers/lib/zig/lib/std/std.zig:99:27: note: file imported here",
    ),
    (
        Reason.INFRASTRUCTURE,
        "/compilers/lib/zig/lib/std/Build.zig:1:1: error: unable to load "
        "'Build.zig': ProcessFdQuotaExceeded\n"
        "/compilers/lib/zig/lib/std/std.zig:8:27: note: file imported here",
    ),
    (Reason.INFRASTRUCTURE, "error: unable to find zig self exe path: FileNotFound"),
    (Reason.DISK, "error: NoSpaceLeft"),
    (Reason.COMPILER_CRASH, "thread 17 panic: reached unreachable code"),
]

_ZIG_CC = [
    (
        Reason.PROCESSES,
        "libc++abi: terminating due to uncaught exception of type std::__1::system_error: "
        "thread constructor failed: Resource temporarily unavailable",
    ),
    (Reason.MEMORY, "error: SystemResources"),
    (
        Reason.MEMORY,
        "main.c:1:1: error: failed to spawn zig clang (passthrough mode) "
        "/compilers/lib/zig/zig: SystemResources",
    ),
    (Reason.DISK, "fatal error: error in backend: IO failure on output stream: No space left on device"),
]

_RUSTC = [
    (Reason.MEMORY, "memory allocation of 81920 bytes failed"),
    (Reason.MEMORY, "rustc-LLVM ERROR: out of memory\nAllocation failed"),
    (
        Reason.MEMORY,
        "\nthread 'rustc' panicked at /usr/src/rustc-1.85.1/compiler/write.rs:1700:6:\n"
        'failed to spawn coordinator thread: Os { code: 11, kind: WouldBlock, message: "Resource" }\n'
        "stack backtrace:\nerror: the compiler unexpectedly panicked. this is a bug.",
    ),
    (
        Reason.MEMORY,
        "error[E0080]: could not evaluate static initializer\n --> main.rs:1:1\n  |\n"
        "1 | pub static A: [u8; 1 << 36] = [1; 1 << 36];\n"
        "  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^ tried to allocate more memory than available to compiler\n\n"
        "error: aborting due to 1 previous error",
    ),
    (
        Reason.DISK,
        'error: linking with `cc` failed: exit status: 1\n  |\n  = note: LC_ALL="C" "cc" "-m64"\n'
        "  = note: collect2: fatal error: ld terminated with signal 25 [File size limit exceeded]\n"
        "          compilation terminated.\n          \n\nerror: aborting due to 1 previous error",
    ),
    (Reason.DISK, "error: failed to write `/work/.out.o`: No space left on device (os error 28)"),
    (
        Reason.COMPILER_CRASH,
        "thread 'rustc' panicked at compiler/rustc_middle/src/ty/mod.rs:1:2:\nno entry found for key\n\n"
        "error: the compiler unexpectedly panicked. this is a bug.",
    ),
    (Reason.COMPILER_CRASH, "error: internal compiler error: no type for node"),
]

SEEN = [
    (family, *case)
    for family, cases in {
        "gcc": _GCC,
        "clang": _CLANG,
        "gfortran": _GFORTRAN,
        "go": _GO,
        "tsc": _TSC,
        "python": _PYTHON,
        "javac": _JAVAC,
        "zig": _ZIG,
        "zig-cc": _ZIG_CC,
        "rustc": _RUSTC,
    }.items()
    for case in cases
]

# An error about the source as each compiler prints it, with a text of the source's own in it.
ERRORS = {
    "go": "./main.go:3:6: undefined: {}\n",
    "tsc": "main.ts(1,7): error TS2322: Type '{}' is not assignable to type 'number'.\n",
    "python": (
        "*** Error compiling 'main.py'...\n  File \"main.py\", line 1\n    "
        "{}\n    ^\nSyntaxError: invalid syntax\n"
    ),
    "javac": "Main.java:2: error: {}\n",
    "zig": "main.zig:1:12: error: {}\n",
    "rustc": "error: {}\n --> main.rs:1:1\n  |\n\nerror: aborting due to 1 previous error\n\n",
    "gfortran": "main.f90:2:1:\n\n    2 | {}\n      | 1\nError: Unclassifiable statement at (1)\n",
}
