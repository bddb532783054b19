#!/bin/sh
# Runs a command on the oldest Postgres that is served, if the system has it; else says so, which is no failure.
set -eu
bin=/usr/lib/postgresql/15/bin
if [ ! -x $bin/postgres ]; then
    echo "there is no PostgreSQL 15 in $bin: nothing was run on the oldest"
    exit 0
fi
echo "on PostgreSQL 15:"
DOMAINFLOW_PG_BIN=$bin exec "$@"
