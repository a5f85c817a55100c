"""Live goes first, bulk never starves, and each class is first come first served."""

from hypothesis import given
from hypothesis import strategies as st

from embedding_service.engine.lines import BULK_TURN, TwoLines
from embedding_service.engine.terms import PRIORITIES, Priority, usual_priority

Entry = tuple[Priority, int]


def lines_of(entries: list[Priority]) -> TwoLines[Entry]:
    lines: TwoLines[Entry] = TwoLines()
    for number, priority in enumerate(entries):
        lines.push((priority, number), priority)
    return lines


def test_one_turn_in_four_is_bulks_while_both_wait() -> None:
    live: Priority = "live"
    entries: list[Priority] = ["bulk", "bulk", "bulk", *([live] * 7)]
    lines = lines_of(entries)
    turns = [lines.turn()[0][0] for _ in range(10)]
    assert "".join(turns) == "lllblllblb"


def test_a_head_may_keep_its_place_for_more_turns() -> None:
    lines = lines_of(["bulk", "live"])
    assert [lines.turn(keep=True)[0] for _ in range(5)] == ["live"] * 3 + ["bulk", "live"]
    assert len(lines) == 2


@given(st.lists(st.sampled_from([*PRIORITIES, None]), max_size=200))
def test_whoever_waits_waits_a_bounded_number_of_turns(steps: list[Priority | None]) -> None:
    """None takes a turn. However many come later, those before one in its line decide its wait."""
    lines: TwoLines[Entry] = TwoLines()
    before: dict[Entry, int] = {}
    waited: dict[Entry, int] = {}
    for number, step in enumerate([*steps, *[None] * len(steps)]):
        if step is not None:
            entry = (step, number)
            before[entry] = sum(other[0] == step for other in waited)
            waited[entry] = 0
            lines.push(entry, step)
        elif waited:
            head, found = lines.head(), lines.turn()
            assert head == found
            turns = waited.pop(found)
            places = before[found] + 1
            own_turns_in = BULK_TURN if found[0] == "bulk" else BULK_TURN / (BULK_TURN - 1)
            assert turns < places * own_turns_in + 1
            waited = {entry: turns + 1 for entry, turns in waited.items()}
    assert not waited
    assert len(lines) == 0


@given(st.lists(st.sampled_from(PRIORITIES), max_size=50), st.sets(st.integers(0, 49)))
def test_sweeping_takes_out_just_what_is_gone(entries: list[Priority], gone: set[int]) -> None:
    lines = lines_of(entries)
    left = lines.sweep(lambda entry: entry[1] in gone)
    assert {number for _, number in left} == gone & set(range(len(entries)))
    kept = [lines.turn() for _ in range(len(lines))]
    for priority in PRIORITIES:
        numbers = [number for found, number in kept if found == priority]
        assert numbers == sorted(numbers)
    assert len(kept) + len(left) == len(entries)


def test_small_requests_are_live() -> None:
    assert [usual_priority(items, 4) for items in (1, 4, 5)] == ["live", "live", "bulk"]
