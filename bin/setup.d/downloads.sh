# shellcheck shell=bash
# What is downloaded beside .venv, so that later commands need no network: a part of bin/setup, which reads this file.

# The Lambda function's wheels, in .wheels. `chalice package` runs `pip download` on requirements.txt for this
# machine, and then again for Lambda for each package that does not run there.
fill_lambda_wheels() {
    local version key tag minor platforms=() download=()
    version=$(.venv/bin/python -c 'import platform; print(platform.python_version())')
    key="$(hash_of requirements.txt bin/setup.d/downloads.sh) $version"
    if stamped .wheels/.stamp "$key"; then return 0; fi
    say "downloading the Lambda function's wheels into .wheels"
    rm -rf .wheels && mkdir .wheels
    tag=cp$(cut -d. -f1,2 <<<"$version" | tr -d .)
    # glibc 2.17 to 2.26: what every Lambda runtime of these Python versions can load (Amazon Linux 2 has 2.26).
    for minor in {17..26}; do platforms+=(--platform "manylinux_2_${minor}_x86_64"); done
    download=(.venv/bin/python "${PIP[@]}" download -qq --require-hashes -r requirements.txt -d .wheels)
    "${download[@]}" --only-binary=:all: --implementation cp --python-version "$version" \
        --abi "$tag" --abi abi3 --abi none "${platforms[@]}" --platform manylinux2014_x86_64
    if [ "$(uname -sm)" != "Linux x86_64" ]; then "${download[@]}"; fi
    printf '%s\n' "$key" >.wheels/.stamp
}

# The wheels of the images (runner and API) and of the tests inside one, so that building them needs no network.
# Python 3.13 is what debian:trixie has, which the images begin with, and glibc 2.41 the newest it can load.
fill_image_wheels() {
    local key minor platforms=() download=()
    key=$(hash_of requirements-local.txt requirements-image-tests.txt bin/setup.d/downloads.sh)
    if stamped .setup/test-wheels/.stamp "$key" && [ -d .setup/runner-wheels ]; then return 0; fi
    say "downloading the wheels of the images into .setup"
    rm -rf .setup/runner-wheels .setup/test-wheels
    for minor in {17..41}; do platforms+=(--platform "manylinux_2_${minor}_$(uname -m)"); done
    platforms+=(--platform "manylinux2014_$(uname -m)")
    download=(.venv/bin/python "${PIP[@]}" download -qq --require-hashes --only-binary=:all:)
    download+=(--implementation cp --python-version 3.13 --abi cp313 --abi abi3 --abi none "${platforms[@]}")
    "${download[@]}" -r requirements-local.txt -d .setup/runner-wheels
    "${download[@]}" -r requirements-image-tests.txt -d .setup/test-wheels
    # The image is built from the wheels' folder alone.
    cp requirements-image-tests.txt .setup/test-wheels
    printf '%s\n' "$key" >.setup/test-wheels/.stamp
}

# zig and tsc, which no distribution has. Jobs see .setup/compilers as /compilers.
fetch_compilers() {
    local key
    key=$(hash_of bin/fetch-compilers)
    if stamped .setup/compilers/.stamp "$key"; then return 0; fi
    say "downloading the compilers that the distribution lacks into .setup"
    PYTHON=.venv/bin/python bin/fetch-compilers .setup/compiler-archives .setup/compilers
    printf '%s\n' "$key" >.setup/compilers/.stamp
}

# The SARIF schema and a validator, pinned by hash in tests/sarif.
fetch_sarif_tools() {
    local key
    key=$(hash_of tests/sarif/package.json tests/sarif/package-lock.json)
    if stamped tests/sarif/node_modules/.stamp "$key"; then return 0; fi
    say "installing the SARIF schema and validator into tests/sarif"
    npm ci --prefix tests/sarif --silent --no-audit --no-fund --ignore-scripts
    printf '%s\n' "$key" >tests/sarif/node_modules/.stamp
}

# install_tool <name>: a program with an environment of its own, .setup/<name>, from requirements-<name>.txt: it needs
# other versions than .venv has.
install_tool() {
    local key
    key="$(hash_of "requirements-$1.txt") $(.venv/bin/python --version)"
    if stamped ".setup/$1/.stamp" "$key"; then return 0; fi
    say "installing $1 into .setup"
    .venv/bin/python -m venv --clear ".setup/$1"
    ".setup/$1/bin/python" "${PIP[@]}" install -qq --require-hashes -r "requirements-$1.txt"
    printf '%s\n' "$key" >".setup/$1/.stamp"
}
