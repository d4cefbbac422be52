# shellcheck shell=bash
# The virtual environment .venv: a part of bin/setup, which reads this file.

ASKED_PYTHON=${PYTHON:-}
PYTHON=${PYTHON:-python3}

# How pip is called: a package is only taken when its file has a hash that the requirements file names.
PIP=(-m pip --disable-pip-version-check)

# .venv works, was made in this very folder (its scripts contain the path), is recent enough, and has the version
# that was asked for, if one was.
venv_fits() {
    local version='import sys; print("%d.%d" % sys.version_info[:2])'
    .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || return 1
    grep -qF "$PWD/.venv" .venv/pyvenv.cfg || return 1
    [ -z "$ASKED_PYTHON" ] || [ "$(.venv/bin/python -c "$version")" = "$("$PYTHON" -c "$version")" ]
}

# Adds to PACKAGES what is needed to make an environment; fails on a Python that is too old.
need_python() {
    local version
    if venv_fits; then return 0; fi
    if ! have "$PYTHON"; then
        [ -z "$ASKED_PYTHON" ] || fail "there is no $PYTHON on the PATH; choose another Python with PYTHON=…"
        PACKAGES+=(python3 python3-venv)
        return 0
    fi
    version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "$PYTHON does not run"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
        || fail "$PYTHON is Python $version, but 3.11 or newer is needed; choose one with PYTHON=python3.12"
    # Debian splits the standard library: `venv` can be there without `ensurepip`, which it installs pip from.
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || PACKAGES+=("python$version-venv")
}

# make_venv <requirements file>: .venv has at least that file's packages. requirements-dev.txt contains all of
# requirements-local.txt, so its stamp counts for both.
make_venv() {
    local requirements=$1 file
    if venv_fits; then
        for file in "$requirements" requirements-dev.txt; do
            if stamped ".venv/.$file.stamp" "$(hash_of requirements-local.txt "$file")"; then return 0; fi
        done
    else
        need_python  # again: what has just been installed may be too old
        say "making .venv with $("$PYTHON" --version)"
        "$PYTHON" -m venv --clear .venv
    fi
    say "installing $requirements into .venv"
    .venv/bin/python "${PIP[@]}" install -qq --require-hashes -r "$requirements"
    hash_of requirements-local.txt "$requirements" >".venv/.$requirements.stamp"
}
