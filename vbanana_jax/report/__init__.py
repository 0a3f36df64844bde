"""What a run looks like: pictures of answers, charts, and one HTML page."""
