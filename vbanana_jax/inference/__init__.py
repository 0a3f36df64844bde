"""A trained network answering about pictures, and exported programs."""
