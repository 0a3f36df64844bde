"""Every key a config has, with its default: nothing is read that is not here.

Plain data only. Durations are '600 steps', '38_400 examples' or '5 percent'.
"""

from ml_collections import ConfigDict

# How the pictures of a source on disk are spoken about.
_WORDS = {
  'style': 'full',  # a key of tasks.prompt_styles.PROMPT_STYLES
  'least_classes': 1,  # of one legend
  'most_classes': 20,  # likewise, as far as there are and model.max_text holds
  'class_balance': 0.0,  # to 1: how far rare classes weigh more in the loss
}
# How far readings of a picture vary; these do not. See data.augment.Settings.
_AUGMENT = {
  'crop_scale': (1.0, 1.0),  # least and greatest share of the area
  'crop_ratio': (1.0, 1.0),  # least and greatest stretch
  'flip': 0.0,  # share that is mirrored, words included
  'gamma': 0.0,
  'brightness': 0.0,
  'contrast': 0.0,
  'saturation': 0.0,
  'hue': 0.0,
  'blur': 0.0,
  'noise': 0.0,
  'jpeg': 100,  # lowest quality
}
# Settings that each kind of source has, with their defaults.
SOURCES = {
  # Drawn scenes of a level of scenes.world.LEVELS; `textures` names a source
  # of photographs, whose detail is on all surfaces.
  'scenes': {'level': 'quick', 'textures': ''},
  # A folder made by `vbanana prepare`.
  'records': {'path': '', **_WORDS, 'augment': _AUGMENT},
  # A prepared TFDS set, in the folder `path`.
  'tfds': {'name': '', 'path': '', 'split': 'train', **_WORDS},
  # What `open_source(size)` of the Python file `path` returns.
  'python': {'path': '', **_WORDS},
}


