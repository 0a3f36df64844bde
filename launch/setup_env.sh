# shellcheck shell=bash
# Shared set-up, sourced by the other scripts here and by .ci/run.
#
#   setup_env        finds or makes the environment and installs the package
#   setup_env EXTRA  the same, with an extra of setup.py: test, tpu or cuda;
#                    or several: test,plan
#
# Afterwards `python` and `vbanana` are those of the environment. It is the
# active one (venv, uv or a conda environment other than base) or else .venv
# in the repository, made with the first Python >= 3.11 that can make one.
# Nothing is installed again while setup.py, constraints.txt and the place of
# the repository stay as they are.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# One line and the exit code of a wrong command line.
refuse() {
  say "error: $*"
  exit 2
}

# Reads the flags of a script that trains: sets `smoke` ("smoke" or empty) and
# `workdir`, and `others` to the arguments that are left. --help is `usage`.
# shellcheck disable=SC2034 # scripts that source this file read them
parse_run_flags() {
  smoke='' workdir='' others=()
  while (($#)); do
    case "$1" in
      --smoke) smoke=smoke ;;
      --workdir)
        workdir="${2:-}"
        [[ -n "$workdir" ]] || refuse '--workdir needs a folder.'
        shift
        ;;
      --workdir=?*) workdir="${1#--workdir=}" ;;
      -h | --help) usage; exit 0 ;;
      *) others+=("$1") ;;
    esac
    shift
  done
}

# Prints a command so that a shell reads it back as the same words.
quoted() {
  local word words=''
  for word; do
    case "$word" in
      *\'*) word="$(printf '%q' "$word")" ;;
      *[!A-Za-z0-9_./:=@%,+-]* | '') word="'$word'" ;;
    esac
    words+="${words:+ }$word"
  done
  printf '%s' "$words"
}

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Prints the Python to make .venv with. $PYTHON wins; then the tested
# versions; then any other that is new enough.
find_python() {
  local candidate without_venv=''
  if [[ -n "${PYTHON:-}" ]]; then
    is_new_enough "$PYTHON" || die "PYTHON=$PYTHON is not Python >= 3.11."
    printf '%s' "$PYTHON"
    return
  fi
  for candidate in python3.12 python3.11 python3 python3.1{3,4} python; do
    is_new_enough "$candidate" || continue
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
    without_venv="${without_venv:-$candidate}"
  done
  if [[ -n "$without_venv" ]]; then
    die "$without_venv cannot make virtual environments; install its venv" \
      "package (on Debian and Ubuntu: apt install $without_venv-venv)."
  fi
  die 'no Python >= 3.11 found. Install one, or name it:' \
    'PYTHON=/path/to/python3 bash launch/quickstart.sh'
}

# Prints the folder of the environment, making .venv where none is active.
find_or_make_environment() {
  if [[ -n "${VIRTUAL_ENV:-}" ]]; then
    printf '%s' "$VIRTUAL_ENV"
  elif [[ -n "${CONDA_PREFIX:-}" && "${CONDA_DEFAULT_ENV:-}" != base ]]; then
    printf '%s' "$CONDA_PREFIX"
  else
    if ! "$ROOT/.venv/bin/python" -c 'import pip' 2>/dev/null; then
      local base_python
      base_python="$(find_python)" || exit 1
      say "Making a virtual environment in $ROOT/.venv ($base_python)"
      "$base_python" -m venv "$ROOT/.venv" >&2 ||
        die "could not make $ROOT/.venv; remove it and run this again."
    fi
    printf '%s' "$ROOT/.venv"
  fi
}

setup_env() {
  local extra="${1:-}" environment stamp want
  environment="$(find_or_make_environment)"
  export PATH="$environment/bin:$PATH"
  is_new_enough "$environment/bin/python" ||
    die "the environment $environment has no Python >= 3.11; deactivate it" \
      'and run this again.'

  # An installation with more extras serves one with fewer too.
  stamp="$environment/.vbanana_jax_installed"
  want="$(cd "$ROOT" && { pwd; cat setup.py constraints.txt; } | cksum)"
  if grep -qsE -e "^$want \\[(.*,)?$extra${extra:+[],]}" "$stamp"; then
    return
  fi
  python -m pip --version >/dev/null 2>&1 ||
    python -m ensurepip >/dev/null 2>&1 ||
    die "the environment $environment has no pip; add it and run this again."
  say "Installing vbanana_jax${extra:+ with [$extra]} into $environment" \
    '(some minutes the first time)'
  python -m pip install --quiet --use-pep517 \
    --constraint "$ROOT/constraints.txt" \
    --editable "$ROOT${extra:+[$extra]}" >&2 ||
    die 'the installation failed; the lines above say why.'
  printf '%s [%s]\n' "$want" "$extra" >"$stamp"
}
