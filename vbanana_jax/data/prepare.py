"""Turns a folder or zip of pictures into ArrayRecord shards with a manifest."""

import contextlib
import glob
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Sequence

import tqdm

from vbanana_jax.data import array_records, captions, photo_folder, photos
from vbanana_jax.data.folders import Listing, Member, list_members
from vbanana_jax.data.selection import TAKE_PHOTOGRAPHS, Selection
from vbanana_jax.errors import DiskFullError, UserError
from vbanana_jax.runtime import paths, workdir_lock
from vbanana_jax.tokenizer.tokenizer import Tokenizer

SHARD_BYTES = 128 * 2**20
MAX_TEXT = 160  # tokens, as model.max_text of the base config


def prepare_image_folder(
  path: str | os.PathLike,
  out: str | os.PathLike,
  *,
  name: str | None = None,
  caption: str | None = None,
  allow_unmatched: bool = False,
  selection: Selection = TAKE_PHOTOGRAPHS,
  max_pixels: int = photos.MAX_PIXELS,
  max_bytes: int = photos.MAX_BYTES,
  max_text: int = MAX_TEXT,
  shard_bytes: int = SHARD_BYTES,
) -> dict:
  """Write the pictures under `path` as shards in `out`; returns the manifest.

  Every picture is decoded once and every shard read again; what cannot be
  used is left out and listed in the manifest with the reason. Captions: see
  `captions.Captions`; where nothing describes any picture, all are kept
  with an empty one. The manifest's `notes` are what a person should know.
  `out` appears only when it is whole. Stopped and started again, finished
  shards are kept if they are as they were; on a finished `out` of the same
  input nothing is done.

  Args:
    path: folder or zip; a zip is read in place.
    out: folder to make.
    name: name of the data in logs; by default the stem of `path`.
    caption: caption of pictures that nothing else describes.
    allow_unmatched: take what matches where many captions and pictures do not.
    selection: which pictures are meant.
    max_pixels: leave out pictures with more pixels.
    max_bytes: leave out files longer than this.
    max_text: leave out pictures whose caption has more tokens.
    shard_bytes: encoded bytes in one shard, at most or one picture.

  Raises:
    UserError: there is nothing to prepare, captions cannot be read or do not
      match the pictures, there are label maps or several splits and `selection`
      does not say which, or `out` is taken.
  """
  path, out = paths.to_path(path), paths.to_path(out)
  paths.refuse_bucket(out, 'shards cannot be written')
  with list_members(path) as listing, contextlib.ExitStack() as stack:
    limits = {
      'max_pixels': max_pixels,
      'max_bytes': max_bytes,
      'max_text': max_text,
    }
    options = {**limits, 'caption': caption, 'shard_bytes': shard_bytes}
    if selection != TAKE_PHOTOGRAPHS:
      options['selection'] = selection
    fingerprint = _fingerprint(listing, options)
    if out.exists():
      return _existing(out, fingerprint)
    members = {m.name: m for m in listing.members if not _is_hidden(m.name)}
    pictures = [
      m for m in members.values() if _suffix(m.name) in photos.SUFFIXES
    ]
    chosen = selection.choose(pictures, str(path))
    _check_space(out, sum(member.size for member in chosen))
    texts = captions.Captions(members, caption, [m.name for m in chosen])
    selection.check_splits(texts.splits, str(path))
    notes = [*texts.check_matches(allow_unmatched), texts.describe()]
    if pictures[len(chosen) :]:
      notes.append(f'{len(pictures) - len(chosen)} pictures are not chosen')
    limits['wordless'] = texts.is_empty

    stack.enter_context(workdir_lock.hold_out(out))
    partial = _make_partial(out, fingerprint)
    shards = []
    with tqdm.tqdm(total=len(chosen), unit='image', desc='prepare') as bar:
      for number, group in enumerate(_split(chosen, shard_bytes)):
        shards.append(_prepare_shard(partial, number, group, texts, limits))
        bar.update(len(group))
    manifest = _make_manifest(path, name, listing, shards, fingerprint)
    several = [name for shard in shards for name in shard.get('several', ())]
    if several:
      notes.append(
        f'{len(several)} files hold several pictures, of which the first is '
        f'taken: {", ".join(several[:3])}{", ..." if several[3:] else ""}'
      )
    manifest['notes'] = notes
    if not manifest['count']:
      reasons = '; '.join(
        f'{entry["file"]}: {entry["reason"]}'
        for entry in manifest['skipped'][:3]
      )
      shutil.rmtree(partial)
      raise UserError(f'{path}: no picture to prepare ({reasons or "empty"})')
    manifest_path = partial / array_records.MANIFEST
    manifest_path.write_text(_to_json(manifest), encoding='utf-8')
    os.rename(partial, out)
    for journal in out.glob('shard-*.json'):
      journal.unlink()
    return manifest


def _make_partial(out: pathlib.Path, fingerprint: str) -> pathlib.Path:
  """Where shards wait until all are there; those of other input are removed."""
  partial = out.with_name(f'.{out.name}.{fingerprint[:16]}.partial')
  digits = '[0-9a-f]' * 16  # `photos.v2` is none of the names of `photos`
  for other in out.parent.glob(f'.{glob.escape(out.name)}.{digits}.partial'):
    if other != partial:
      shutil.rmtree(other)
  partial.mkdir(parents=True, exist_ok=True)
  return partial


