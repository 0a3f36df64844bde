# shellcheck shell=bash
# `tpu_vm.sh resume`: looks, does what is missing, waits, looks again.
#
# Sourced by tpu_vm.sh, whose functions and options it uses:
# shellcheck disable=SC2154

# Prints the state of the queue: one of Google's words, ABSENT where nothing
# of that name exists, or UNKNOWN where nobody answered. A slice whose VMs
# were taken away counts as SUSPENDED, also where the queue is behind.
queue_state() {
  local answer node state
  if ! answer="$(tpus queued-resources describe "$name" \
    '--format=value(state.state)' 2>&1)"; then
    if grep -qiE 'not[ _]found' <<<"$answer"; then
      printf 'ABSENT'
    else
      say "${answer##*$'\n'}"
      printf 'UNKNOWN'
    fi
    return
  fi
  state="${answer##*$'\n'}"
  for ((node = 0; node < slices; node++)); do
    [[ "$state" == ACTIVE ]] || break
    answer="$(tpus tpu-vm describe "$(node_name "$node")" \
      '--format=value(state)' 2>/dev/null)" || true
    case "$answer" in PREEMPTED | TERMINATED) state=SUSPENDED ;; esac
  done
  printf '%s' "$state"
}

node_name() { if ((slices > 1)); then echo "$name-$1"; else echo "$name"; fi; }

# Prints what the run does, over all VMs: running, none, done, saved, or
# crashed CODE; nothing where no VM answers.
run_state() {
  local answer code outcome='done'
  answer="$(worker_status 2>/dev/null | grep '^vbanana-run: ' || true)"
  case "$answer" in
    '') return ;;
    *': running'*) outcome=running ;;
    *': none'*) outcome=none ;;
    *)
      while read -r _ _ code; do
        case "$code" in
          0) ;;
          [2-5]) outcome="crashed $code"; break ;;
          "$SAVED") [[ "$outcome" != 'done' ]] || outcome=saved ;;
          *) outcome="crashed $code" ;;
        esac
      done <<<"$answer"
      ;;
  esac
  echo "$outcome"
}

spend_retry() {
  ((retries > 0)) || die "$*, and no retry is left; see" \
    "'bash launch/tpu_vm.sh logs $name --zone $zone'."
  retries=$((retries - 1))
  say "$*; $retries retries are left"
}

# Acts on what the run of a slice that is there does.
tend_run() {
  local state
  state="$(run_state)"
  case "$state" in
    '') return 1 ;;
    running) say 'training runs' ;;
    none) copy && run ;;
    saved) run ;;
    done) finished=yes ;;
    *)
      # What only a person can mend is not tried again.
      case "$state" in *' '[2-5]) retries=0 ;; esac
      spend_retry "training ended with exit code ${state#crashed }"
      run
      ;;
  esac
}

# One look and what follows from it; fails where somebody did not answer.
look() {
  local state
  state="$(queue_state)"
  case "$state" in
    ACTIVE) tend_run ;;
    ABSENT) create ;;
    UNKNOWN) return 1 ;;
    SUSPENDED)
      say 'the slice was taken away; asking for another'
      delete --quiet && create
      ;;
    FAILED)
      spend_retry 'the queue could not give the slice'
      delete --quiet && create
      ;;
    *) say "the queue says $state" ;;
  esac
}

resume() {
  local failures=0 finished=''
  if [[ -n "$dry_run" ]]; then
    show_resume
    return
  fi
  while :; do
    if look; then failures=0; else failures=$((failures + 1)); fi
    [[ -z "$finished" ]] || break
    ((failures < TRIES)) ||
      die "$TRIES failures in a row, as the lines above say; training may go" \
        'on, and the same command looks after it again.'
    sleep "$poll"
  done
  say 'training is done'
  [[ -z "$at_end" ]] || delete --quiet
}

show_resume() {
  local node
  note "every $poll seconds"
  tpus queued-resources describe "$name" '--format=value(state.state)'
  for ((node = 0; node < slices; node++)); do
    tpus tpu-vm describe "$(node_name "$node")" '--format=value(state)'
  done
  note 'nothing of that name:'
  create
  note 'SUSPENDED or FAILED, or a VM PREEMPTED: first'
  delete --quiet
  note 'ACTIVE:'
  worker_status
  note 'and on new VMs:'
  copy
  run
  if [[ -n "$at_end" ]]; then
    note 'in the end:'
    delete --quiet
  fi
}
