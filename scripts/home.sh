#!/bin/sh
# Prints the home (database, lab, secrets) that this clone uses: DOMAINFLOW_HOME where it is set, else .domainflow in
# the clone. Started by root, the embedded server runs under another account and must be able to reach its home: where
# a folder above the clone is closed to others, the home is a folder of the clone's own under /var/lib instead, which
# only root can fill.
set -eu
clone=$(cd "$(dirname "$0")/.." && pwd -P)

if [ -n "${DOMAINFLOW_HOME:-}" ]; then
    printf '%s\n' "$DOMAINFLOW_HOME"
    exit 0
fi

open_to_others() {
    folder=$1
    while [ "$folder" != / ]; do
        case $(ls -ld "$folder") in
            ?????????[xt]*) folder=$(dirname "$folder") ;;
            *) return 1 ;;
        esac
    done
}

if [ "$(id -u)" -ne 0 ] || open_to_others "$clone"; then
    printf '%s/.domainflow\n' "$clone"
else
    printf '/var/lib/domainflow-clone-%s\n' "$(printf '%s' "$clone" | cksum | cut -d' ' -f1)"
fi
