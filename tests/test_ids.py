import subprocess
import sys
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from domainflow.ids import new_id, uuid7

MOMENTS = st.integers(0, 2**62)
BITS = st.integers(0, 2**62 - 1)


def test_an_id_is_32_hex_digits_of_a_version_7_uuid() -> None:
    made = new_id()
    assert len(made) == 32
    assert UUID(made).version == 7
    assert UUID(made).variant == RFC_4122


def test_ids_are_not_handed_out_twice() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


@given(earlier_ns=MOMENTS, gap_ns=st.integers(1000, 2**61), first=BITS, second=BITS)
def test_ids_a_microsecond_apart_sort_by_time(earlier_ns: int, gap_ns: int, first: int, second: int) -> None:
    assert uuid7(earlier_ns, first) < uuid7(earlier_ns + gap_ns, second)


@given(moment_ns=MOMENTS, bits=BITS)
def test_an_id_is_what_rfc_9562_says(moment_ns: int, bits: int) -> None:
    made = UUID(uuid7(moment_ns, bits))
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == moment_ns // 1_000_000
    assert made.int & (2**62 - 1) == bits


def test_a_fork_does_not_hand_out_its_parents_ids() -> None:
    script = """
import os
from domainflow.ids import new_id
new_id()  # more chance is drawn than one id takes
if child := os.fork():
    os.waitpid(child, 0)
print(new_id(), flush=True)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    told = run.stdout.split()
    assert len({made[16:] for made in told}) == 2  # what comes before is the time
