#!/bin/sh
# Makes .venv-peers: the libraries that bench/commit.py compares us with (the extra `peers`), and nothing of ours, so
# that neither they nor what they need can reach the environment that the lock describes.
set -eu
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" -m venv --clear .venv-peers
.venv-peers/bin/python -c '
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["project"]["optional-dependencies"]["peers"], sep="\n")
' >.venv-peers/requirements.txt
.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --only-binary :all: \
    -r .venv-peers/requirements.txt
touch .venv-peers/.stamp
