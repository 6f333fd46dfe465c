#!/usr/bin/env bash
# Prepares a fresh machine for one of the Makefile's targets. Quick, and silent, when there is nothing to do.
#
#   setup.sh python LOCK STAMP [BUILT]   .venv holds what LOCK pins, and this project, editable; then STAMP exists
#   setup.sh debian PURPOSE...           the programs that debian.txt lists for these purposes are there
#
# BUILT is a package of LOCK that is published as source only: it is compiled if that can be done here, else left out.
#
# PYTHON chooses the interpreter. DEBIAN_FRONTEND, pip's and apt's own settings are respected.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PATH:/usr/sbin:/sbin:/usr/lib/frr" # an ordinary user's PATH lacks what routers are made of

say() { printf 'setup: %s\n' "$*" >&2; }
give_up() {
    say "$@"
    exit 1
}

# --- Python ---------------------------------------------------------------------------------------------

# Debian keeps the module that a venv is seeded from in a package of its own.
usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The system's interpreter first: one below a home directory could not be read by the unprivileged users
# that the BGP speaker and the lab run as.
interpreter() {
    local candidate
    for candidate in ${PYTHON:-/usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11}; do
        if usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# A venv's interpreter is a link to the one it was made with.
real_interpreter() { "$1" -c 'import os, sys; print(os.path.realpath(sys.executable))' 2>/dev/null; }

python_environment() {
    local lock=$1 stamp=$2 built=${3:-} python packages
    if ! python=$(interpreter); then
        [[ -z ${PYTHON:-} ]] || give_up "PYTHON=$PYTHON is not a Python 3.11 or newer with the modules venv and ensurepip"
        mapfile -t packages < <(debian_rows setup | awk '{ print $2 }')
        install_debian "${packages[@]}"
        python=$(interpreter) || give_up "this project needs Python 3.11 or newer; name one with PYTHON=/path/to/python3"
    fi
    # Another interpreter, one that is gone, or half an environment: begin anew.
    if [[ "$(real_interpreter .venv/bin/python)" != "$(real_interpreter "$python")" ]] ||
        ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "making .venv with $python"
        "$python" -m venv --clear .venv
    fi
    say "installing $lock"
    local pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input --quiet install --progress-bar off)
    # Wheels only: nothing that is installed here runs code of its own choosing on the way, or needs a compiler.
    # The lock is the whole of it, but for what excluded.in leaves out.
    "${pip[@]}" --only-binary :all: --no-deps --require-hashes --requirement "$lock"
    "${pip[@]}" --no-build-isolation --no-deps --editable .
    touch "$stamp"
}

# The entry of a package in a lock file (1), or all others (0).
lock_entries() { awk -v wanted="$1" -v name="$3==" '/^[^ ]/ { is = index($0, name) == 1 } is == wanted' "$2"; }

build_or_leave_out() {
    local package=$1 lock=$2 log=build/pip-$1.log
    shift 2
    .venv/bin/python -c "import $package" 2>/dev/null && return
    if ((EUID == 0)) && command -v apt-get >/dev/null; then
        debian_programs build
    fi
    mkdir -p build
    # The one thing here that runs a package's own code and fetches its build tools, without which we get along.
    "$@" --no-deps --use-pep517 --no-binary "$package" --require-hashes \
        --requirement <(lock_entries 1 "$lock" "$package") >"$log" 2>&1 ||
        say "$package cannot be built here and is left out: it needs a C compiler and Python's headers; see $log"
}

# --- Debian ---------------------------------------------------------------------------------------------

debian_rows() { awk -v purpose="$1" '$1 == purpose' requirements/debian.txt; }

# The packages of these purposes whose program is not here.
missing_for() {
    local purpose package program
    for purpose in "$@"; do
        while read -r _ package program _; do
            command -v "$program" >/dev/null || echo "$package"
        done < <(debian_rows "$purpose")
    done
}

debian_programs() {
    local missing
    mapfile -t missing < <(missing_for "$@")
    ((${#missing[@]} == 0)) || install_debian "${missing[@]}"
}

install_debian() {
    if ! command -v apt-get >/dev/null; then
        give_up "no apt-get here; install what your system calls these Debian packages, then run make again: $*"
    elif ((EUID != 0)); then
        # All at once, so that nobody is sent away twice.
        local all
        mapfile -t all < <({ printf '%s\n' "$@" && missing_for lab test; } | sort -u)
        give_up "this needs Debian packages, and installing them needs root. Run once, then make again as yourself:" \
            "sudo apt-get install --no-install-recommends ${all[*]}"
    fi
    say "apt-get install $*"
    keep_services_off
    local apt=(apt-get --quiet --quiet --yes -o DPkg::Lock::Timeout=120)
    export DEBIAN_FRONTEND=${DEBIAN_FRONTEND:-noninteractive}
    local log=build/apt-get.log
    mkdir -p build
    if ! "${apt[@]}" install --no-install-recommends "$@" >"$log" 2>&1; then
        # Old package lists, or none yet.
        { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "$@"; } >"$log" 2>&1 ||
            give_up "apt-get could not install $*; why is in $log"
    fi
    # These also enable their daemon for the next boot. The lab wants the program, not a router on this machine.
    local package service
    while read -r package service; do
        if [[ " $* " == *" $package "* && -d /run/systemd/system ]]; then
            systemctl --quiet disable "$service" >>"$log" 2>&1
        fi
    done <<<$'bird2 bird.service\nfrr frr.service\nprometheus prometheus.service\nprometheus-alertmanager prometheus-alertmanager.service'
}

# Debian starts the daemons it installs unless this policy says no.
keep_services_off() {
    local policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
}

case ${1:-} in
    python) python_environment "$2" "$3" "${4:-}" ;;
    debian) shift && debian_programs "$@" ;;
    *) give_up "usage: setup.sh python LOCK STAMP [BUILT] | debian PURPOSE..." ;;
esac
