"""The embedded world: scenes, their pictures, labels and language."""