def get_base() -> ConfigDict:
  """A complete config that the files of this folder change."""
  config = ConfigDict()
  config.seed = 0
  config.image_size = 64
  config.batch_size = 48
  config.accumulate = 1  # parts that a step takes one after the other
  config.length = '1000 steps'
  config.log_every = '10 steps'
  config.save_every = '100 steps'
  config.keep_checkpoints = 2  # the newest
  config.keep_every = ''  # and for good those of every '10_000 steps', say
  config.init_from = ''  # workdir whose averaged weights to start from

  # Where the log goes besides metrics.jsonl and scores.jsonl: 'tensorboard',
  # 'wandb' or both with a comma between them; see docs/training.md.
  config.writers = ''
  config.profile = ConfigDict()  # a trace of some steps, in the workdir
  config.profile.start = 0  # the first of them, counted from 1; 0 for none
  config.profile.steps = 5

  # Devices: their product is all there are; one may be -1, for the rest. Rows
  # of a batch are split over replica and fsdp, weights as `sharding` says.
  config.mesh = ConfigDict()
  config.mesh.replica = 1
  config.mesh.fsdp = -1
  config.mesh.tensor = 1
  config.sharding = 'fsdp'  # a key of sharding.PRESETS: dp, fsdp, fsdp_tp

  config.model = ConfigDict()
  config.model.family = 'pixels'  # or klein
  config.model.snapshot = ''  # of klein: the folder of vbanana import
  # Of klein: the folder in which `vbanana cache` has encoded the instructions;
  # a training then leaves the text encoder where it is.
  config.model.text_cache = ''
  config.model.lora = ConfigDict()  # of klein
  config.model.lora.rank = 0  # 0 trains the transformer itself
  config.model.lora.alpha = 16.0  # a change is scaled by alpha / rank
  config.model.lora.targets = 'attention'  # or blocks: all their matrices
  config.model.lora.path = ''  # folder of an adapter to begin with
  config.model.size = 'nano'  # of pixels; smoke, mini, small, base, large, xl
  config.model.patch = 8  # of pixels
  config.model.max_text = 160  # tokens; a longer instruction is refused
  config.model.remat = 'none'

  config.data = ConfigDict()
  config.data.text_length = 60  # tokens that batches are padded to
  config.data.short_text_length = 0  # of short instructions, sorted out; or 0
  # Of each source on disk, before a run fails: '20 records' or '0.1 percent'.
  config.data.bad_records = '0.1 percent'

  config.sources = ConfigDict()  # name -> its kind and settings, by any name
  config.sources.scenes = make_source('scenes')

  # TASK or TASK@SOURCE -> weight; 0 leaves it out. TASK alone is TASK@scenes.
  config.mixture = ConfigDict()
  config.mixture.generate = 0.0
  config.mixture.edit = 0.0
  config.mixture.depth = 0.0
  config.mixture.normals = 0.0
  config.mixture.semantic = 0.0
  config.mixture.referring = 0.0
  config.mixture.instance = 0.0

  config.loss = ConfigDict()
  config.loss.one_pass_share = 0.75  # of a vision task's examples
  config.loss.times = 'logit_normal'  # or uniform: the 1000 levels of FLUX.2
  config.loss.time_mean = -0.8  # of the logit-normal times
  config.loss.time_std = 0.8
  config.loss.shift = 'none'  # or flux1: by tokens; or a number, as '0.8'
  config.loss.weighting = 'none'  # or sigma_sqrt, cosmap

  config.optim = ConfigDict()
  config.optim.name = 'muon'
  config.optim.learning_rate = 0.013  # Muon's matrices
  config.optim.adam_learning_rate = 1e-3  # everything else
  config.optim.muon_iterations = 4
  config.optim.weight_decay = 0.0
  config.optim.clip = 1.0
  config.optim.warmup = 0.03  # share of the run
  config.optim.decay = 0.5  # share of the run, at its end
  config.optim.ema_decay = 0.999  # 0 takes no average and no memory for one

  config.eval = ConfigDict()
  config.eval.limit = 512  # scenes of the held-out set; 0 for none
  config.eval.batch_size = 48
  config.eval.constant_scenes = 256  # training scenes to fit constants on
  config.eval.sampled_limit = 64  # of what is always sampled; 0 for none
  config.eval.sampled_steps = 16
  config.eval.sampler = 'euler'  # or heun: two calls of the network a step
  config.eval.vision_steps = 8  # of vision tasks that are sampled too
  config.eval.gallery = 4  # examples a task in the report
  config.eval.every = '20 percent'  # of training: score curves; '' for none
  config.eval.watch = 48  # scenes of the held-out set for them
  config.eval.watch_sampled = 16  # of what is sampled; 0 for none
  # The network that looks for the facts of captions in generated pictures, a
  # workdir or a name of docs/networks.md; '' for none.
  config.eval.reader = 'scenes-reader'
  # Benchmarks for them too: 'nyuv2_depth=data/nyuv2', commas between several.
  config.eval.protocols = ''
  config.eval.protocol_examples = 64  # of each, from the start; 0 for all
  # What a run that begins from other weights paints before and after, from the
  # same noise, to show what is left of the generator; ';' between prompts.
  config.eval.retention = ConfigDict()
  config.eval.retention.prompts = (
    'a room with a red sphere; a room with two blue boxes; '
    'a room with a green cylinder and a yellow sphere; a room'
  )
  config.eval.retention.guidance = 1.0  # 1 is off
  return config


def make_source(kind: str, **settings) -> ConfigDict:
  """A source for `config.sources`: what is not given has its default."""
  if kind not in SOURCES:
    raise ValueError(f'no kind {kind!r}: choose of {", ".join(SOURCES)}')
  unknown = settings.keys() - SOURCES[kind].keys()
  if unknown:
    raise ValueError(
      f'{min(unknown)!r} is no setting of {kind!r}: choose of '
      f'{", ".join(SOURCES[kind])}'
    )
  config = ConfigDict({'kind': kind, **SOURCES[kind]})
  config.update(settings)
  return config


def parse_arg(arg: str, known: tuple[str, ...]) -> tuple[str, ...]:
  """Words of a config argument like 'tune,smoke'; an unknown one raises."""
  words = tuple(word for word in arg.split(',') if word)
  for word in words:
    if word not in known:
      raise ValueError(f'config argument {word!r}: choose of {known}')
  return words


def make_smoke(config: ConfigDict) -> ConfigDict:
  """The same run in a few seconds: checks the journey, teaches nothing."""
  config.image_size = 32
  config.model.size = 'smoke'
  config.batch_size = 8
  config.length = '6 steps'
  config.log_every = '2 steps'
  config.save_every = '3 steps'
  config.eval.limit = 16
  config.eval.batch_size = 8
  config.eval.constant_scenes = 8
  config.eval.sampled_limit = 8
  config.eval.sampled_steps = 2
  config.eval.vision_steps = 2
  config.eval.gallery = 1
  config.eval.every = ''  # it would take longer to compile than all the rest
  config.eval.watch_sampled = 0  # likewise
  config.eval.reader = ''
  config.eval.retention.prompts = ''  # likewise
  return config
