#!/bin/sh
# Runs redis-server reachable from other hosts; any other command as it is.
set -eu

case "${1-}" in
    # `redis:7 --appendonly yes` and `redis:7 my.conf` mean redis-server with that.
    -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1-}" != redis-server ]; then
    exec "$@"
fi
shift

# A configuration file is taken only as the first argument; options after it win over it.
config=
case "${1-}" in
    *.conf) config=$1 && shift ;;
esac
exec redis-server ${config:+"$config"} --protected-mode no "$@"
