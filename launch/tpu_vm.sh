#!/usr/bin/env bash
# A TPU slice from a laptop: `bash launch/tpu_vm.sh --help`; docs/pods.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

usage() {
  cat <<'END'
usage: bash launch/tpu_vm.sh COMMAND NAME --zone ZONE [OPTIONS] [-- TRAIN ARGS]

Trains on Cloud TPU VMs, asked for as a queued resource called NAME. The
whole life of a run in one command, which survives preemption and may be
stopped and given again at any time:

  bash launch/tpu_vm.sh resume my-run --zone us-west4-a --topology v5e-16 \
    --spot --config pod:pretrain --workdir gs://my-bucket/runs/a/pretrain

or step by step; options of the other commands are allowed, so that one set
of them serves all:

  create   asks for the slice; it comes when there is room for it
  copy     brings this repository to all VMs and installs it there
  run      starts `vbanana train ... --distributed` on all VMs
  state    what the queue says, and what the run on each VM does
  logs     follows the log of one VM
  stop     asks training to save and end (SIGTERM), and waits
  resume   all of it: creates what is missing, copies, runs, waits; after a
           preemption deletes, creates, copies and runs again, with the same
           workdir, until training is done
  delete   gives the slice back, with its disks; ends what it costs

  --zone ZONE        where; v5e, v6e and v5p live in few zones each
  --topology T       KIND-CHIPS as in `vbanana plan`: v5e-16, v6e-64, v5p-32;
                     v5p-32 is 32 chips, Google's v5p-64 (create, resume)
  --slices N         so many slices of it, joined by the data center's network
  --spot             cheap, and may be taken away at any time
  --internal-ips     VMs without external addresses (they need Cloud NAT)
  --version V        of the VM's image (default: what Google names for KIND)
  --project P        if not gcloud's default
  --config NAME      as for `vbanana train` (run, resume)
  --workdir GS       gs://BUCKET/PATH, which outlives the VMs (run, resume)
  --worker N         whose log (default 0)
  --poll SECONDS     between two looks of resume (default 60)
  --retries N        how often resume starts again after a crash that is
                     neither a preemption nor a mistake (default 3)
  --delete-at-end    resume deletes the slice when training is done
  --dry-run          prints every command it would run; needs no gcloud
  --help             this text

What stands after -- goes to `vbanana train`: -- --config.seed=1. Whole paths
in it may be gs://BUCKET/PATH as well.
END
}

SAVED=75  # exit code of `vbanana train` after SIGTERM (errors.py)
TRIES=5   # of what the network may lose, in a row

REMOTE=vbanana_jax  # folder in the home of each VM
PACKED="$ROOT/build/vbanana_jax.tar.gz"

name='' zone='' topology='' slices=1 spot='' internal='' version=''
project='' config='' workdir='' worker=0 poll=60 retries=3 at_end='' dry_run=''
train_args=()

parse() {
  local option value
  while (($#)); do
    option="$1" value="${2:-}"
    shift
    case "$option" in
      --) train_args=("$@"); return ;;
      --dry-run) dry_run=yes; continue ;;
      --spot) spot=yes; continue ;;
      --internal-ips) internal=yes; continue ;;
      --delete-at-end) at_end=yes; continue ;;
      --*=*) value="${option#*=}" option="${option%%=*}" ;;
      --*) (($#)) && shift ;;
      *)
        [[ -z "$name" ]] || refuse "two names: '$name' and '$option'."
        name="$option"
        continue
        ;;
    esac
    case "$option" in
      --zone | --topology | --slices | --version | --project | --config | \
        --workdir | --worker | --poll | --retries)
        [[ -n "$value" && "$value" != --* ]] ||
          refuse "$option needs a value; --help says which."
        printf -v "${option#--}" '%s' "$value"
        ;;
      *) refuse "unknown option '$option'; --help lists them." ;;
    esac
  done
}

# Says which of the named options are missing, by the first of them.
need() {
  local option
  for option; do
    [[ -n "${!option}" ]] ||
      refuse "$verb needs --$option; --help has an example."
  done
}

check() {
  local number
  [[ "$name" =~ ^[a-z]([-a-z0-9]*[a-z0-9])?$ ]] || refuse \
    "$verb needs a NAME of lower-case letters, digits and dashes, not '$name'."
  need zone
  for number in slices worker poll retries; do
    [[ "${!number}" =~ ^(0|[1-9][0-9]{0,5})$ ]] ||
      refuse "--$number needs a whole number up to 999999, not '${!number}'."
  done
  ((slices)) || refuse '--slices needs at least 1.'
  case "$verb" in create | resume) need topology; choose_accelerator ;; esac
  case "$verb" in
    run | resume)
      need config workdir
      [[ "$workdir" =~ ^gs://[^/]+/.+ ]] || refuse \
        "--workdir needs gs://BUCKET/PATH, not '$workdir': what is on a VM" \
        'goes with the VM.'
      ;;
  esac
  # Meant for this script, and dangerous where it is lost.
  case " ${train_args[*]-} " in
    *' --dry-run '*) refuse '--dry-run belongs before the --.' ;;
  esac
  [[ -n "$dry_run" ]] || command -v gcloud >/dev/null ||
    die 'gcloud is not installed: https://cloud.google.com/sdk/docs/install' \
      '(--dry-run needs none).'
}

