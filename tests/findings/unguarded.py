"""The commit statement with a guard taken out, for the proof that it is this guard that a finding's test bears out."""

import re
from typing import Final

from domainflow.store.commit import COMMIT

# What accounts a batch deletes its work item, in the same statement.
ACCOUNTED: Final = re.compile(r"\), accounted as \(.*?(?=\), shifted as \()", re.DOTALL)
assert len(ACCOUNTED.findall(COMMIT)) == 1

COMMIT_WITHOUT_ACCOUNTED: Final = ACCOUNTED.sub("", COMMIT)
