"""What comes out of each kind of mistake, verb by verb: docs/mistakes.md.

Commands are given in the folder of `mistakes.make_place`.
"""

from typing import NamedTuple

KINDS = (
  'missing',
  'empty',
  'wrong type',
  'wrong size',
  'wrong unit',
  'too large',
  'duplicate',
  'not writable',
  'interrupted',
  'run twice',
  'two at once',
)


class Row(NamedTuple):
  """One mistake.

  Attributes:
    code: exit code; None where the kind has no meaning for the verb.
    says: words of the line on stderr; where code is 0, of all that is said.
    command: without `vbanana`; ' && ' stands between several.
    gist: what comes out, where `says` does not tell.
    raises: function in which Ctrl-C comes, as 'module:name'.
    test: of what is not tried here, 'file::test'.
  """

  code: int | None
  says: str = ''
  command: str = ''
  gist: str = ''
  raises: str = ''
  test: str = ''


def fails(command: str, says: str) -> Row:
  """A command that ends with a line that says these words."""
  return Row(2, says, command)


def goes_on(command: str, gist: str, says: str = '') -> Row:
  """A command that does what is right all the same."""
  return Row(0, says, command, gist)


def stopped(command: str, raises: str) -> Row:
  """Ctrl-C while a function runs."""
  return Row(130, 'interrupted', command, 'nothing is written', raises)


def elsewhere(code: int, gist: str, test: str) -> Row:
  """What another test tries."""
  return Row(code, gist=gist, test=test)


def nothing(reason: str) -> Row:
  """A kind without a meaning."""
  return Row(None, gist=reason)


_TRAIN = 'train --config quickstart:smoke --workdir w'
_PLAN = 'plan --config quickstart:smoke --topology v5e-1'
_GRADE = 'evaluate --data bench --protocol ibims1_depth --partial --predictions'
_PREDICT = 'predict --task normals --workdir run'
_PAINT = 'predict --protocol ibims1_depth --workdir run --data'
_EXPORT = 'export --task normals --platforms cpu --size 8x8 --out o --workdir'
_DECODE = 'decode --task depth'
_IMPORT = 'import klein klein --states 1,2,4'
_CACHE = 'cache --config klein_lora:smoke'
_BACK = 'export --format diffusers --out o --workdir'
_SHARE = 'export --format safetensors --workdir'
_NEW = 'protocol new --task depth --data'
_PROMPTS = 'prompts --protocol ibims1_depth --data'
_NO_RUN = 'has no checkpoint: make one'
_NO_FOLDER = 'no such folder'
_WHOLE = elsewhere(
  0,
  'each file is of one of them, whole',
  'test_paths.py::test_files_are_written_whole_and_added_to',
)
_READS = nothing('it writes nothing')

