# shellcheck shell=bash disable=SC2034  # other parts read LISTS_FRESH
# Installs system packages with apt-get: a part of bin/setup, which reads this file.
#
# A step adds to PACKAGES what is missing; `install_packages` then installs all of it in one call, or says in one
# line what to install.

PACKAGES=()      # what apt-get should install
ROOT=()          # what makes a command run as root, once known
APT=()           # how to call apt-get, once known
LISTS_FRESH=yes  # no, when the package lists should have been refreshed and could not be

# need <command> <package>: asks for a package when the command that it brings is missing.
need() { have "$1" || PACKAGES+=("$2"); }

# Fills APT; false where packages cannot be installed without a question.
find_apt() {
    have apt-get || return 1
    if [ "$(id -u)" = 0 ]; then
        ROOT=(env)
    elif have sudo && sudo -n true 2>/dev/null; then
        ROOT=(sudo -n env)
    else
        return 1
    fi
    # Another apt-get may be at work (unattended upgrades): wait 300 s for it rather than fail.
    APT=("${ROOT[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
}

# Lists older than a day (1440 minutes) name versions that the archive may have dropped.
refresh_lists() {
    [ -z "$(find .setup/apt-updated -mmin -1440 2>/dev/null)" ] || return 0
    say "refreshing the package lists"
    if "${APT[@]}" -o APT::Update::Error-Mode=any update; then
        touch .setup/apt-updated
    else
        LISTS_FRESH=no
        say "the package lists could not be refreshed; continuing with the old ones"
    fi
}

# install_packages <command>: installs PACKAGES for a command of the Makefile, or says in one line what to install.
install_packages() {
    [ ${#PACKAGES[@]} -gt 0 ] || return 0
    have apt-get || fail "$1 needs more packages; install these (Debian's names): ${PACKAGES[*]}"
    find_apt \
        || fail "$1 needs more packages; run: sudo apt-get install -y --no-install-recommends ${PACKAGES[*]}"
    refresh_lists
    say "installing ${PACKAGES[*]}"
    local log=.setup/apt.log
    hold_services
    "${APT[@]}" install -y --no-install-recommends "${PACKAGES[@]}" >"$log" 2>&1 \
        || { tail -n 20 "$log" >&2; fail "apt-get could not install ${PACKAGES[*]} (its whole output: $log)"; }
    disable_services
    PACKAGES=()
}

# Debian's packages start their services and enable them for every boot, which a test run must not do to a
# machine. While we install, Debian's own file for this purpose prevents the start; afterwards we disable the
# services that were not there before.
POLICY=/usr/sbin/policy-rc.d
SERVICES=()  # those that come with PACKAGES

hold_services() {
    SERVICES=()
    case " ${PACKAGES[*]} " in *" docker.io "*) SERVICES=(docker.service docker.socket containerd.service) ;; esac
    [ ${#SERVICES[@]} -gt 0 ] && [ ! -e "$POLICY" ] || return 0
    # Expanded now, as ROOT is now.
    # shellcheck disable=SC2064
    trap "$(printf '%q ' "${ROOT[@]}") rm -f $POLICY" EXIT
    printf '#!/bin/sh\nexit 101\n' | "${ROOT[@]}" tee "$POLICY" >/dev/null
    "${ROOT[@]}" chmod 0755 "$POLICY"
}

disable_services() {
    [ ${#SERVICES[@]} -gt 0 ] || return 0
    if [ -n "$(trap -p EXIT)" ]; then "${ROOT[@]}" rm -f "$POLICY"; trap - EXIT; fi
    if have systemctl; then "${ROOT[@]}" systemctl disable "${SERVICES[@]}" >/dev/null 2>&1 || true; fi
}
