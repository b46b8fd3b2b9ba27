"""One run's story as a page: pure functions from the run journal's documents to text and HTML."""
