"""The way to the lanes is closed for what would be written once the runtime's lease may be over."""

import pytest
from durable import Actor, emptied, item, migrated
from lane_stage import actor, admin, answers, lane, note, versions
from stage import Answers, Stage

from domainflow.errors import Unavailable
from domainflow.store.port import Committed, Loaded

__all__ = ["actor", "admin", "answers", "emptied", "lane", "migrated"]  # fixtures


def test_nothing_new_is_taken_in_hand_while_the_lease_may_be_over(lane: Stage, actor: Actor, answers: Answers) -> None:
    lane.holds_lease = False
    with pytest.raises(Unavailable, match=r"lease has run out.*nothing was done"):
        lane.committer.commit((item("s1"),), answers.to("commit"))
    with pytest.raises(Unavailable, match=r"lease has run out.*nothing was done"):
        lane.committer.note(note(), answers.to("note"))
    lane.holds_lease = True
    lane.committer.commit((item("s2"),), answers.to("later"))
    assert answers.take(1) == {"later": Committed(1)}
    assert (versions(actor, "s1"), actor.see("select count(*) from domainflow.event")) == ([], [1])


def test_a_stream_can_be_read_all_the_same(lane: Stage, actor: Actor, answers: Answers) -> None:
    actor.commit(item("s1"))
    lane.holds_lease = False
    lane.committer.load("s1", owned=False, fold_version=1, settled=answers.to("load"))  # type: ignore[arg-type]  # a Loaded
    loaded = answers.take(1)["load"]
    assert isinstance(loaded, Loaded)
    assert loaded.version == 1
