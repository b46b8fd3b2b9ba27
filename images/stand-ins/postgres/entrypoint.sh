#!/bin/bash
# First start: make the cluster in a folder beside, run /docker-entrypoint-initdb.d, then put it in place whole. Then: the server.
set -euo pipefail
if [ "${1:-}" != postgres ]; then exec "$@"; fi
shift
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  fresh="$PGDATA.new"
  rm -rf "$fresh"
  export POSTGRES_USER="${POSTGRES_USER:-postgres}"
  initdb --pgdata="$fresh" --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 >/dev/null
  echo "host all all all scram-sha-256" >>"$fresh/pg_hba.conf"
  pg_ctl --pgdata="$fresh" --wait --silent --options="-c listen_addresses=''" start >/dev/null
  for script in /docker-entrypoint-initdb.d/*.sh; do
    # shellcheck source=/dev/null
    if [ -f "$script" ]; then . "$script"; fi
  done
  pg_ctl --pgdata="$fresh" --wait --silent --mode=fast stop >/dev/null
  rm -rf "$PGDATA"
  mv "$fresh" "$PGDATA"
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' "$@"
