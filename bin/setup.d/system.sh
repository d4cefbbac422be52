# shellcheck shell=bash
# The system packages of each purpose: a part of bin/setup, which reads this file.
#
# Each purpose first collects everything that is missing, so that one line can name it and one call install it.

system_for_run() {
    need bwrap bubblewrap
    need_libseccomp
    if ! have_any gcc && ! have_any clang; then PACKAGES+=(gcc g++); fi
    need_python
    install_packages "make run"
}

system_for_test() {
    need_test_programs
    need_compilers ends
    need_python
    install_packages "make test"
    link_redis_server
    check_compilers ends
}

system_for_test_all() {
    need_test_programs
    # The docker sandbox and the images are tested with a real engine, which the tests start themselves where none
    # runs. Where no image registry can be reached, the base image is made of Debian's packages.
    if ! has_engine; then PACKAGES+=(docker.io); fi
    need mmdebstrap mmdebstrap
    if ! has_compose; then PACKAGES+=(docker-compose); fi
    need npm npm  # brings tsc and the SARIF validator
    need_compilers all
    need_python
    install_packages "make test TIER=all"
    link_redis_server
    check_compilers all
}

need_test_programs() {
    need bwrap bubblewrap
    need git git
    need curl curl
    need shellcheck shellcheck
    need_libseccomp
    if ! have redis-cli || { ! has_redis_server && ! have redis-check-rdb; }; then PACKAGES+=(redis-tools); fi
}

# The sandboxes' system call filter is written by this library. It has no command, so Python looks for it.
need_libseccomp() {
    if have "$PYTHON" && "$PYTHON" -c 'import ctypes; ctypes.CDLL("libseccomp.so.2")' 2>/dev/null; then return 0; fi
    PACKAGES+=(libseccomp2)
}

# dockerd is not on everybody's PATH; an engine that runs elsewhere (of a desktop program) is as good.
has_engine() { have dockerd || [ -x /usr/sbin/dockerd ] || docker info >/dev/null 2>&1; }

# As a program of its own, or as a part of `docker`, which Debian has without the rest of it.
has_compose() {
    have docker-compose || docker compose version >/dev/null 2>&1 \
        || [ -x /usr/libexec/docker/cli-plugins/docker-compose ]
}

# --- Redis ----------------------------------------------------------------------------------------------

# The package redis-server starts a server on port 6379 and enables it for every boot, which a test run must
# not do to a machine. The same program is in redis-tools, which starts nothing: there, redis-server and
# redis-sentinel are other names of redis-check-rdb. So we take redis-tools and add the name ourselves, in
# .setup/bin, where the tests look too.
OWN_REDIS=.setup/bin/redis-server

has_redis_server() { have redis-server || "$OWN_REDIS" --version >/dev/null 2>&1; }

link_redis_server() {
    if has_redis_server; then return 0; fi
    mkdir -p "$(dirname "$OWN_REDIS")"
    ln -sf "$(command -v redis-check-rdb || echo /nonexistent)" "$OWN_REDIS"
    "$OWN_REDIS" --version 2>/dev/null | grep -q ' server ' \
        || fail "make test needs redis-server on the PATH; this system's redis-tools does not bring it"
}

# --- compilers ------------------------------------------------------------------------------------------

# have_any <family>: one of the family's compilers is there, whatever its version.
have_any() {
    local compiler
    for compiler in "$1" "$1"-{11..22}; do
        if have "$compiler"; then return 0; fi
    done
    return 1
}

# Asking apt takes a second, so it is asked once: what is still missing afterwards is written down, and counts until
# the distribution or this file changes.
ABSENT=()  # packages of compilers that are not installed

# need_compilers ends: the oldest and the newest gcc and clang that the distribution has: where versions differ, these
#   two differ most. The newest alone where it has only one.
# need_compilers all: every package of `missing_compilers` that the distribution has.
need_compilers() {
    local missing=() present=() available package
    if [ "$1" = ends ] && has_ends; then return 0; fi
    mapfile -t missing < <(missing_compilers)
    ABSENT=("${missing[@]}")
    have apt-cache || return 0
    if stamped ".setup/compilers-absent-$1" "$(compilers_key)"; then return 0; fi
    if find_apt; then refresh_lists; fi
    # Not `apt-cache show`, which reads the + of g++-13 as a pattern and finds something else.
    available=$(apt-cache pkgnames)
    for package in "${missing[@]}"; do
        if grep -qxF "$package" <<<"$available"; then present+=("$package"); fi
    done
    if [ "$1" = ends ]; then ends_of "${present[@]}"; else PACKAGES+=("${present[@]}"); fi
}

# Two versions of gcc and of clang are here.
has_ends() { [ "$(versions_here g++ | wc -l)" -ge 2 ] && [ "$(versions_here clang | wc -l)" -ge 2 ]; }

# versions_here <compiler>: one line for each version of it that is installed.
versions_here() {
    local version
    for version in {11..22}; do
        if have "$1-$version"; then echo "$version"; fi
    done
}

# ends_of <package>…: adds the lowest and the highest version of gcc and of clang to PACKAGES.
ends_of() {
    local family version versions
    for family in g++ clang; do
        if [ "$(versions_here "$family" | wc -l)" -ge 2 ]; then continue; fi
        mapfile -t versions < <(printf '%s\n' "$@" | sed -n "s/^$family-\([0-9]*\)$/\1/p" | sort -n)
        [ ${#versions[@]} -gt 0 ] || continue
        for version in $(printf '%s\n' "${versions[0]}" "${versions[-1]}" | sort -u); do
            PACKAGES+=("$family-$version")
            if [ "$family" = g++ ]; then PACKAGES+=("gcc-$version"); fi
        done
    done
}

# One line for each package that brings a compiler of the catalogue and is not installed.
missing_compilers() {
    local version
    for version in {11..14}; do
        if ! have "gcc-$version" || ! have "g++-$version"; then printf '%s\n' "gcc-$version" "g++-$version"; fi
        have "gfortran-$version" || echo "gfortran-$version"
    done
    for version in {13..19}; do
        have "clang-$version" || echo "clang-$version"
    done
    for version in 1.19 1.24; do
        [ -x "/usr/lib/go-$version/bin/go" ] || echo "golang-$version-go"
    done
    for version in 17 21 25; do
        compgen -G "/usr/lib/jvm/java-$version-openjdk-*/bin/javac" >/dev/null || echo "openjdk-$version-jdk-headless"
    done
    [ -x /usr/bin/rustc ] || echo rustc
    [ -x /usr/bin/python3 ] || echo python3
}

check_compilers() {
    have_any gcc || fail "make test needs a gcc on the PATH; install one"
    have_any clang || fail "make test needs a clang on the PATH; install one"
    mapfile -t ABSENT < <(missing_compilers)
    if [ "$LISTS_FRESH" = yes ]; then compilers_key >".setup/compilers-absent-$1"; fi
}

compilers_key() {
    printf '%s %s\n' "$(cat bin/setup.d/system.sh /etc/os-release 2>/dev/null | sha256sum)" "${ABSENT[*]}"
}
