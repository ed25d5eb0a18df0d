#!/bin/sh
# Set up everything the tests need and run them all: style, types, unit and integration tests.
set -eu
cd "$(dirname "$0")/.."

packages="python3-venv nodejs npm chromium nginx-light openssl curl espeak-ng flite festival festvox-kallpc16k ca-certificates"
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
# Node.js may come from elsewhere than Debian; then Debian's own would only collide with it.
if command -v node >/dev/null && command -v npm >/dev/null; then
    missing=$(printf '%s' "$missing" | sed 's/ nodejs//; s/ npm//')
fi
if [ -n "$missing" ]; then
    $as_root apt-get update -q
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -q -y --no-install-recommends $missing
fi

[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0
.venv/bin/python -m pip install -q --disable-pip-version-check -e '.[client,transformers,test]'
npm ci --silent --no-audit --no-fund --prefix tests/integration/node

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
# Most of the time is waiting for processes and for sound in real time: several files at once.
.venv/bin/python -m pytest -q -n 3 --dist loadfile "$@"
