"""The monitor: sees that what should move moves and that what is stored is sound, and raises alerts; mends nothing."""
