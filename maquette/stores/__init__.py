"""Where vectors are searched: PostgreSQL with pgvector, or a folder of LanceDB. A table for each embedding space."""
