#!/usr/bin/env bash
# From a clone to a tuned generalist: `bash launch/quickstart.sh --help`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

usage() {
  cat <<'END'
usage: bash launch/quickstart.sh [--smoke] [--workdir DIR]

Pretrains a small image generator on scenes drawn on the fly, tunes it on a
mixture of vision tasks, scores every task and writes a report. It needs
Python >= 3.11 and no download but the packages; it runs on a CPU.

  --smoke        a few steps of everything: checks the journey in little
                 time; the scores mean nothing
  --workdir DIR  where the run goes (default: runs/quickstart in the
                 repository, or runs/quickstart_smoke with --smoke)
  --help         this text

Into DIR go pretrain/ and tune/ (checkpoints, metrics.jsonl, run.json),
results.json and report.html.

Ctrl-C loses nothing: run the same command again and it goes on where it
stopped, or says that it is done.

The active virtual environment is used; with none active, .venv is made in
the repository. PYTHON=/path/to/python3 chooses the Python for it. For a GPU,
activate an environment of your own and install into it first:
  pip install -c constraints.txt -e '.[cuda]'
END
}

parse_run_flags "$@"
((${#others[@]} == 0)) ||
  refuse "unknown argument '${others[0]}'; --help lists them."
W="${workdir:-$ROOT/runs/quickstart${smoke:+_smoke}}"

# The running phase gets the same Ctrl-C and saves; stop with its exit code
# and do not start the next phase, even where it ended well.
trap 'code=$?; exit $((code ? code : 130))' INT

setup_env
# Large arrays in pages of 2 MiB, where the system gives those to who asks: with
# 4 KiB a CPU spends a quarter of a step on them (docs/performance.md).
export GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.hugetlb=1}"
vbanana train --config "quickstart:pretrain${smoke:+,smoke}" --workdir "$W/pretrain"
vbanana train --config "quickstart:tune${smoke:+,smoke}" --workdir "$W/tune" \
  "--config.init_from=$W/pretrain"
vbanana evaluate --workdir "$W"
vbanana report --workdir "$W"
