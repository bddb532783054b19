"""The four phases as functions from a batch to its result: no actors, no SQL."""
