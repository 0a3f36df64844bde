"""Scripts for pods: what they would do, and resume against a stand-in cloud.

No cloud is asked: `gcloud` is a stub that runs the commands for the VMs in a
folder, `srun` and `scontrol` write down how they were called.
"""

import math
import re
import shutil
import subprocess

import pytest
import yaml
from shells import ROOT, make_environment, run_script

from vbanana_jax import errors
from vbanana_jax.plan.topologies import TOPOLOGIES

LAUNCH = ROOT / 'launch'
SCRIPTS = [*sorted(LAUNCH.glob('*.sh')), LAUNCH / 'slurm.sbatch']
POD = ('my-run', '--zone', 'us-west4-a', '--topology', 'v5e-16')
RUN = ('--config', 'quickstart:tune', '--workdir', 'gs://bucket/runs/a')
ON_ALL = '--node=all --worker=all'
SAVED = errors.Preempted.exit_code


def find_kinds(error):
  """An error and all that are derived from it."""
  return [error, *(k for e in error.__subclasses__() for k in find_kinds(e))]


# What only a person can mend: everything but a stop that was asked for.
MENDED = sorted(
  {error.exit_code for error in find_kinds(errors.UserError)}
  - {error.exit_code for error in (errors.Interrupted, errors.Preempted)}
)


@pytest.fixture(scope='module')
def tools(tmp_path_factory):
  """A PATH of the few tools that are needed, and without any gcloud."""
  folder = tmp_path_factory.mktemp('tools')
  for tool in ('bash', 'cat', 'dirname', 'grep', 'sed'):
    (folder / tool).symlink_to(shutil.which(tool))
  return str(folder)


@pytest.fixture
def run_tpu(tools):
  """Runs tpu_vm.sh where no cloud can be reached."""

  def run(*args):
    return run_script('tpu_vm.sh', *args, env={'PATH': tools, 'HOME': '/none'})

  return run


@pytest.fixture
def dry_run(run_tpu):
  """Lines that a dry run prints."""

  def run(verb, *args):
    done = run_tpu(verb, '--dry-run', *args)
    assert done.returncode == 0 and done.stderr == '', done.stderr
    return done.stdout.splitlines()

  return run


