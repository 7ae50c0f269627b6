#!/bin/sh
# Runs /docker-entrypoint.d/*.sh in order, then the command.
set -eu

for script in /docker-entrypoint.d/*.sh; do
    if [ -e "$script" ]; then
        sh "$script"
    fi
done
exec "$@"