# Google counts v5e and v6e in chips, but v5p in TensorCores, two a chip.
choose_accelerator() {
  local kind="${topology%-*}" chips="${topology##*-}" image
  local sizes='4 8 16 32 64 128 256' # of plan/topologies.py
  [[ "$topology" =~ ^v[0-9a-z]+-[1-9][0-9]*$ ]] ||
    refuse "--topology needs KIND-CHIPS such as v5e-16, not '$topology'."
  case "$kind" in
    v5e) image=v2-alpha-tpuv5-lite accelerator="v5litepod-$chips" ;;
    v5p) image=v2-alpha-tpuv5 accelerator="v5p-$((2 * chips))" ;;
    v6e) image=v2-alpha-tpuv6e accelerator="v6e-$chips" ;;
    *) refuse "--topology knows v5e, v5p and v6e, not '$kind'." ;;
  esac
  [[ "$kind" == v5p ]] || sizes="1 $sizes"
  [[ " $sizes " == *" $chips "* ]] ||
    refuse "--topology: slices of $kind have $sizes chips, not $chips."
  version="${version:-$image}"
}

# Shows a command and, unless this is a dry run, runs it.
perform() {
  if [[ -n "$dry_run" ]]; then
    printf '%s\n' "$(quoted "$@")"
  else
    say "+ $(quoted "$@")"
    "$@"
  fi
}

# A line of a dry run that is no command.
note() { printf '# %s\n' "$*"; }

# gcloud compute tpus GROUP VERB NAME, in the zone; more words may follow.
tpus() {
  local words=(gcloud compute tpus "$@" "--zone=$zone")
  [[ -z "$project" ]] || words+=("--project=$project")
  perform "${words[@]}"
}

on_all() {
  tpus queued-resources ssh "$name" --node=all --worker=all "--command=$1"
}

create() {
  local words=(queued-resources create "$name")
  words+=("--accelerator-type=$accelerator" "--runtime-version=$version")
  if ((slices > 1)); then
    words+=("--node-count=$slices" "--node-prefix=$name")
  else
    words+=("--node-id=$name")
  fi
  [[ -z "$spot" ]] || words+=(--spot)
  [[ -z "$internal" ]] || words+=(--internal-ips)
  tpus "${words[@]}"
}

# All that git does not ignore, changes included, and git's own folder, so
# that run.json names the commit.
pack() {
  local file
  mkdir -p "$ROOT/build"
  (
    cd "$ROOT"
    {
      git ls-files -z --cached --others --exclude-standard
      if [[ -d .git ]]; then printf '.git\0'; fi
    } | while IFS= read -r -d '' file; do
      if [[ -e "$file" ]]; then printf '%s\0' "$file"; fi
    done | tar --null -T - -czf "$PACKED"
  ) || die "$ROOT could not be packed; copy needs a clone made by git."
}

copy() {
  local unpack="mkdir -p $REMOTE && cd $REMOTE &&"
  unpack+=' find . -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} + &&'
  unpack+=' tar -xzf ../vbanana_jax.tar.gz && bash launch/tpu_worker.sh setup'
  if [[ -n "$dry_run" ]]; then
    note "packs $ROOT into $PACKED"
  else
    pack
  fi
  # Resume looks at the outcome, which switches `set -e` off: hence &&.
  tpus queued-resources scp "$PACKED" "$name:vbanana_jax.tar.gz" \
    --node=all --worker=all && on_all "$unpack"
}

# A checkpoint becomes valid by the renaming of its folder, which is one act
# only in a bucket with a hierarchical namespace.
check_bucket() {
  local bucket="${workdir#gs://}" answer
  bucket="gs://${bucket%%/*}"
  answer="$(perform gcloud storage buckets describe "$bucket" --raw \
    '--format=value(hierarchicalNamespace.enabled)')" ||
    die "$bucket cannot be read; make it as docs/pods.md says."
  if [[ -n "$dry_run" ]]; then
    printf '%s\n' "$answer"
  elif [[ "$answer" != True ]]; then
    die "$bucket has no hierarchical namespace, so that a checkpoint could" \
      'be half there; make a bucket as docs/pods.md says.'
  fi
}

run() {
  check_bucket
  on_all "bash $REMOTE/launch/tpu_worker.sh start $(quoted --config "$config" \
    --workdir "$workdir" ${train_args[@]+"${train_args[@]}"})"
}

worker_status() {
  local none="echo vbanana-run: none"
  on_all "bash $REMOTE/launch/tpu_worker.sh status 2>/dev/null || $none"
}

show_state() {
  tpus queued-resources describe "$name" '--format=value(state.state)'
  worker_status
}

show_logs() {
  tpus queued-resources ssh "$name" --node=0 "--worker=$worker" \
    '--command=tail -n 100 -F vbanana_run/log'
}

stop() { on_all "bash $REMOTE/launch/tpu_worker.sh stop"; }

delete() { tpus queued-resources delete "$name" --force "$@"; }

source "$ROOT/launch/tpu_resume.sh"

verb="${1:-}"
(($#)) && shift
case "$verb" in
  -h | --help) usage; exit ;;
  create | copy | run | state | logs | stop | resume | delete) ;;
  '') refuse 'what to do? create, copy, run, state, logs, stop, resume or' \
    'delete; --help explains them.' ;;
  *) refuse "unknown command '$verb'; --help lists them." ;;
esac
parse "$@"
check
case "$verb" in
  state) show_state ;;
  logs) show_logs ;;
  *) "$verb" ;;
esac