def test_shellcheck_finds_nothing():
  done = subprocess.run(
    ['shellcheck', '--external-sources', '--source-path=SCRIPTDIR']
    + [str(path) for path in (*SCRIPTS, ROOT / '.ci' / 'run')],
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize('name', ['tpu_vm.sh', 'tpu_worker.sh', 'slurm.sbatch'])
def test_help_teaches(name):
  done = run_script(name, '--help')
  assert done.returncode == 0, done.stderr
  assert name in done.stdout and '--dry-run' in done.stdout


@pytest.mark.parametrize(
  'args, expected',
  [
    ((), 'what to do'),
    (('launch',), "unknown command 'launch'"),
    (('create',), 'NAME'),
    (('create', 'My_Run', '--zone', 'z'), "'My_Run'"),
    (('create', 'a', 'b'), "two names: 'a' and 'b'"),
    (('create', 'a'), '--zone'),
    (('create', 'a', '--zone'), '--zone needs a value'),
    (('create', 'a', '--zone', '--spot'), '--zone needs a value'),
    (('create', 'a', '--zone', 'z'), '--topology'),
    (('create', 'a', '--zone=z', '--topology=v5e'), 'KIND-CHIPS'),
    (('create', 'a', '--zone=z', '--topology=v9-16'), "not 'v9'"),
    (('create', 'a', '--zone=z', '--topology=v5p-08'), "not 'v5p-08'"),
    (('create', 'a', '--zone=z', '--topology=v5p-016'), "not 'v5p-016'"),
    (('create', 'a', '--zone=z', '--topology=v5p-1'), ' 4 8 16 32 '),
    (('create', 'a', '--zone=z', '--topology=v5e-17'), ' 1 4 8 16 32 '),
    (('create', *POD, '--slices', 'two'), "not 'two'"),
    (('create', *POD, '--slices', '0'), 'at least 1'),
    (('create', *POD, '--slices', '08'), "not '08'"),
    (('create', *POD, '--slices', '9' * 20), 'a whole number'),
    (('create', *POD, '--fast'), "'--fast'"),
    (('run', *POD), '--config'),
    (('run', *POD, '--config', 'x'), '--workdir'),
    (('run', *POD, '--config', 'x', '--workdir', '/a'), 'gs://BUCKET/PATH'),
    (('resume', *POD, '--config', 'x'), '--workdir'),
    (('resume', *POD, *RUN, '--', '--dry-run'), 'before the --'),
  ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
  args, expected, run_tpu
):
  done = run_tpu(*args)
  assert done.returncode == 2
  assert expected in done.stderr and done.stderr.count('\n') == 1
  assert done.stdout == ''


def test_without_gcloud_is_one_line(run_tpu):
  done = run_tpu('create', *POD)
  assert done.returncode == 1
  assert 'gcloud is not installed' in done.stderr
  assert done.stderr.count('\n') == 1


IMAGES = {
  'v5e': 'v2-alpha-tpuv5-lite',
  'v5p': 'v2-alpha-tpuv5',
  'v6e': 'v2-alpha-tpuv6e',
}


@pytest.mark.parametrize('name', TOPOLOGIES)
def test_create_asks_for_the_slice_that_was_planned_for(name, dry_run):
  topology = TOPOLOGIES[name]
  assert dry_run('create', 'a', '--zone=z', f'--topology={name}') == [
    'gcloud compute tpus queued-resources create a '
    f'--accelerator-type={topology.accelerator} '
    f'--runtime-version={IMAGES[topology.kind]} --node-id=a --zone=z'
  ]


@pytest.mark.parametrize('kind', IMAGES)
def test_a_refused_slice_names_all_that_can_be_planned(kind, run_tpu):
  done = run_tpu('create', 'a', '--zone=z', f'--topology={kind}-24')
  counts = [t.count for t in TOPOLOGIES.values() if t.kind == kind]
  assert done.returncode == 2
  assert f'{kind} have {" ".join(map(str, counts))} chips' in done.stderr


def test_create_with_every_option(dry_run):
  (line,) = dry_run(
    *('create', *POD, '--slices', '2', '--spot', '--internal-ips'),
    *('--version', 'v9', '--project', 'p', *RUN),
  )
  assert line == (
    'gcloud compute tpus queued-resources create my-run '
    '--accelerator-type=v5litepod-16 --runtime-version=v9 --node-count=2 '
    '--node-prefix=my-run --spot --internal-ips --zone=us-west4-a --project=p'
  )


def test_copy_packs_sends_and_installs(dry_run):
  packs, sends, installs = dry_run('copy', *POD)
  assert packs.startswith('# packs ')
  assert sends.startswith('gcloud compute tpus queued-resources scp ')
  assert f' my-run:vbanana_jax.tar.gz {ON_ALL} --zone=us-west4-a' in sends
  assert installs.startswith(
    f'gcloud compute tpus queued-resources ssh my-run {ON_ALL} '
  )
  assert 'tar -xzf ../vbanana_jax.tar.gz' in installs
  assert 'bash launch/tpu_worker.sh setup' in installs


def test_run_asks_for_the_bucket_and_starts_on_all(dry_run):
  bucket, start = dry_run('run', *POD, *RUN, '--', '--config.seed=1')
  assert bucket == (
    'gcloud storage buckets describe gs://bucket --raw '
    "'--format=value(hierarchicalNamespace.enabled)'"
  )
  assert start == (
    f'gcloud compute tpus queued-resources ssh my-run {ON_ALL} '
    "'--command=bash vbanana_jax/launch/tpu_worker.sh start --config "
    "quickstart:tune --workdir gs://bucket/runs/a --config.seed=1' "
    '--zone=us-west4-a'
  )


@pytest.mark.parametrize(
  'verb, fragment',
  [
    ('state', 'tpu_worker.sh status'),
    ('stop', 'tpu_worker.sh stop'),
    ('delete', 'delete my-run --force --zone=us-west4-a'),
  ],
)
def test_small_commands(verb, fragment, dry_run):
  assert fragment in dry_run(verb, 'my-run', '--zone', 'us-west4-a')[-1]


def test_logs_of_one_worker(dry_run):
  (line,) = dry_run('logs', *POD, '--worker', '3')
  assert '--node=0 --worker=3' in line and 'tail -n 100 -F' in line


def test_dry_run_of_resume_shows_every_step_in_order(dry_run):
  text = '\n'.join(dry_run('resume', *POD, *RUN, '--slices', '2', '--spot'))
  places = [
    text.index(fragment)
    for fragment in (
      'queued-resources describe my-run',
      'tpu-vm describe my-run-1',
      'queued-resources create my-run',
      'queued-resources delete my-run --force --quiet',
      'tpu_worker.sh status',
      'queued-resources scp',
      'tpu_worker.sh start',
    )
  ]
  assert places == sorted(places)


# -- the same scripts against a stand-in for the cloud -----------------------

# Answers from a file of states, the last one again and again; a VM is a
# folder that `create` makes and `delete` takes away with what runs there.
GCLOUD_STUB = """#!/usr/bin/env bash
set -euo pipefail
cd {folder}
printf '%s\\n' "$*" >>log
case "$*" in
  *'buckets describe'*) cat bucket ;;
  *'queued-resources describe'*)
    state="$(head -n 1 states)"
    (($(wc -l <states) == 1)) || sed -i 1d states
    [[ "$state" != ABSENT ]] || {{ echo 'ERROR: NOT_FOUND' >&2; exit 1; }}
    [[ "$state" != DOWN ]] || {{ echo 'no network' >&2; exit 1; }}
    echo "$state"
    ;;
  *'tpu-vm describe'*) cat node; echo READY >node ;;
  *'queued-resources create'*) mkdir vm ;;
  *'queued-resources delete'*)
    kill -9 "$(cat vm/vbanana_run/pid)" 2>/dev/null || true
    rm -rf vm
    ;;
  *'queued-resources scp'*) cp "$5" vm/vbanana_jax.tar.gz ;;
  *'queued-resources ssh'*)
    for word; do
      case "$word" in --command=*) command="${{word#--command=}}" ;; esac
    done
    cd vm
    HOME="$PWD" bash -c "$command"
    ;;
esac
"""


@pytest.fixture
def cloud(tmp_path):
  """A clone with the scripts, and variables in which `gcloud` is the stub.

  Returns: resume(states, behaviors) -> finished process, log of gcloud, log
  of vbanana. A behavior is what the next `vbanana` of a VM does, in bash.
  """
  clone, folder = tmp_path / 'clone', tmp_path / 'cloud'
  shutil.copytree(LAUNCH, clone / 'launch')
  for name in ('setup.py', 'constraints.txt'):
    shutil.copy(ROOT / name, clone)
  subprocess.run(['git', 'init', '-q', clone], check=True)
  environment = tmp_path / 'environment'
  environment.mkdir()
  folder.mkdir()
  # The first line of what is to come, which goes with being read.
  pops = (
    f'behavior="$(head -n 1 {folder}/behaviors)"; '
    f'sed -i 1d {folder}/behaviors; eval "$behavior"'
  )
  env, log = make_environment(environment, fails_on='train', failure=pops)
  stubs = {
    'gcloud': GCLOUD_STUB.format(folder=folder),
    'gcsfuse': f'#!/bin/sh\necho "gcsfuse $*" >>{log}\n',
  }
  for name, text in stubs.items():
    (environment / 'bin' / name).write_text(text)
    (environment / 'bin' / name).chmod(0o755)
  env['PATH'] = f'{environment}/bin:{env["PATH"]}'

  def resume(states, behaviors, *args, bucket='True', node='READY'):
    (folder / 'states').write_text('\n'.join(states) + '\n')
    (folder / 'behaviors').write_text('\n'.join(behaviors) + '\n')
    (folder / 'bucket').write_text(bucket)
    (folder / 'node').write_text(node)
    done = subprocess.run(
      ['bash', 'launch/tpu_vm.sh', 'resume', *POD, *RUN, '--poll=0', *args],
      cwd=clone,
      env=env,
      capture_output=True,
      text=True,
      timeout=60,
      stdin=subprocess.DEVNULL,
    )
    return done, (folder / 'log').read_text(), log.read_text()

  return resume


def count_starts(gcloud_log):
  return gcloud_log.count('tpu_worker.sh start')


def test_resume_from_nothing_through_a_preemption_to_the_end(cloud):
  done, calls, runs = cloud(
    ['ABSENT', 'PROVISIONING', 'ACTIVE', 'ACTIVE', 'SUSPENDED', 'ACTIVE'],
    ['exec sleep 50', 'exit 0'],
    '--spot',
    '--delete-at-end',
    '--',
    '--config.length=10 steps',
  )
  assert done.returncode == 0, done.stderr
  assert calls.count('queued-resources create my-run') == 2
  assert calls.count('queued-resources delete my-run') == 2  # the end is one
  assert calls.count('queued-resources scp') == 2
  assert 'training is done' in done.stderr
  started = re.findall(r'vbanana (train .*)', runs)
  assert len(started) == 2 and started[0] == started[1]
  assert re.fullmatch(
    r'train --config quickstart:tune --workdir \S+/vm/gcs/bucket/runs/a '
    r'--config.length=10 steps --distributed',
    started[0],
  )
  assert re.search(r'gcsfuse .*=0 bucket \S+/vm/gcs/bucket\n', runs)


def test_resume_sees_vms_that_are_gone_before_the_queue_does(cloud):
  done, calls, _ = cloud(['ACTIVE'], ['exit 0'], node='PREEMPTED')
  assert done.returncode == 0, done.stderr
  order = re.findall(r'queued-resources (delete|create|scp)', calls)
  assert order == ['delete', 'create', 'scp']


def test_resume_goes_on_after_a_saved_stop_without_another_copy(cloud):
  done, calls, _ = cloud(
    ['ABSENT', 'ACTIVE'], [f'exit {SAVED}', 'exit 0'], '--retries=0'
  )
  assert done.returncode == 0, done.stderr
  assert count_starts(calls) == 2 and calls.count('scp') == 1


@pytest.mark.parametrize('code', MENDED)
def test_resume_stops_for_what_a_person_has_to_mend(code, cloud):
  done, calls, _ = cloud(['ABSENT', 'ACTIVE'], [f'exit {code}'])
  assert done.returncode == 1
  assert f'exit code {code}' in done.stderr
  assert 'tpu_vm.sh logs my-run' in done.stderr
  assert count_starts(calls) == 1


def test_resume_tries_a_crash_again_and_not_for_ever(cloud):
  done, calls, _ = cloud(
    ['ABSENT', 'ACTIVE'], ['kill -9 $$'] * 3, '--retries', '2'
  )
  assert done.returncode == 1
  assert 'exit code 137, and no retry is left' in done.stderr
  assert count_starts(calls) == 3


def test_resume_gives_up_when_nobody_answers(cloud):
  done, calls, _ = cloud(['DOWN'], [])
  assert done.returncode == 1
  assert 'no network' in done.stderr and '5 failures' in done.stderr
  assert 'create' not in calls


def test_a_bucket_that_cannot_rename_folders_is_refused(cloud):
  done, calls, _ = cloud(['ABSENT', 'ACTIVE'], [], bucket='')
  assert done.returncode == 1
  assert 'no hierarchical namespace' in done.stderr
  assert count_starts(calls) == 0


# -- one VM ------------------------------------------------------------------


def test_worker_starts_once_stops_with_a_save_and_says_so(tmp_path):
  saves = (
    'trap "exit 75" TERM; touch "$HOME/ready"; while :; do sleep 0.1; done'
  )
  env, log = make_environment(tmp_path, fails_on='train', failure=saves)
  env['PATH'] = f'{tmp_path}/bin:{env["PATH"]}'

  def worker(*args):
    return run_script('tpu_worker.sh', *args, env=env)

  assert worker('status').stdout == 'vbanana-run: none\n'
  done = worker('start', '--config', 'x', '--workdir', 'w')
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith('vbanana-run: running ')
  again = worker('start', '--config', 'x', '--workdir', 'w')
  assert again.returncode == 1 and 'a run is alive' in again.stderr
  while not (tmp_path / 'home' / 'ready').exists():
    assert 'running' in worker('status').stdout
  assert worker('stop').stdout == 'vbanana-run: ended 75\n'
  assert worker('status').stdout == 'vbanana-run: ended 75\n'
  text = log.read_text()
  assert text.count('vbanana train') == 1
  assert 'vbanana train --config x --workdir w --distributed' in text
  assert '[tpu]' in text  # is what was installed


# -- GKE ---------------------------------------------------------------------


def read_jobset():
  return yaml.safe_load((LAUNCH / 'gke_jobset.yaml').read_text())


def test_jobset_has_a_pod_for_every_node_of_its_topology():
  manifest = read_jobset()
  assert manifest['apiVersion'] == 'jobset.x-k8s.io/v1alpha2'
  (job,) = manifest['spec']['replicatedJobs']
  job = job['template']['spec']
  pod = job['template']['spec']
  topology = pod['nodeSelector']['cloud.google.com/gke-tpu-topology']
  (container,) = pod['containers']
  chips = container['resources']['limits']['google.com/tpu']
  assert container['resources']['requests']['google.com/tpu'] == chips
  assert job['completions'] == job['parallelism']
  sides = [int(side) for side in topology.split('x')]
  assert job['completions'] * chips == math.prod(sides)
  assert container['command'][:2] == ['vbanana', 'train']
  assert '--distributed' in container['command']


def test_table_of_topologies_in_the_manifest_adds_up():
  text = (LAUNCH / 'gke_jobset.yaml').read_text()
  rows = re.findall(
    r'^#   (v\w+)-(\d+) +(tpu-\S+) +([\dx]+) +(\d+) +(\d+)$', text, re.M
  )
  assert len(rows) == 9
  for kind, chips, accelerator, layout, of_a_node, completions in rows:
    assert TOPOLOGIES[f'{kind}-{chips}'].layout == layout
    assert int(completions) * int(of_a_node) == int(chips)
    name = {'v5e': 'v5-lite-podslice'}.get(kind, f'{kind}-slice')
    assert accelerator == f'tpu-{name}'


def test_jobset_fails_for_good_on_what_a_person_has_to_mend():
  spec = read_jobset()['spec']
  (rule,) = spec['failurePolicy']['rules']
  assert rule['action'] == 'FailJobSet'
  job = spec['replicatedJobs'][0]['template']['spec']
  (rule,) = job['podFailurePolicy']['rules']
  codes = rule['onExitCodes']['values']
  assert codes == MENDED and SAVED not in codes


# -- Slurm -------------------------------------------------------------------


def run_slurm(tmp_path, code, gpus='4'):
  """Runs the batch script as Slurm would, with srun ending in a code."""
  env, log = make_environment(tmp_path)
  for name, then in (('srun', code), ('scontrol', 0)):
    stub = tmp_path / 'bin' / name
    stub.write_text(
      f'#!/bin/sh\necho "{name} $* [$JAX_LOCAL_DEVICE_IDS]" >>{log}\n'
      f'exit {then}\n'
    )
    stub.chmod(0o755)
  env['PATH'] = f'{tmp_path}/bin:{env["PATH"]}'
  env |= {
    'SLURM_JOB_ID': '77',
    'SLURM_SUBMIT_DIR': str(ROOT),
    'SLURM_GPUS_ON_NODE': gpus,
    'SLURM_CPUS_PER_TASK': '6',
  }
  spooled = tmp_path / 'slurm_script'  # Slurm runs a copy
  shutil.copy(LAUNCH / 'slurm.sbatch', spooled)
  done = subprocess.run(
    ['bash', spooled, '--config', 'x', '--workdir', '/shared/a'],
    env=env,
    cwd=tmp_path,
    capture_output=True,
    text=True,
    timeout=60,
  )
  return done, log.read_text()


def test_slurm_gives_a_process_all_gpus_of_its_node(tmp_path):
  done, log = run_slurm(tmp_path, 0)
  assert done.returncode == 0, done.stderr
  assert (
    'srun --wait=300 --kill-on-bad-exit=0 --cpus-per-task=6 vbanana train '
    '--config x --workdir /shared/a --distributed [0,1,2,3]' in log
  )
  assert '[cuda]' in log and 'scontrol' not in log


def test_slurm_queues_a_saved_run_again(tmp_path):
  done, log = run_slurm(tmp_path, SAVED)
  assert done.returncode == SAVED
  assert 'scontrol requeue 77' in log


def test_slurm_does_not_repeat_a_failure(tmp_path):
  done, log = run_slurm(tmp_path, errors.UserError.exit_code)
  assert done.returncode == errors.UserError.exit_code
  assert 'scontrol' not in log


def test_slurm_dry_run_and_missing_arguments():
  done = run_script('slurm.sbatch', '--dry-run', '--config=x', '--workdir=/a b')
  assert done.returncode == 0, done.stderr
  assert "sbatch launch/slurm.sbatch --config=x '--workdir=/a b'" in done.stdout
  assert "vbanana train --config=x '--workdir=/a b' --distributed" in (
    done.stdout
  )
  for args in (
    ['--config', 'x'],
    ['--workdir', 'x'],
    ['--workdir', '--config'],
    ['--workdir', '--config', 'x'],
    ['--config=x', '--workdir='],
    ['--config=x', '--workdir'],
    [],
  ):
    done = run_script('slurm.sbatch', '--dry-run', *args)
    assert done.returncode == 2 and done.stderr.count('\n') == 1
  done = run_script('slurm.sbatch', '--config=x', '--workdir=/a')
  assert done.returncode == 2 and 'sbatch launch/slurm.sbatch' in done.stderr


def test_slurm_signals_the_training_and_not_the_script():
  lines = (LAUNCH / 'slurm.sbatch').read_text().splitlines()
  options = [line.split()[1] for line in lines if line.startswith('#SBATCH')]
  assert '--signal=TERM@300' in options and '--requeue' in options
  assert '--ntasks-per-node=1' in options
