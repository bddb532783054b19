"""The commit statement with a guard taken out, for the proof that it is this guard that a finding's test bears out."""

from unguarded_commit import without

from domainflow.store import commit_sql

# What accounts a batch deletes its work item, in the same statement. A plain one accounts none.
FULL = without(commit_sql.FULL, "   where w.id = a.id", "   where w.id = a.id and false")