TABLE = {
  'train': {
    'missing': fails(
      f'{_TRAIN} --config.init_from=gone', 'gone holds no checkpoint'
    ),
    'empty': fails(
      f'{_TRAIN} --config.sources.mine.kind=records '
      '--config.sources.mine.path=nothing --config.mixture.generate@mine=2',
      'nothing: not a prepared folder',
    ),
    'wrong type': fails(
      f'{_TRAIN} --config.seed=many', "--config.seed is 0 and cannot become 'm"
    ),
    'wrong size': fails(
      f'{_TRAIN} --config.image_size=60', 'does not divide into patches of 8'
    ),
    'wrong unit': fails(
      f"{_TRAIN} '--config.length=5 miles'", "one of ('steps', 'examples'"
    ),
    'too large': fails(
      f'{_TRAIN} --config.batch_size=100000000000', 'lower one of them'
    ),
    'duplicate': fails(
      f'{_TRAIN} --config.seed=1 --config.seed=2',
      '--config.seed is given twice',
    ),
    'not writable': fails(
      'train --config quickstart:smoke --workdir file/w',
      'file/w cannot be written (Not a directory)',
    ),
    'interrupted': elsewhere(
      130,
      'all is saved; SIGTERM: 75',
      'test_resume.py::test_which_signal_asked',
    ),
    'run twice': elsewhere(
      0,
      'trained already; an unfinished one goes on; another config: 2',
      'test_train.py::test_a_finished_run_says_so_and_changes_nothing',
    ),
    'two at once': elsewhere(
      2,
      'is being trained by another process',
      'test_checkpoint.py::'
      'test_a_second_training_is_kept_out_until_the_first_is_killed',
    ),
  },
  'plan': {
    'missing': fails('plan --config gone.py --topology v5e-1', 'gone.py'),
    'empty': fails('plan --config empty.py --topology v5e-1', 'get_config'),
    'wrong type': fails(
      f'{_PLAN} --config.seed=many', "--config.seed is 0 and cannot become 'm"
    ),
    'wrong size': fails(
      'plan --config quickstart:smoke --topology v5e-7',
      'did you mean v5e-8?',
    ),
    'wrong unit': fails(f'{_PLAN} --memory 3GB', '--memory: invalid float'),
    'too large': elsewhere(
      0,
      'a program beyond --memory or --minutes is given up in its own line',
      'test_plan.py::test_a_program_that_is_given_up_says_why',
    ),
    'duplicate': fails(
      f'{_PLAN} --topology v5e-4', '--topology is given twice'
    ),
    'not writable': _READS,
    'interrupted': Row(
      130,
      'interrupted',
      _PLAN,
      'what is printed stays',
      'vbanana_jax.plan.planner:show_plan',
    ),
    'run twice': _READS,
    'two at once': _READS,
  },
  'evaluate --workdir': {
    'missing': fails('evaluate --workdir gone', f'gone {_NO_RUN}'),
    'empty': fails('evaluate --workdir nothing', f'nothing {_NO_RUN}'),
    'wrong type': fails('evaluate --workdir photo.png', f'photo.png {_NO_RUN}'),
    'wrong size': elsewhere(
      2,
      'a checkpoint of another network: every shape that differs',
      'test_checkpoint.py::test_another_model_is_refused_by_name',
    ),
    'wrong unit': fails(
      'evaluate --workdir run --tasks meters', "'meters' is none; choose of"
    ),
    'too large': nothing('the held-out set is as large as the config says'),
    'duplicate': fails(
      'evaluate --workdir run --workdir run', '--workdir is given twice'
    ),
    'not writable': fails(
      'evaluate --workdir run --out file/o', 'cannot write into file/o'
    ),
    'interrupted': stopped(
      'evaluate --workdir run', 'vbanana_jax.evaluate:evaluate'
    ),
    'run twice': elsewhere(
      0,
      'scored already: the table again; scores of another run in --out: 2',
      'test_trained_tasks.py::test_tasks_are_chosen_whether_trained_or_not',
    ),
    'two at once': _WHOLE,
  },
  'evaluate --predictions': {
    'missing': fails(
      _GRADE.replace(' --partial', '') + ' half', 'and --data lists 2'
    ),
    'empty': fails(f'{_GRADE} nothing', 'nothing: answers no example'),
    'wrong type': fails(f'{_GRADE} spoiled', 'spoiled/a_1.png: not a'),
    'wrong size': goes_on(
      f'{_GRADE} wide', 'the results count them', 'of another aspect'
    ),
    'wrong unit': goes_on(
      f'{_GRADE} grey', 'the results count them', 'hardly painted answers'
    ),
    'too large': fails(f'{_GRADE} large', 'large/a_1.png: far too many pixels'),
    'duplicate': fails(f'{_GRADE} double', 'a_1.jpg answers the same'),
    'not writable': fails(
      f'{_GRADE} right --out file/o', 'cannot write into file/o'
    ),
    'interrupted': stopped(
      f'{_GRADE} right', 'vbanana_jax.evaluation.score_folder:read_painted'
    ),
    'run twice': fails(
      f'{_GRADE} right --out o && {_GRADE} wide --out o',
      "(predictions 'right', not 'wide'): choose another --out, or --overwrite",
    ),
    'two at once': _WHOLE,
  },
  'report': {
    'missing': fails('report --workdir gone', 'gone has no results.json'),
    'empty': fails(
      'report --workdir blank', 'results.json cannot be read as JSON'
    ),
    'wrong type': fails(
      'report --workdir listed', 'listed/results.json: not results of this'
    ),
    'wrong size': elsewhere(
      2,
      'a gallery of other results is named',
      'test_writing.py::test_a_report_names_a_gallery_that_is_not_its_own',
    ),
    'wrong unit': nothing('it takes no number'),
    'too large': elsewhere(
      0,
      'pictures beyond the page are left out, and it says so',
      'test_report_page.py::test_page_stays_small_and_says_what_it_left_out',
    ),
    'duplicate': fails(
      'report --workdir scored --workdir run', '--workdir is given twice'
    ),
    'not writable': fails(
      'report --workdir stuck', 'cannot write stuck/report'
    ),
    'interrupted': stopped(
      'report --workdir scored', 'vbanana_jax.report.page:write_page'
    ),
    'run twice': goes_on(
      'report --workdir scored && report --workdir scored', 'written anew'
    ),
    'two at once': _WHOLE,
  },
  'predict': {
    'missing': fails(f'{_PREDICT} gone.png', 'gone.png: no such file'),
    'empty': fails(f'{_PREDICT} empty.png', 'empty.png: not a'),
    'wrong type': fails(f'{_PREDICT} text.png', 'text.png: not a JPEG, PNG'),
    'wrong size': goes_on(
      f'{_PREDICT} photo.png --size 16',
      'says so',
      'the network was trained on squares of 32',
    ),
    'wrong unit': fails(
      f'{_PREDICT} photo.png --steps 2 --guidance nan', 'give a finite number'
    ),
    'too large': fails(
      f'{_PREDICT} photo.png --size 100000', 'choose 512 at most'
    ),
    'duplicate': goes_on(
      f'{_PREDICT} twins twins/a.png',
      'a.jpg and a.png are answered once each, under names with their endings',
      'a.jpg_normals.npy',
    ),
    'not writable': fails(
      f'{_PREDICT} photo.png --out file/o', 'cannot write into file/o'
    ),
    'interrupted': stopped(
      f'{_PREDICT} photo.png',
      'vbanana_jax.inference.engine:InferenceEngine.paint',
    ),
    'run twice': fails(
      f'{_PREDICT} photo.png && {_PREDICT} photo.png --size 16',
      '(size 32, not 16): choose another --out, or --overwrite',
    ),
    'two at once': elsewhere(
      2,
      'another question: the later one is refused as above',
      'test_mistakes.py::test_what_appears_meanwhile_is_not_replaced',
    ),
  },
  'predict --protocol': {
    'missing': fails(f'{_PAINT} gone', f'gone: {_NO_FOLDER}'),
    'empty': fails(f'{_PAINT} nothing', 'there is no imagelist.txt'),
    'wrong type': fails(f'{_PAINT} photo.png', f'photo.png: {_NO_FOLDER}'),
    'wrong size': fails(f'{_PAINT} bench --size 7', '7 is less than 8'),
    'wrong unit': fails(
      f'{_PAINT} bench --split train', "has no split 'train': choose of test"
    ),
    'too large': fails(f'{_PAINT} bench --size 100000', 'choose 512 at most'),
    'duplicate': fails(f'{_PAINT} bench --data bench', '--data is given twice'),
    'not writable': fails(
      f'{_PAINT} bench --out file/o', 'cannot write into file/o'
    ),
    'interrupted': elsewhere(
      130,
      'the same command goes on',
      'test_painted_folder.py::test_a_stopped_painting_goes_on',
    ),
    'run twice': elsewhere(
      0,
      'pictures that are there stay; another run or size: 2',
      'test_painted_folder.py::test_another_way_of_painting_is_refused_by_name',
    ),
    'two at once': elsewhere(
      0,
      'whole, or told of the other',
      'test_painted_folder.py::test_two_at_once_end_whole_or_are_told',
    ),
  },
  'export': {
    'missing': fails(f'{_EXPORT} gone', f'gone {_NO_RUN}'),
    'empty': fails(f'{_EXPORT} nothing', f'nothing {_NO_RUN}'),
    'wrong type': fails(f'{_EXPORT} photo.png', f'photo.png {_NO_RUN}'),
    'wrong size': fails(
      'export --workdir run --task depth --out o --size 20x32',
      '--size 20x32 does not divide into patches of 8 pixels',
    ),
    'wrong unit': fails(
      'export --workdir run --task depth --out o --size 48cm',
      '48cm is not as 48x64',
    ),
    'too large': fails(
      'export --workdir run --task depth --out o --size 8x99999999',
      'choose 512 at most',
    ),
    'duplicate': fails(
      'export --workdir run --task semantic --classes a,a --out o',
      '--classes names something twice',
    ),
    'not writable': fails(
      'export --workdir run --task depth --out file/o',
      'cannot write into file/o',
    ),
    'interrupted': stopped(
      f'{_EXPORT} run', 'vbanana_jax.inference.export:export_program'
    ),
    'run twice': elsewhere(
      2,
      'another question or run: refused without --overwrite',
      'test_export.py::test_another_export_stays',
    ),
    'two at once': elsewhere(
      2,
      'files of two exports are not taken for one',
      'test_export.py::test_a_wrong_file_is_one_line',
    ),
  },
  'export --format': {
    'missing': fails(f'{_BACK} gone', 'gone is neither an import'),
    'empty': fails(f'{_BACK} nothing', 'nothing is neither an import'),
    'wrong type': fails(f'{_BACK} run', 'run did not tune FLUX.2 klein'),
    'wrong size': elsewhere(
      2,
      'weights of another network: the first shape that differs',
      'test_klein_import.py::test_weights_of_another_network_are_not_exported',
    ),
    'wrong unit': fails(f'{_BACK} run --task depth', 'alone'),
    'too large': elsewhere(
      4,
      'a disk without room is named before anything is written',
      'test_klein_import.py::test_a_disk_without_room_is_named',
    ),
    'duplicate': fails(f'{_BACK} i --workdir j', '--workdir is given twice'),
    'not writable': fails(
      f'{_IMPORT} --out i && export --format diffusers --workdir i '
      '--out file/o',
      'cannot write into file',
    ),
    'interrupted': elsewhere(
      130,
      'no --out; the same command goes on',
      'test_klein_import.py::test_an_interrupted_import_goes_on',
    ),
    'run twice': fails(
      f'{_IMPORT} --out i && {_BACK} i && {_BACK} i',
      'o holds something else already: choose another --out',
    ),
    'two at once': elsewhere(
      2,
      'is being made by another process',
      'test_klein_import.py::test_two_do_not_make_one_import',
    ),
  },
  'export --format safetensors': {
    'missing': fails(f'{_SHARE} gone --out o', f'gone {_NO_RUN}'),
    'empty': fails(f'{_SHARE} nothing --out o', f'nothing {_NO_RUN}'),
    'wrong type': fails(
      f'{_SHARE} run --out o --results list.json',
      'list.json: not results of this version',
    ),
    'wrong size': elsewhere(
      5,
      'a file that is cut short, or has other bytes, is named when it is read',
      'test_networks.py::test_a_damaged_export_is_one_line',
    ),
    'wrong unit': fails(
      f'{_SHARE} run --out o --results scored/results.json',
      'is of other weights (of nobody) than run',
    ),
    'too large': elsewhere(
      2,
      'weights that began from published ones are refused',
      'test_networks.py::test_what_is_not_exported',
    ),
    'duplicate': fails(f'{_SHARE} run --out o --out p', '--out is given twice'),
    'not writable': fails(
      f'{_SHARE} run --out file/o', 'cannot write into file/o'
    ),
    'interrupted': stopped(
      f'{_SHARE} run --out o',
      'vbanana_jax.training.exported_weights:pack',
    ),
    'run twice': goes_on(
      f'{_SHARE} run --out o && {_SHARE} run --out o',
      'the same bytes; an export of other weights: 2, without --overwrite',
    ),
    'two at once': _WHOLE,
  },
  'decode': {
    'missing': fails(f'{_DECODE} gone.png', 'gone.png: no such file'),
    'empty': fails(f'{_DECODE} empty.png', 'empty.png: not a'),
    'wrong type': fails(f'{_DECODE} text.png', 'text.png: not a JPEG, PNG'),
    'wrong size': goes_on(
      f'{_DECODE} painted.png --photo photo.png',
      "values are brought to the photo's size",
      '24 32',
    ),
    'wrong unit': goes_on(
      f'{_DECODE} grey.png', 'says so', 'grey.png: hardly a painted answer'
    ),
    'too large': fails(f'{_DECODE} huge.png', 'huge.png: far too many pixels'),
    'duplicate': goes_on(
      'decode --task normals twins/a.jpg twins/a.png twins/a.png',
      'a.jpg and a.png are read once each, under names with their endings',
      'a.jpg_normals.npy',
    ),
    'not writable': fails(
      f'{_DECODE} painted.png --out file/o', 'cannot write into file/o'
    ),
    'interrupted': stopped(
      f'{_DECODE} painted.png', 'vbanana_jax.decode.files:decode'
    ),
    'run twice': fails(
      f'{_DECODE} painted.png && {_DECODE} painted.png --photo photo.png',
      "(photo None, not 'photo.png'): choose another --out, or --overwrite",
    ),
    'two at once': _WHOLE,
  },
  'demo': {
    'missing': fails('demo --workdir gone', 'gone has no checkpoint'),
    'empty': fails('demo --workdir nothing', 'nothing has no checkpoint'),
    'wrong type': fails('demo --port http', 'invalid number value'),
    'wrong size': elsewhere(
      0,
      'pictures of any size are taken, and large ones shrunk',
      'test_demo.py::test_large_files_are_refused_and_large_pictures_shrunk',
    ),
    'wrong unit': nothing('no flag has another unit than its name says'),
    'too large': fails('demo --port 70000', '70000 is more than 65535'),
    'duplicate': fails('demo --port 1 --port 2', 'is given twice'),
    'not writable': nothing('it writes into a temporary folder alone'),
    'interrupted': stopped(
      'demo --workdir run', 'vbanana_jax.cli.runs:choose_run'
    ),
    'run twice': elsewhere(
      2,
      'the later one is told that the port is taken',
      'test_demo.py::test_a_taken_port_is_named',
    ),
    'two at once': elsewhere(
      0,
      'two who ask get their own answers, one after the other',
      'test_demo.py::test_two_at_once_get_their_own_answers_in_turn',
    ),
  },
  'prompts': {
    'missing': fails(f'{_PROMPTS} gone', f'gone: {_NO_FOLDER}'),
    'empty': fails(f'{_PROMPTS} nothing', 'there is no imagelist.txt'),
    'wrong type': fails(f'{_PROMPTS} photo.png', f'photo.png: {_NO_FOLDER}'),
    'wrong size': nothing('photographs may have any'),
    'wrong unit': fails(
      f'{_PROMPTS} bench --split train', "has no split 'train': choose of test"
    ),
    'too large': nothing('it writes words'),
    'duplicate': fails(
      f'{_PROMPTS} bench --data bench', '--data is given twice'
    ),
    'not writable': fails(
      f'{_PROMPTS} bench --out file/o', 'cannot write into file/o'
    ),
    'interrupted': stopped(
      f'{_PROMPTS} bench', 'vbanana_jax.benchmark.questions:make_requests'
    ),
    'run twice': elsewhere(
      2,
      'another protocol or split, or fewer passes: refused without '
      '--overwrite; more passes: more questions, which is said',
      'test_writing.py::test_no_listed_question_is_lost_by_other_passes',
    ),
    'two at once': _WHOLE,
  },
  'protocol new': {
    'missing': fails(f'{_NEW} gone', 'gone: not a whole prepared pictures'),
    'empty': fails(f'{_NEW} nothing', 'there is no manifest.json'),
    'wrong type': fails(f'{_NEW} photo.png', 'there is no manifest.json'),
    'wrong size': nothing('photographs may have any'),
    'wrong unit': fails(
      'protocol new --task semantic --data prepared',
      'no picture has semantic, which semantic is scored by; it has depth_m',
    ),
    'too large': elsewhere(
      2,
      'more classes than are scored: refused',
      'test_own_protocol.py::test_more_classes_than_are_scored',
    ),
    'duplicate': fails(
      f'{_NEW} prepared --data prepared', '--data is given twice'
    ),
    'not writable': fails(
      f'{_NEW} prepared --out file/o.json', 'cannot write into file'
    ),
    'interrupted': stopped(
      f'{_NEW} prepared', 'vbanana_jax.benchmark.own_protocol:make_protocol'
    ),
    'run twice': fails(
      f'{_NEW} prepared --out o.json && {_NEW} prepared --out o.json',
      'a protocol never changes',
    ),
    'two at once': _WHOLE,
  },
  'doctor': {
    'missing': Row(2, 'gone', 'doctor ibims1 gone', 'a finding'),
    'empty': Row(2, 'imagelist.txt', 'doctor ibims1 nothing', 'a finding'),
    'wrong type': fails('doctor ibims bench', "no protocol 'ibims': choose of"),
    'wrong size': elsewhere(
      2,
      'a finding',
      'test_doctor.py::test_a_resized_truth_a_wrong_unit_and_damage',
    ),
    'wrong unit': elsewhere(
      2,
      'a finding',
      'test_doctor.py::test_a_resized_truth_a_wrong_unit_and_damage',
    ),
    'too large': Row(
      2,
      '2 examples, 100 in the protocol',
      'doctor ibims1 bench --sample 999999',
      'all that are there are read, and the count is a finding',
    ),
    'duplicate': elsewhere(
      2, 'a finding', 'test_doctor.py::test_an_instance_that_is_listed_twice'
    ),
    'not writable': _READS,
    'interrupted': stopped(
      'doctor ibims1 bench', 'vbanana_jax.benchmark.doctor:examine'
    ),
    'run twice': _READS,
    'two at once': _READS,
  },
  'doctor klein': {
    'missing': fails('doctor klein gone', f'gone: {_NO_FOLDER}'),
    'empty': Row(2, 'model_index.json', 'doctor klein nothing', 'a finding'),
    'wrong type': fails('doctor klein notes.txt', f'notes.txt: {_NO_FOLDER}'),
    'wrong size': fails('doctor klein klein --size 72', 'no multiple of 16'),
    'wrong unit': fails(
      'doctor klein klein --states many', 'many is not as 9,18,27'
    ),
    'too large': fails(
      'doctor klein klein --size 100000', '100000 is more than 1024'
    ),
    'duplicate': fails(
      'doctor klein klein --size 64 --size 64', '--size is given twice'
    ),
    'not writable': _READS,
    'interrupted': stopped(
      'doctor klein klein', 'vbanana_jax.klein.doctor:examine'
    ),
    'run twice': _READS,
    'two at once': _READS,
  },
  'prepare image_folder': {
    'missing': fails(
      'prepare image_folder gone --out o', 'gone: no such folder or zip'
    ),
    'empty': fails(
      'prepare image_folder nothing --out o', 'nothing: no picture to prepare'
    ),
    'wrong type': fails(
      'prepare image_folder notes.txt --out o',
      'notes.txt: neither a folder nor a whole zip',
    ),
    'wrong size': goes_on(
      'prepare image_folder mixed --out o',
      'a picture that is cut short is left out and named',
      'left out: cut.png',
    ),
    'wrong unit': nothing('it takes no unit'),
    'too large': fails(
      'prepare image_folder pets --out o --max-text 1',
      'its caption has 2 tokens, at most 1 fit',
    ),
    'duplicate': elsewhere(
      0,
      'of several captions the first is taken, and it says so',
      'test_captions.py::test_the_first_of_several_captions_is_taken',
    ),
    'not writable': fails(
      'prepare image_folder pets --out file/o', 'cannot write into file'
    ),
    'interrupted': elsewhere(
      130,
      'no --out; the same command goes on',
      'test_data_prepare.py::test_stopped_and_started_again',
    ),
    'run twice': fails(
      'prepare image_folder pets --out o && prepare image_folder twins --out o',
      'o: holds something else already; choose another folder',
    ),
    'two at once': elsewhere(
      2,
      'is being made by another process',
      'test_mistakes.py::test_two_do_not_prepare_one_folder',
    ),
  },
  'prepare folder': {
    'missing': fails('prepare folder gone --out o', f'gone: {_NO_FOLDER}'),
    'empty': fails(
      'prepare folder nothing --out o', 'nothing/images: no photograph there'
    ),
    'wrong type': fails(
      'prepare folder notes.txt --out o',
      'notes.txt: a file, and this kind reads a folder',
    ),
    'wrong size': fails(
      'prepare folder half_size --out o', 'one of them was resized'
    ),
    'wrong unit': fails(
      'prepare folder inches --out o', "depth.unit is 'inch': one of m, cm, mm"
    ),
    'too large': fails('prepare folder vast --out o', 'pixels'),
    'duplicate': fails(
      'prepare folder two_names --out o',
      'images/a.jpg and images/a.png have one name',
    ),
    'not writable': fails(
      'prepare folder own --out file/o', 'cannot write into file'
    ),
    'interrupted': elsewhere(
      130,
      'no --out; the same command goes on',
      'test_data_prepare.py::test_stopped_and_started_again',
    ),
    'run twice': fails(
      'prepare folder own --out o && prepare folder own --out o --max-text 9',
      'o: holds something else already; choose another folder',
    ),
    'two at once': elsewhere(
      2,
      'is being made by another process',
      'test_mistakes.py::test_two_do_not_prepare_one_folder',
    ),
  },
  'prepare webdataset': {
    'missing': fails('prepare webdataset gone --out o', 'gone: no such file'),
    'empty': fails('prepare webdataset nothing --out o', 'no *.tar in it'),
    'wrong type': fails(
      'prepare webdataset notes.txt --out o', 'notes.txt: not a whole tar'
    ),
    'wrong size': elsewhere(
      0,
      'a picture whose label has another size is left out and named',
      'test_datasets_webdataset.py::test_a_bad_part_is_one_line',
    ),
    'wrong unit': elsewhere(
      2,
      'labels without a meaning are refused, with an example',
      'test_datasets_webdataset.py::test_one_tar_and_a_meaning_elsewhere',
    ),
    'too large': elsewhere(
      2,
      'a tar that is cut short is refused',
      'test_datasets_webdataset.py::test_a_tar_that_is_cut_short_is_refused',
    ),
    'duplicate': elsewhere(
      0,
      'a second file of one name is left out and named',
      'test_datasets_webdataset.py::test_tricks_are_left_out_and_said',
    ),
    'not writable': nothing('as of `prepare folder`'),
    'interrupted': nothing('as of `prepare folder`'),
    'run twice': nothing('as of `prepare folder`'),
    'two at once': nothing('as of `prepare folder`'),
  },
  'prepare tables': {
    'missing': fails('prepare tables gone --out o', 'gone: no such file'),
    'empty': fails('prepare tables nothing --out o', 'no *.parquet or *.arrow'),
    'wrong type': fails(
      'prepare tables notes.txt --out o', 'notes.txt: damaged table'
    ),
    'wrong size': elsewhere(
      0,
      'a row whose picture is damaged is left out and named',
      'test_datasets_tables.py::test_a_bad_row_is_one_line',
    ),
    'wrong unit': elsewhere(
      2,
      'labels without a meaning are refused, with an example',
      'test_datasets_tables.py::test_columns_of_labels',
    ),
    'too large': elsewhere(
      2,
      'a table that is cut short is refused',
      'test_datasets_tables.py::test_damaged_tables_are_refused',
    ),
    'duplicate': elsewhere(
      2,
      'of several splits one has to be chosen',
      'test_datasets_tables.py::test_splits_are_asked_about',
    ),
    'not writable': nothing('as of `prepare folder`'),
    'interrupted': nothing('as of `prepare folder`'),
    'run twice': nothing('as of `prepare folder`'),
    'two at once': nothing('as of `prepare folder`'),
  },
  'prepare scenes': {
    'missing': nothing('it reads nothing'),
    'empty': fails('prepare scenes --out o --number 0', '0 is less than 1'),
    'wrong type': fails(
      'prepare scenes --out o --number many', "invalid number value: 'many'"
    ),
    'wrong size': fails('prepare scenes --out o --size 7', '7 is less than 8'),
    'wrong unit': fails('prepare scenes --out o --size 8cm', "value: '8cm'"),
    'too large': fails(
      'prepare scenes --out o --size 100000', '100000 is more than 4096'
    ),
    'duplicate': fails(
      'prepare scenes --out o --out p', '--out is given twice'
    ),
    'not writable': fails(
      'prepare scenes --out file/o', 'cannot write into file'
    ),
    'interrupted': Row(
      130,
      'interrupted',
      'prepare scenes --out o --number 2 --size 16',
      'no data set; the same command begins anew',
      'vbanana_jax.data.sources:SceneSource.__getitem__',
    ),
    'run twice': goes_on(
      'prepare scenes --out o --number 1 --size 16 && '
      'prepare scenes --out o --number 1 --size 16',
      'what is there stays; of other settings it is refused',
    ),
    'two at once': elsewhere(
      2,
      'is being made by another process',
      'test_mistakes.py::test_two_do_not_prepare_one_folder',
    ),
  },
  'import': {
    'missing': fails('import klein gone --out o', f'gone: {_NO_FOLDER}'),
    'empty': fails(
      'import klein nothing --out o', 'nothing/model_index.json cannot be read'
    ),
    'wrong type': fails(
      'import klein notes.txt --out o', 'notes.txt cannot be read'
    ),
    'wrong size': elsewhere(
      2,
      'a tensor of another name, shape or type, or with NaN; a file cut short',
      'test_klein_import.py::test_a_mistake_is_one_line_and_writes_nothing',
    ),
    'wrong unit': fails(
      'import klein distilled --states 1,2,4 --out o',
      'is distilled (model_index.json says is_distilled)',
    ),
    'too large': elsewhere(
      4,
      'a disk without room is named before anything is written',
      'test_klein_import.py::test_a_disk_without_room_is_named',
    ),
    'duplicate': fails(f'{_IMPORT} --out o --out p', '--out is given twice'),
    'not writable': fails(f'{_IMPORT} --out file/o', 'cannot write into file'),
    'interrupted': elsewhere(
      130,
      'no --out; the same command goes on',
      'test_klein_import.py::test_an_interrupted_import_goes_on',
    ),
    'run twice': goes_on(
      f'{_IMPORT} --out o && {_IMPORT} --out o',
      'what is there stays; of another snapshot it is refused',
    ),
    'two at once': elsewhere(
      2,
      'is being made by another process',
      'test_klein_import.py::test_two_do_not_make_one_import',
    ),
  },
  'cache': {
    'missing': fails(
      f'{_CACHE} --config.model.text_cache=o --config.model.snapshot=gone',
      'gone is no import',
    ),
    'empty': fails(_CACHE, 'config.model.text_cache is empty: name the folder'),
    'wrong type': fails(
      f'{_CACHE} --examples 3', '--examples: 3 is not as 0:10000'
    ),
    'wrong size': elsewhere(
      2,
      'instructions of another length, or of another text encoder, are there',
      'test_text_cache.py::test_states_of_another_kind_are_refused',
    ),
    'wrong unit': fails(
      'cache --config quickstart:smoke --config.model.text_cache=o',
      'only the family klein has a text encoder',
    ),
    'too large': elsewhere(
      4,
      'a disk without room is named before anything is encoded',
      'test_text_cache.py::test_a_listing_goes_on_and_no_room_is_named',
    ),
    'duplicate': fails(
      f'{_CACHE} --examples 0:1 --examples 0:2', '--examples is given twice'
    ),
    'not writable': elsewhere(
      2,
      'cannot write into it',
      'test_text_cache.py::test_two_do_not_fill_one_folder',
    ),
    'interrupted': elsewhere(
      130,
      'each file is whole; the same command goes on',
      'test_text_cache.py::test_a_listing_goes_on_and_no_room_is_named',
    ),
    'run twice': elsewhere(
      0,
      'what is there is not made again',
      'test_klein_run.py::'
      'test_a_training_from_text_states_made_ahead_is_the_same',
    ),
    'two at once': elsewhere(
      2,
      'is being made by another process',
      'test_text_cache.py::test_two_do_not_fill_one_folder',
    ),
  },
}
