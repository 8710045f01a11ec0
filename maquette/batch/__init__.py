"""Photographs of an object store, shared out among the pods of a job."""
