import pytest
from kernel import Puppet

from domainflow.actors.cell import Cell
from domainflow.actors.dead_letters import DeadLetters
from domainflow.actors.directory import Directory, child_path, parent_of
from domainflow.actors.environment import Environment
from domainflow.actors.ref import Ref
from domainflow.clock import SystemClock
from domainflow.errors import Conflict


def ref(path: str) -> Ref[object]:
    return Cell(Environment(), path, Puppet, report=lambda _: None).ref


def directory(*paths: str) -> tuple[Directory, dict[str, Ref[object]]]:
    made, refs = Directory(), {path: ref(path) for path in paths}
    for each in refs.values():
        made.register(each)
    return made, refs


def test_an_actor_is_found_by_its_path_until_it_has_ended() -> None:
    made, refs = directory("campaigns/6f")
    assert made.find("campaigns/6f") is refs["campaigns/6f"]
    made.unregister(refs["campaigns/6f"])
    assert made.find("campaigns/6f") is None
    assert len(made) == 0


def test_a_path_is_taken_until_its_actor_has_ended() -> None:
    made, refs = directory("a")
    with pytest.raises(Conflict, match="a has not ended yet"):
        made.register(ref("a"))
    assert made.find("a") is refs["a"]


def test_unregistering_another_actor_of_the_same_path_does_nothing() -> None:
    made, refs = directory("a")
    made.unregister(ref("a"))
    assert made.find("a") is refs["a"]


def test_the_tree_lists_parents_before_children_and_siblings_in_start_order() -> None:
    made, _ = directory("root", "store", "campaigns", "store/coordinator", "campaigns/7a", "campaigns/6f")
    assert [each.path for each in made.tree()] == [
        "root", "store", "store/coordinator", "campaigns", "campaigns/7a", "campaigns/6f",
    ]  # fmt: skip
    assert [each.path for each in made.children("root")] == ["store", "campaigns"]
    assert [each.path for each in made.tree("campaigns")] == ["campaigns", "campaigns/7a", "campaigns/6f"]


def test_paths_are_names_from_below_the_root_down() -> None:
    assert child_path("root", "campaigns") == "campaigns"
    assert child_path("campaigns", "6f") == "campaigns/6f"
    assert (parent_of("campaigns/6f"), parent_of("campaigns")) == ("campaigns", "root")


def test_dead_letters_are_counted_and_the_last_hundred_kept() -> None:
    letters = DeadLetters(SystemClock())
    for number in range(150):
        letters.add("a", number, "stopped")
    assert letters.count() == 150
    assert letters.counts() == {"stopped": 150}
    assert [letter.message for letter in letters.last()] == list(range(50, 150))


def test_dead_letters_are_logged_no_faster_than_ten_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    letters = DeadLetters(SystemClock())
    for number in range(150):
        letters.add("a", f"secret {number}", "stopped")
    logged = capsys.readouterr()
    assert (logged.out + logged.err).count("dead_letter") == 10
    assert "secret" not in logged.out + logged.err
