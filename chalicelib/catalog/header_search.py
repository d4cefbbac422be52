"""Where compilers of C and C++ look for the headers of a request.

The bare command searches the folder of the including file, the client's include folders and the system's own.
A request has a top folder, too, and its files are named by their paths from there: an include that the bare
command does not resolve may name them. What it does resolve keeps its meaning.

`-idirafter .` alone would do, behind everything else, but compilers report no warnings about headers that
they find by it. So includes in quotes find the top folder by `-iquote .`, unless that would hide another
file, and `-idirafter` comes only where it is needed.
"""

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

# The top folder's own name among the folders of a request.
TOP_FOLDER = "."

# Headers of C, C++ and Linux by which a request may name a file of its own. One that is missing here is taken
# from the request when a source in another folder includes it in quotes.
_SYSTEM_HEADERS = frozenset(
    """
    a.out.h aio.h alloca.h ar.h argp.h argz.h assert.h byteswap.h complex.h cpio.h crypt.h ctype.h
    cxxabi.h dirent.h dlfcn.h elf.h endian.h err.h errno.h error.h execinfo.h fcntl.h features.h fenv.h
    float.h fmtmsg.h fnmatch.h fstab.h fts.h ftw.h getopt.h glob.h grp.h iconv.h ieee754.h ifaddrs.h
    immintrin.h inttypes.h iso646.h langinfo.h lastlog.h libgen.h libintl.h limits.h link.h locale.h
    malloc.h math.h memory.h mntent.h monetary.h mqueue.h net/ethernet.h net/if.h net/if_arp.h
    net/route.h netdb.h nl_types.h nss.h obstack.h omp.h paths.h poll.h printf.h pthread.h pty.h pwd.h
    quadmath.h regex.h regexp.h resolv.h sched.h search.h semaphore.h setjmp.h shadow.h signal.h spawn.h
    stdalign.h stdarg.h stdatomic.h stdbit.h stdbool.h stdckdint.h stddef.h stdint.h stdio.h stdlib.h
    stdnoreturn.h string.h strings.h syscall.h syslog.h tar.h termio.h termios.h tgmath.h threads.h
    time.h uchar.h ucontext.h ulimit.h unistd.h unwind.h utime.h utmp.h utmpx.h values.h varargs.h
    wait.h wchar.h wctype.h wordexp.h algorithm any array atomic barrier bit bitset charconv chrono
    codecvt compare complex concepts condition_variable coroutine deque exception execution expected
    filesystem format forward_list fstream functional future generator initializer_list iomanip ios
    iosfwd iostream istream iterator latch limits list locale map mdspan memory memory_resource mutex
    new numbers numeric optional ostream print queue random ranges ratio regex scoped_allocator
    semaphore set shared_mutex source_location span spanstream sstream stack stacktrace stdexcept
    stdfloat stop_token streambuf string string_view strstream syncstream system_error thread tuple
    type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant vector version
    cassert ccomplex cctype cerrno cfenv cfloat cinttypes ciso646 climits clocale cmath csetjmp csignal
    cstdalign cstdarg cstdbool cstddef cstdint cstdio cstdlib cstring ctgmath ctime cuchar cwchar
    cwctype
    """.split()  # noqa: SIM905 - a list of 200 lines would be harder to read
)
# Not folders such as net/ and ext/, which projects have more often than headers of the system in them.
_SYSTEM_FOLDERS = (
    *("arpa/", "asm/", "asm-generic/", "bits/", "drm/", "gnu/", "linux/", "mtd/", "netinet/", "netpacket/"),
    *("nfs/", "protocols/", "pstl/", "rdma/", "rpc/", "sanitizer/", "scsi/", "sys/", "tr1/", "tr2/", "xen/"),
)
# Headers that gcc and clang bring along for instruction sets, and a few more.
_COMPILER_HEADER = re.compile(
    r"\w+intrin\.h|(?:cpuid|mm_malloc|mm3dnow|gcov|openacc|stdfix|arm_\w+|opencl-c)\.h"
)

# The longest file name of a request is 255 bytes (chalicelib/file_names.py).
_IN_BRACKETS = re.compile(r"<([^<>\n\r]{1,255})>")
_ASKED_FOR = re.compile(r"__has_include(?:_next)?[ \t]{0,80}\([ \t]{0,80}<([^<>\n\r]{1,255})>")
# `#include NAME`, where NAME is a macro: what it names is known to the preprocessor only.
_BY_MACRO = re.compile(r"(?:#|%:|\?\?=)[ \t]{0,80}(?:include|include_next|import)[ \t]{1,80}[A-Za-z_]")


def folder_of(option: str, prefixes: Sequence[str]) -> tuple[str, str] | None:
    """An option that names a folder as its prefix and the folder in normal form; None for other options.

    A folder that cannot be one of a request is "": an absolute path, one that leads out, or none at all.
    """
    prefix = next((prefix for prefix in prefixes if option.startswith(prefix)), None)
    if prefix is None:
        return None
    path = option.removeprefix(prefix)
    folder = posixpath.normpath(path) if path and not path.startswith("/") else ""
    return prefix, "" if folder == ".." or folder.startswith("../") else folder


def folders_of(files: Collection[str]) -> frozenset[str]:
    """The folders of a request with these files, `TOP_FOLDER` included."""
    return frozenset(
        {TOP_FOLDER, *(name[:end] for name in files for end in range(len(name)) if name[end] == "/")}
    )


def header_search(files: Mapping[str, str], options: Sequence[str], prefixes: Sequence[str]) -> list[str]:
    """The arguments that serve the top folder, to be put behind the client's `options`.

    `prefixes` are those of the options that name a folder.
    """
    if any((folder_of(option, prefixes) or ("", ""))[1] == TOP_FOLDER for option in options):
        return []  # the client says where the top folder comes
    arguments = []
    shadowing = _would_shadow(files, options, prefixes)
    if not shadowing:
        arguments += ["-iquote", "."]
    if shadowing or _may_use_brackets(files, options):
        arguments += ["-idirafter", "."]
    return arguments


def _would_shadow(files: Mapping[str, str], options: Sequence[str], prefixes: Sequence[str]) -> bool:
    """Whether the top folder as a quote folder would hide a file of an include folder or of the system.

    A quote folder is searched before both, and the bare command finds theirs.
    """
    if any(
        name in _SYSTEM_HEADERS or name.startswith(_SYSTEM_FOLDERS) or _COMPILER_HEADER.fullmatch(name)
        for name in files
    ):
        return True
    for option in options:
        prefix, folder = folder_of(option, prefixes) or ("", "")
        if prefix != "-iquote" and folder not in ("", TOP_FOLDER):
            below = f"{folder}/"
            if any(name.startswith(below) and name.removeprefix(below) in files for name in files):
                return True
    return False


def _may_use_brackets(files: Mapping[str, str], options: Sequence[str]) -> bool:
    """Whether a file of the request may be included by its path from the top folder in angle brackets."""
    texts = (*files.values(), *(option for option in options if option.startswith("-D")))
    # The bare command answers `__has_include(<x.h>)` with no, and takes the branch for that.
    asked = {path for text in texts for path in _paths(_ASKED_FOR, text)}
    return any(
        _BY_MACRO.search(text)
        or any(path in files and path not in asked for path in _paths(_IN_BRACKETS, text))
        for text in texts
    )


def _paths(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    return (posixpath.normpath(match[1]) for match in pattern.finditer(text))
