#!/bin/sh
# Makes requirements.lock from pyproject.toml: every extra but ray and every tool, with hashes, for any platform. It
# names no index, so an installer asks whichever one it is set up for. Packages already locked stay at their version;
# a new choice: rm requirements.lock first.
set -eu
cd "$(dirname "$0")/.."
new=$(mktemp)
trap 'rm -f "$new"' EXIT
[ ! -e requirements.lock ] || cp requirements.lock "$new"
uv pip compile pyproject.toml --extra all --extra dev --universal --python-version 3.11 --generate-hashes --quiet \
    --no-header --no-annotate --no-emit-index-url --output-file "$new" >/dev/null
{
    echo "# Every package that the project's environment holds, by hash: the core, every extra but ray, and the tools."
    echo "# Made from pyproject.toml by \`make lock\`; installed by \`make venv\`."
    cat "$new"
} >requirements.lock
