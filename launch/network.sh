#!/usr/bin/env bash
# A network of the package, trained again: `bash launch/network.sh --help`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

usage() {
  cat <<'END'
usage: bash launch/network.sh NAME [--smoke] [--workdir DIR]

Trains a network that comes with the package anew, scenes-nano or
scenes-reader, exports its weights and scores these on the held-out scenes of
both levels. docs/networks.md has the scores of the ones that are shipped.

  --smoke        a few steps of everything: checks the journey in little
                 time; the scores mean nothing
  --workdir DIR  where the run goes (default: runs/NAME in the repository)
  --help         this text

Into DIR go the trainings, the export as NAME/, and scores/. Ctrl-C loses
nothing: run the same command again and it goes on where it stopped.
END
}

parse_run_flags "$@"
name="${others[0]:-}"
case "$name" in
  '') usage; exit 2 ;;
  scenes-nano | scenes-reader) ;;
  *) refuse "unknown argument '$name'; --help lists them." ;;
esac
((${#others[@]} == 1)) ||
  refuse "unknown argument '${others[1]}'; --help lists them."
W="${workdir:-$ROOT/runs/$name${smoke:+-smoke}}"
config="${name//-/_}"

# The running phase gets the same Ctrl-C and saves; stop with its exit code
# and do not start the next phase, even where it ended well.
trap 'code=$?; exit $((code ? code : 130))' INT

setup_env
export GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.hugetlb=1}"
if [[ "$name" == scenes-nano ]]; then
  vbanana train --config "$config:pretrain${smoke:+,smoke}" \
    --workdir "$W/pretrain"
  vbanana train --config "$config:tune${smoke:+,smoke}" --workdir "$W/tune" \
    "--config.init_from=$W/pretrain"
  vbanana train --config "$config:refine${smoke:+,smoke}" \
    --workdir "$W/refine" "--config.init_from=$W/tune"
  trained="$W/refine"
else
  vbanana train --config "$config${smoke:+:smoke}" --workdir "$W"
  trained="$W"
fi
export_network() {
  vbanana export --format safetensors --workdir "$1" --out "$W/$name" "${@:2}"
}
export_network "$trained"
for level in quick full; do
  vbanana evaluate --workdir "$W/$name" --out "$W/scores" --level "$level"
done
export_network "$W/$name" --results "$W"/scores/results*.json
