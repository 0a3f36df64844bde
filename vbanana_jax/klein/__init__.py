"""FLUX.2 klein from a snapshot: files, words, sampling.

  snapshot    a folder as `huggingface-cli download` leaves it, opened
  configs     its JSON files, read strictly
  stored      its safetensors files, read by slices
  tables      stored names and the parameters that they fill
  weights     the strict check of a table, and the arrays
  vendor      the vendor's single file
  sources     what an import is made of, checked
  importer    a snapshot to a folder for tuning, with a manifest
  imported    that folder, opened
  exporter    that folder, or what was tuned from it, for diffusers
  assembly    folders of large files, written piece by piece
  doctor      what a snapshot's networks make of pictures, line by line
  findings    a line: what was found, and whether it will do
  round_trip  painted numbers through the autoencoder and back
  published   nine pixels that the published distilled 4B paints
  tokenizer   prompts in the chat form that the network was trained with
  pictures    what happens to a reference picture before it is encoded
  pipeline    words and pictures to a picture

The networks themselves are in `vbanana_jax.models.klein`.
"""
