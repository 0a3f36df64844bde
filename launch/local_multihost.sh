#!/usr/bin/env bash
# Several processes on one machine: `bash launch/local_multihost.sh --help`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

usage() {
  cat <<'END'
usage: bash launch/local_multihost.sh [--processes N] [--dry-run] VERB ARGS

Runs `vbanana VERB ARGS` as N processes (default: 2) that share one machine as
the hosts of a pod share a network: a rehearsal of a pod, on the CPU. VERB is
train, evaluate or predict:

  bash launch/local_multihost.sh train --config quickstart:tune,smoke \
    --workdir runs/two

  --processes N  how many
  --dry-run      prints what it would run
  --help         this text

Lines of the processes behind the first begin with their number. Ctrl-C and
SIGTERM, to the script or to its whole group, reach the first: train saves and
stops with all others, other verbs just end; a second one stops at once. Where
one process fails, the others are stopped, and its exit code is that of the
script.

PORT chooses the port of the first process (default: a free one). On a machine
with accelerators, JAX_PLATFORMS chooses another platform than cpu; all
processes then see the same devices unless ARGS or variables divide them.
END
}

processes=2 dry_run=''
while (($#)); do
  case "$1" in
    --processes)
      processes="${2:-}"
      (($# < 2)) || shift
      ;;
    --processes=*) processes="${1#--processes=}" ;;
    --dry-run) dry_run=1 ;;
    -h | --help) usage; exit 0 ;;
    *) break ;;
  esac
  shift
done
[[ "$processes" =~ ^[1-9][0-9]{0,2}$ ]] ||
  refuse "--processes needs a number from 1 to 999, not '$processes'."
case "${1:-}" in
  train | evaluate | predict) ;;
  *) refuse "VERB is train, evaluate or predict, not '${1:-}'; --help." ;;
esac

find_port() {
  python -c 'import socket
with socket.socket() as s:
  s.bind(("localhost", 0))
  print(s.getsockname()[1])'
}

if [[ -n "$dry_run" ]]; then
  port="${PORT:-PORT}"
else
  setup_env
  port="${PORT:-$(find_port)}"
fi
export JAX_PLATFORMS="${JAX_PLATFORMS:-cpu}"

GRACE=25 # fifths of a second for the others, once one has failed

words() { printf ' %q' "$@"; }

pids=()
for ((i = 0; i < processes; i++)); do
  command=(vbanana "$@" --coordinator "localhost:$port"
    --processes "$processes" --process-id "$i")
  if [[ -n "$dry_run" ]]; then
    printf 'JAX_PLATFORMS=%q%s &\n' "$JAX_PLATFORMS" "$(words "${command[@]}")"
  elif ((processes == 1)); then
    # Handed on, a signal to the group would be a second one, which kills.
    exec "${command[@]}"
  elif ((i == 0)); then
    "${command[@]}" &
    pids+=($!)
  else
    # Not a pipe: its end would hide the exit code and outlive the process.
    # Deaf: a signal to the group would leave the process nobody to write to.
    "${command[@]}" > >(trap '' INT TERM; exec sed -u "s/^/$i: /") 2>&1 &
    pids+=($!)
  fi
done
[[ -z "$dry_run" ]] || exit 0

# What runs in the background of a script is deaf to Ctrl-C.
signals=0
# shellcheck disable=SC2329 # the trap calls it
stop() {
  signals=$((signals + 1))
  if ((signals == 1)); then
    kill -TERM "${pids[0]}" 2>/dev/null || true
  else
    kill -KILL "${pids[@]}" 2>/dev/null || true
  fi
}
trap stop INT TERM

code=0 patience=$GRACE
while ((${#pids[@]})); do
  alive=()
  for pid in "${pids[@]}"; do
    if kill -0 "$pid" 2>/dev/null; then
      alive+=("$pid")
    else
      ended=0
      wait "$pid" || ended=$?
      ((code)) || code=$ended
    fi
  done
  pids=(${alive[@]+"${alive[@]}"})
  if ((code && ${#pids[@]})); then
    # They may be about to end as well, or to say what they saw.
    patience=$((patience - 1))
    ((patience > 0)) || kill -KILL "${pids[@]}" 2>/dev/null || true
  fi
  sleep 0.2 || true # a signal to the group ends it
done
exit "$code"
