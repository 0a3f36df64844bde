#!/usr/bin/env bash
# What tpu_vm.sh runs on each TPU VM: `bash launch/tpu_worker.sh --help`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

usage() {
  cat <<'END'
usage: bash launch/tpu_worker.sh [--dry-run] COMMAND

Runs on one TPU VM; launch/tpu_vm.sh calls it on all of them at once.

  setup         installs Python, the package with [tpu] and gcsfuse
  start ARGS    mounts the buckets that ARGS name, then starts
                `vbanana train ARGS --distributed` in the background
  status        prints `vbanana-run: none`, `vbanana-run: running PID` or
                `vbanana-run: ended CODE`
  stop          asks the run to save and end (SIGTERM), and waits for it

  --dry-run     prints what start or setup would do
  --help        this text

In ARGS, gs://BUCKET/PATH becomes $HOME/gcs/BUCKET/PATH, where the bucket is
mounted: training reads and writes ordinary files. The log, the process and
the exit code of the newest run are in $VBANANA_RUN (default:
$HOME/vbanana_run).
END
}

RUN="${VBANANA_RUN:-$HOME/vbanana_run}"
MOUNTS="$HOME/gcs"
dry_run=''

# A file written on one machine is looked up by the others at once, and not
# after the minute for which gcsfuse believes its own memory.
MOUNT_OPTIONS=(
  --implicit-dirs
  --metadata-cache-ttl-secs=0
  --metadata-cache-negative-ttl-secs=0
)

perform() {
  if [[ -n "$dry_run" ]]; then
    printf '%s\n' "$(quoted "$@")"
  else
    "$@"
  fi
}

# Images of TPU VMs may have an older Python only; uv brings one along.
install_python() {
  [[ -n "${VIRTUAL_ENV:-}" || -x "$ROOT/.venv/bin/python" ]] && return
  perform python3 -m pip install --quiet --user uv
  perform "$HOME/.local/bin/uv" venv --quiet --seed --python 3.12 "$ROOT/.venv"
}

install_gcsfuse() {
  command -v gcsfuse >/dev/null && return
  local key=/usr/share/keyrings/cloud.google.asc
  local apt=https://packages.cloud.google.com/apt
  perform sudo curl -fsSL -o "$key" "$apt/doc/apt-key.gpg"
  perform sudo sh -c "echo 'deb [signed-by=$key] $apt gcsfuse-$(
    lsb_release -cs 2>/dev/null || echo jammy
  ) main' >/etc/apt/sources.list.d/gcsfuse.list"
  perform sudo apt-get update -qq
  perform sudo apt-get install -qq -y gcsfuse
}

setup_worker() {
  install_python
  install_gcsfuse
  if [[ -n "$dry_run" ]]; then
    say "then: setup_env tpu, as in launch/setup_env.sh"
  else
    setup_env tpu
  fi
}

mount_bucket() {
  local bucket="$1"
  grep -qsF " $MOUNTS/$bucket fuse" /proc/mounts && return
  perform mkdir -p "$MOUNTS/$bucket"
  perform gcsfuse "${MOUNT_OPTIONS[@]}" "$bucket" "$MOUNTS/$bucket" ||
    die "gs://$bucket could not be mounted: does it exist, and may the" \
      "service account of the VMs write to it (roles/storage.objectUser)?"
}

# Process ids start again when a VM does, so the boot belongs to the name.
boot() { cat /proc/sys/kernel/random/boot_id; }

is_running() {
  [[ -f "$RUN/pid" && "$(cat "$RUN/boot")" == "$(boot)" ]] &&
    kill -0 "$(cat "$RUN/pid")" 2>/dev/null
}

print_status() {
  if is_running; then
    printf 'vbanana-run: running %s\n' "$(cat "$RUN/pid")"
  elif [[ -f "$RUN/code" ]]; then
    printf 'vbanana-run: ended %s\n' "$(cat "$RUN/code")"
  elif [[ -f "$RUN/pid" ]]; then
    # Killed together with what would have written its exit code.
    printf 'vbanana-run: ended 137\n'
  else
    printf 'vbanana-run: none\n'
  fi
}

# Runs a command, and writes its process id and, in the end, its exit code.
supervise() {
  local code=0 pid
  "$@" &
  pid=$!
  boot >"$RUN/boot"
  printf '%s\n' "$pid" >"$RUN/pid"
  wait "$pid" || code=$?
  printf '%s\n' "$code" >"$RUN/code"
}

start_run() {
  local word bucket
  local words=(vbanana train)
  is_running && die "a run is alive here, process $(cat "$RUN/pid"); stop it" \
    'first (launch/tpu_vm.sh stop).'
  for word; do
    if [[ "$word" == *gs://* ]]; then
      bucket="${word#*gs://}"
      mount_bucket "${bucket%%/*}"
      word="${word/gs:\/\//$MOUNTS/}"
    fi
    words+=("$word")
  done
  words+=(--distributed)
  if [[ -n "$dry_run" ]]; then
    printf 'nohup %s >>%s 2>&1 &\n' "$(quoted "${words[@]}")" "$RUN/log"
    return
  fi
  setup_env tpu
  mkdir -p "$RUN"
  rm -f "$RUN/pid" "$RUN/code"
  printf '== %s: %s\n' "$(date -u +%FT%TZ)" "$(quoted "${words[@]}")" \
    >>"$RUN/log"
  # In a session of its own, which outlives the one of ssh.
  setsid nohup bash "${BASH_SOURCE[0]}" supervise "${words[@]}" \
    >>"$RUN/log" 2>&1 </dev/null &
  for _ in {1..50}; do
    [[ -f "$RUN/pid" ]] && break
    sleep 0.1
  done
  print_status
}

stop_run() {
  local pid
  is_running || { print_status; return; }
  pid="$(cat "$RUN/pid")"
  kill -TERM "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
  for _ in {1..50}; do
    [[ -f "$RUN/code" ]] && break
    sleep 0.1
  done
  print_status
}

if [[ "${1:-}" == --dry-run ]]; then
  dry_run=yes
  shift
fi
verb="${1:-}"
(($#)) && shift
case "$verb" in
  -h | --help) usage ;;
  setup) setup_worker ;;
  start) start_run "$@" ;;
  status) print_status ;;
  stop) stop_run ;;
  supervise) supervise "$@" ;;
  *) refuse "unknown command '$verb'; --help lists them." ;;
esac
