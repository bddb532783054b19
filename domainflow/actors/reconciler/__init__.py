"""The reconciler: compares what should be alive with what is, and acts on the difference; again and again."""
