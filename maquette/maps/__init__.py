"""Pages that show works where their embeddings lie."""
