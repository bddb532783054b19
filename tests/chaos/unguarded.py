"""A guard taken out, for the proof that the rounds would show it."""

from unguarded_commit import both_without

PLAIN, FULL = both_without("key_answer <> ''", "false")
