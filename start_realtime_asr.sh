#!/bin/sh
# Set up hotmic in .venv beside this file and start it.
#
#   sh start_realtime_asr.sh                    start the daemon
#   sh start_realtime_asr.sh --full             the same with every extra of requirements_realtime.txt
#   sh start_realtime_asr.sh demo               any other command of hotmic: demo, transcribe, check, models, pull
#   sh start_realtime_asr.sh --model small      flags go to 'hotmic serve'
set -eu
cd "$(dirname "$0")"

say() { printf '%s\n' "$*" >&2; }

full=""
if [ "${1:-}" = "--full" ]; then
    full=yes
    shift
fi

find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "hotmic needs Python 3.11 or newer, and none was found (Debian: apt-get install python3 python3-venv)."
    exit 1
}

make_venv() {
    python=$(find_python)
    "$python" -m venv .venv 2>/dev/null && return
    rm -rf .venv
    # Debian ships Python without the module that makes environments.
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        say "Installing python3-venv ..."
        apt-get update -q >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv >&2
        "$python" -m venv .venv
        return
    fi
    say "Python cannot make a virtual environment here (Debian: sudo apt-get install python3-venv)."
    exit 1
}

[ -x .venv/bin/python ] || make_venv

# Install when what is installed is not what stands here.
wanted="$full $(cksum pyproject.toml requirements_realtime.txt | cksum)"
if [ ! -x .venv/bin/hotmic ] || [ "$(cat .venv/.hotmic 2>/dev/null || true)" != "$wanted" ]; then
    say "Installing hotmic into .venv (a minute or two the first time) ..."
    if [ -n "$full" ]; then
        .venv/bin/python -m pip install -q --disable-pip-version-check -r requirements_realtime.txt
    fi
    .venv/bin/python -m pip install -q --disable-pip-version-check -e .
    printf '%s' "$wanted" >.venv/.hotmic
fi

case "${1:-}" in
serve | demo | transcribe | models | pull | check | --help | --version) exec .venv/bin/hotmic "$@" ;;
*) exec .venv/bin/hotmic serve "$@" ;;
esac
