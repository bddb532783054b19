#!/bin/sh
# Makes .venv from requirements.lock, with the interpreter named by PYTHON (3.11 or later).
#
# .venv/.stamp says that the environment is whole. It is removed before anything changes and written last, so an
# interrupted run is known by its absence, and the next one starts afresh. A lock keeps two runs apart.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
stamp=.venv/.stamp

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "venv: $python is older than Python 3.11; name another with: make venv PYTHON=python3.12" >&2
    exit 1
fi

if command -v flock >/dev/null 2>&1; then
    exec 9<requirements.lock
    flock 9
fi
# Whoever held the lock before may have done the work.
if [ -e $stamp ] && [ -z "$(find requirements.lock pyproject.toml -newer $stamp)" ]; then
    exit 0
fi

if [ -e $stamp ]; then
    rm $stamp
else
    "$python" -m venv --clear .venv
fi
# Packages compile themselves at first import: compiling all of them here doubles time and size.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --only-binary :all: \
    --require-hashes -r requirements.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation -e .
touch $stamp
