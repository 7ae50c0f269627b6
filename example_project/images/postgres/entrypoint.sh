#!/bin/bash
# Initialises $PGDATA on the first start, then runs PostgreSQL as the user postgres; any other command as it is.
#
# POSTGRES_PASSWORD     needed on the first start (unless POSTGRES_HOST_AUTH_METHOD=trust)
# POSTGRES_USER         the superuser's name; default: postgres
# POSTGRES_DB           the database made for it; default: the user's name
# POSTGRES_INITDB_ARGS  more arguments for initdb
# /docker-entrypoint-initdb.d/*.sql, *.sh run once, in order, when the cluster is new.
set -euo pipefail

superuser=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$superuser}
auth_method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}

become_postgres() {
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    # Only what needs it: on an overlay every chown copies the file, even one that changes nothing.
    find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres:postgres {} +
    exec setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/var/lib/postgresql "$0" "$@"
}

require_password() {
    [[ -n ${POSTGRES_PASSWORD-} || $auth_method == trust ]] && return
    cat >&2 <<'MESSAGE'
error: the database is not initialised and no superuser password is given.
Set POSTGRES_PASSWORD to any text that is not empty, or POSTGRES_HOST_AUTH_METHOD=trust to let everybody in.
MESSAGE
    exit 1
}

make_cluster() {
    local -a more=()
    # shellcheck disable=SC2206  # the variable holds a list of arguments
    more=(${POSTGRES_INITDB_ARGS-})
    [[ -n ${POSTGRES_PASSWORD-} ]] && more+=("--pwfile=/dev/fd/3")
    initdb --username="$superuser" --auth-host="$auth_method" --auth-local=trust "${more[@]}" \
        3< <(printf '%s\n' "${POSTGRES_PASSWORD-}")
    printf 'host all all all %s\n' "$auth_method" >> "$PGDATA/pg_hba.conf"
}

run_init_files() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sql) psql --set=ON_ERROR_STOP=1 --no-psqlrc --username="$superuser" --dbname="$database" --file="$file" ;;
            *.sh) bash "$file" ;;
        esac
    done
}

# Nobody outside can reach this server: it has no TCP socket, so a port that answers means ready.
with_private_server() {
    pg_ctl --wait --silent --options="-c listen_addresses=''" start
    "$@"
    pg_ctl --wait --silent --mode=fast stop
}

fill_cluster() {
    if [[ $database != postgres ]]; then
        createdb --username="$superuser" --maintenance-db=postgres "$database"
    fi
    run_init_files
}

main() {
    [[ ${1-} == -* ]] && set -- postgres "$@"
    [[ ${1-} == postgres ]] || exec "$@"
    [[ $(id -u) == 0 ]] && become_postgres "$@"
    if [[ ! -s $PGDATA/PG_VERSION ]]; then
        require_password
        make_cluster
        with_private_server fill_cluster
    fi
    exec "$@"
}

main "$@"