def _prepare_shard(
  folder: pathlib.Path,
  number: int,
  members: Sequence[Member],
  texts: captions.Captions,
  limits: dict[str, int],
) -> dict:
  """One shard and its journal, or the journal where both are there."""
  path = folder / f'shard-{number:05d}.array_record'
  journal_path = path.with_suffix('.json')
  if journal_path.is_file():
    journal = json.loads(journal_path.read_text(encoding='utf-8'))
    if _is_whole(path, journal['sha256']):
      return journal
  records, skipped, several = [], [], []
  tell = several.append
  for member in members:
    try:
      caption = texts[member.name]
      records.append(_make_record(member, caption, tell=tell, **limits))
    except UserError as error:
      skipped.append({'file': member.name, 'reason': str(error)})
  digest = array_records.write_shard(path, records) if records else None
  journal = {
    'file': path.name,
    'count': len(records),
    'bytes': path.stat().st_size if records else 0,
    'sha256': digest,
    'skipped': skipped,
    'several': several,
  }
  unfinished = journal_path.with_suffix('.tmp')
  unfinished.write_text(_to_json(journal), encoding='utf-8')
  os.replace(unfinished, journal_path)
  return journal


def _is_whole(path: pathlib.Path, sha256: str | None) -> bool:
  """Whether a shard is as it was written; None stands for no shard."""
  if sha256 is None or not path.is_file():
    return sha256 is None
  return array_records.hash_file(path) == sha256


def _make_record(
  member: Member,
  caption: str | None,
  *,
  max_pixels: int,
  max_bytes: int,
  max_text: int,
  wordless: bool = False,
  tell: Callable[[str], None],
) -> bytes:
  if caption is None and wordless:
    caption = ''
  if caption is None:
    raise UserError(
      'no caption: give a metadata.csv, a name.txt, a class folder or --caption'
    )
  tokens = Tokenizer.load().count(caption)
  if tokens > max_text:
    raise UserError(f'its caption has {tokens} tokens, at most {max_text} fit')
  # What a zip declares may be false; one byte over the cap tells.
  encoded = member.read(max_bytes + 1)
  rgb_u8 = photos.open_photo(
    encoded, max_pixels, max_bytes=max_bytes, name=member.name, tell=tell
  )
  height, width, _ = rgb_u8.shape
  return array_records.pack_photo(
    array_records.Photo(encoded, caption, member.name, height, width)
  )


def _make_manifest(
  path: pathlib.Path,
  name: str | None,
  listing: Listing,
  shards: list[dict],
  fingerprint: str,
) -> dict:
  skipped = [{'file': f, 'reason': reason} for f, reason in listing.refused]
  for member in listing.members:
    if _is_hidden(member.name):
      skipped.append({'file': member.name, 'reason': "a system's own file"})
      continue
    if _suffix(member.name) in photos.SUFFIXES:
      continue
    if not captions.is_caption_file(member.name):
      skipped.append({'file': member.name, 'reason': 'not a picture suffix'})
  for shard in shards:
    skipped.extend(shard['skipped'])
  kept = ('file', 'count', 'bytes', 'sha256')
  written = [{k: s[k] for k in kept} for s in shards if s['count']]
  return {
    'schema_version': array_records.SCHEMA_VERSION,
    'name': name or path.stem,
    'source': path.name,
    'count': sum(shard['count'] for shard in written),
    'bytes': sum(shard['bytes'] for shard in written),
    'fingerprint': fingerprint,
    'shards': written,
    'skipped': sorted(skipped, key=lambda entry: entry['file']),
  }


def _existing(out: pathlib.Path, fingerprint: str) -> dict:
  if (out / array_records.MANIFEST).is_file():
    manifest = array_records.load_manifest(out)
    if manifest['fingerprint'] == fingerprint:
      return manifest
  raise UserError(
    f'{out}: holds something else already; choose another folder or remove it'
  )


def _check_space(out: pathlib.Path, wanted: int) -> None:
  parent = next(p for p in out.absolute().parents if p.exists())
  free = shutil.disk_usage(parent).free
  if wanted > free:
    raise DiskFullError(
      f'{parent}: {wanted} bytes of pictures, {free} bytes free'
    )


def _fingerprint(listing: Listing, options: dict) -> str:
  """Digest of what the shards are a function of."""
  members = [(m.name, m.size, m.stamp) for m in listing.members]
  version = array_records.SCHEMA_VERSION
  text = json.dumps([version, members, options], sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _split(members: Sequence[Member], shard_bytes: int) -> list[list[Member]]:
  groups, used = [], shard_bytes
  for member in members:
    if used + member.size > shard_bytes:
      groups.append([])
      used = 0
    groups[-1].append(member)
    used += member.size
  return groups


def _suffix(name: str) -> str:
  return pathlib.PurePosixPath(name).suffix.lower()


def _is_hidden(name: str) -> bool:
  return any(map(photo_folder.is_hidden, name.split('/')))


def _to_json(value: dict) -> str:
  text = json.dumps(value, indent=1, ensure_ascii=False)
  return text.encode(errors='backslashreplace').decode() + '\n'
