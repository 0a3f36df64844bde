"""The networks of FLUX.2 klein: latents in, latents out.

`Transformer` moves latents from noise to pictures, `Autoencoder` makes latents
of pictures and pictures of latents, `TextEncoder` (the first layers of Qwen3)
makes features of prompts. Their weights come from a snapshot of the published
network; `vbanana_jax.klein` reads it.
"""
