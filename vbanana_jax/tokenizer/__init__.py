"""Instructions to token ids and back."""
