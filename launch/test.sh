#!/usr/bin/env bash
# The whole test suite: `bash launch/test.sh --help`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

usage() {
  cat <<'END'
usage: bash launch/test.sh [PYTEST ARGUMENTS]

Sets up the environment as launch/quickstart.sh does, with what the tests
need, and runs the test suite on the CPU, as many files at a time as there are
cores, four at most. Arguments go to pytest, which then runs in one process:

  bash launch/test.sh                            everything
  bash launch/test.sh tests/test_durations.py -x one file, stop at a failure
  bash launch/test.sh -k depth --durations=10    by name; the slowest ten
END
}

case "${1:-}" in -h | --help) usage; exit 0 ;; esac

setup_env test
cd "$ROOT"
if (($# == 0)); then
  set -- --numprocesses=auto --maxprocesses=4 --dist=loadfile
fi
python -m pytest "$@"
