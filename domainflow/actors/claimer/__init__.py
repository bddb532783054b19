"""The claimer: takes work items, has them done by worker processes, stores what comes back."""
