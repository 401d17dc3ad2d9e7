"""Lines of requests, without a request: the time is an argument."""

from __future__ import annotations

import os
from math import inf

import pytest

from nbkit.http.throttle import LEAST, MOST, PROBE, START, STEP, Allowance, Control, Line, Result, Waiter


def make_line(**allowance):
    return Line("lab", "lab.test", Allowance(**allowance))


def fill(line, count, kind="m", now=0.0):
    slots = [line.enter(kind, now) for _ in range(count)]
    assert all(slots)
    return slots


def stand(line, *askers, kind="m", front=False):
    waiters = [Waiter(asker, kind) for asker in askers]
    for waiter in waiters:
        line.stand(waiter, front=front)
    return waiters


# ---- how many a server takes


@pytest.mark.parametrize(
    ("events", "limit"),
    [
        pytest.param([], START, id="start"),
        pytest.param(["answer"] * (START - 1), START, id="less than a window"),
        pytest.param(["answer"] * START, 2 * START, id="doubles"),
        pytest.param(["answer"] * 3 * START, 4 * START, id="doubles again"),
        pytest.param(["answer"] * 500, MOST, id="cap"),
        pytest.param(["refuse"], 16, id="cut"),
        pytest.param(["refuse"] * 3, 9, id="three episodes"),
        pytest.param(["refuse"] * 50, LEAST, id="floor"),
        pytest.param(["late"], START, id="an answer to nothing new"),
        pytest.param(["refuse", "late", "late"], 16, id="one episode"),
        pytest.param(["refuse", *["answer"] * 100], 16, id="no growth soon after a cut"),
        pytest.param(["refuse", "wait", *["answer"] * 16], 17, id="one step"),
        pytest.param(["refuse", "wait", *["answer"] * 100], 17, id="one step at a time"),
        pytest.param(["refuse", "wait", *["answer"] * 16, "wait", *["answer"] * 17], 18, id="two steps"),
        pytest.param(["fail", *["answer"] * START], START, id="5xx pauses growth"),
        pytest.param(["fail", "wait", *["answer"] * START], 2 * START, id="and no longer"),
    ],
)
def test_the_limit_follows_the_answers(events, limit):
    control, now = Control(), 0.0
    for event in events:
        if event == "answer":
            control.note_answer(now)
        elif event == "refuse":
            assert control.note_refusal(control.cuts, now)
        elif event == "late":
            assert not control.note_refusal(control.cuts - 1, now)
        elif event == "fail":
            control.note_failure(now)
        else:
            now += STEP
    assert control.limit == limit


def test_only_answers_at_the_limit_raise_it():
    line = make_line()
    for _ in range(5 * START):
        (slot,) = fill(line, 1)
        line.release(slot, 0, Result.ANSWERED)
    assert line.limit == START
    slots = fill(line, START)
    for _ in range(START):
        line.release(slots.pop(), 0, Result.ANSWERED)
        slots += fill(line, 1)
    assert line.limit == 2 * START


def test_an_episode_is_one_cut_whatever_many_requests_are_refused():
    line = make_line()
    slots = fill(line, START)
    assert [line.refuse(slot, 0, 0, answers=0) for slot in slots[5:]] == [False] * 15  # nobody knew it
    assert (line.limit, line.in_flight) == (16, 5)
    more = fill(line, 11)
    assert [line.refuse(slot, 1, 0, answers=0) for slot in more] == [True] * 11  # the five were there before
    assert line.limit == 12
    for slot in slots[:5]:
        line.release(slot, 2, Result.ANSWERED)
    (last,) = fill(line, 1)
    assert line.refuse(last, 3, 0, answers=0)  # others were answered meanwhile
    (last,) = fill(line, 1)
    assert not line.refuse(last, 3, 0, answers=line.get_kind("m").answers)  # the server takes not even one


# ---- pauses


def test_after_a_pause_one_request_goes_first():
    line = make_line()
    slots = fill(line, 3)
    line.refuse(slots.pop(), 10, 2, answers=0)
    assert line.enter("m", 11) is None
    assert line.enter("other", 11)  # a limit is one model's
    assert line.list_pauses(11) == {"m": 1}
    waiters = stand(line, "a", "b", "c")
    assert [line.look(waiter, 11) for waiter in waiters] == [1, 1, 1]
    assert [line.look(waiter, 12) for waiter in waiters] == [0, PROBE, PROBE]
    assert (line.list_pauses(12), line.waiting) == ({}, 2)
    line.release(waiters[0].slot, 12.1, Result.ANSWERED)
    assert all(waiter.slot for waiter in waiters)


@pytest.mark.parametrize("refused", [True, False])
def test_the_request_that_goes_first_is_refused_again_or_takes_its_time(refused):
    line = make_line()
    line.pause("m", 0, 5)
    waiters = stand(line, *"abc")
    assert line.look(waiters[0], 5) == 0
    if refused:
        line.refuse(waiters[0].slot, 5.1, 8, answers=0)
        assert [line.look(waiter, 5.2) for waiter in waiters[1:]] == pytest.approx([7.9, 7.9])
    else:
        assert line.look(waiters[1], 5 + PROBE) == 0
        assert waiters[2].slot


def test_pauses_do_not_add_up_and_the_longest_counts():
    line = make_line()
    for seconds in (3, 1, 0):
        line.pause("m", 0, seconds)
    assert line.list_pauses(0) == {"m": 3}
    line.pause("m", 2, 1)
    assert line.list_pauses(2) == {"m": 1}


def test_episodes_without_an_answer_are_counted():
    line = make_line()
    for expected in (1, 2):
        line.refuse(*fill(line, 1), 0, 0, answers=0)
        assert line.get_kind("m").streak == expected
    line.release(*fill(line, 1), 0, Result.ANSWERED)
    assert line.get_kind("m").streak == 0


# ---- what a person has set


def test_set_limits_are_exact():
    line = make_line(at_once=3)
    slots = fill(line, 3)
    assert line.enter("m", 0) is None
    line.refuse(slots.pop(), 0, 0, answers=0)
    assert line.limit == 3  # not cut
    slots += fill(line, 1)
    assert line.enter("m", 0) is None


def test_requests_of_any_minute_are_counted():
    line, sent = make_line(requests=3), []
    for second in range(200):
        now = float(second)
        if slot := line.enter("m", now):
            sent.append(now)
            line.release(slot, now, Result.ANSWERED)
    assert sent == [0, 1, 2, 60, 61, 62, 120, 121, 122, 180, 181, 182]


def test_tokens_of_any_minute_are_counted_and_corrected():
    line = make_line(tokens=1000)
    first, second = line.enter("m", 0, 600), line.enter("m", 1, 400)
    assert line.enter("m", 2, 1) is None
    line.release(first, 3, Result.ANSWERED, tokens=100)
    third = line.enter("m", 4, 500)
    assert second
    assert third
    assert line.enter("m", 5, 1) is None
    (waiter,) = stand(line, "a")
    waiter.tokens = 450
    assert line.look(waiter, 5) == 56  # when 100 and 400 are a minute old
    assert line.look(waiter, 61) == 0


def test_a_request_with_more_tokens_than_the_limit_goes_alone():
    line = make_line(tokens=1000)
    assert line.enter("m", 0, 5000)
    assert line.enter("m", 59, 1) is None
    assert line.enter("m", 60, 1)


def test_new_limits_hold_for_those_who_wait():
    line = make_line(at_once=1)
    (slot,) = fill(line, 1)
    waiters = stand(line, *"abc")
    line.set_allowance(Allowance(at_once=3), 0)
    assert [bool(waiter.slot) for waiter in waiters] == [True, True, False]
    line.set_allowance(Allowance(), 0)
    assert slot
    assert waiters[2].slot


# ---- who is next


def test_askers_take_turns():
    line = make_line(at_once=1)
    (slot,) = fill(line, 1)
    order = []
    waiters = stand(line, "map", "map", "map", "chat", "map", "other")
    waiters += stand(line, "map", front=True)
    for number, waiter in enumerate(waiters):
        waiter.wake = lambda number=number: order.append(number)
    for _ in waiters:
        line.release(slot, 0, Result.ANSWERED)
        slot = waiters[order[-1]].slot
    assert order == [6, 3, 5, 0, 1, 2, 4]  # the one that was refused before is the first of its asker


def test_who_waits_for_a_paused_model_holds_nobody_up():
    line = make_line(at_once=1)
    (slot,) = fill(line, 1)
    line.pause("slow", 0, 50)
    (paused,) = stand(line, "a", kind="slow")
    (ready,) = stand(line, "a", kind="m")
    line.release(slot, 1, Result.ANSWERED)
    assert ready.slot
    assert not paused.slot


def test_a_newcomer_does_not_pass_those_who_wait():
    line = make_line(requests=1)
    line.release(*fill(line, 1), 0, Result.ANSWERED)
    (waiter,) = stand(line, "a")
    assert line.enter("m", 60) is None
    assert line.look(waiter, 60) == 0


def test_who_waits_for_a_slot_learns_of_a_pause():
    line = make_line(at_once=1)
    (slot,) = fill(line, 1)
    woken = []
    waiters = stand(line, "a", "a")
    for waiter in waiters:
        waiter.wake = lambda waiter=waiter: woken.append(waiter)
        line.look(waiter, 0)
        assert waiter.due == inf
    line.pause("m", 0, 5)
    line.release(slot, 1, Result.ANSWERED)
    assert woken == waiters[:1]  # nobody would look when the pause is over
    assert line.look(waiters[0], 1) == 4
    line.leave(waiters[0], 2)
    assert woken == waiters
    assert line.look(waiters[1], 5) == 0


# ---- leaving


@pytest.mark.parametrize("granted", [True, False])
def test_leaving_loses_no_slot(granted):
    line = make_line(at_once=1)
    (slot,) = fill(line, 1)
    first, second = stand(line, "a", "b")
    if granted:
        line.release(slot, 0, Result.ANSWERED)
    line.leave(first, 0)
    if not granted:
        line.release(slot, 0, Result.ANSWERED)
    assert second.slot
    assert (line.in_flight, line.waiting) == (1, 0)
    line.leave(second, 0)
    assert line.in_flight == 0


def test_a_waiter_of_a_closed_loop_is_passed_over():
    def fail():
        raise RuntimeError("Event loop is closed")

    line = make_line(at_once=1)
    (slot,) = fill(line, 1)
    closed, open_one = stand(line, "a", "b")
    closed.wake = fail
    line.release(slot, 0, Result.ANSWERED)
    assert open_one.slot
    assert line.in_flight == 1


def test_a_slot_comes_back_once_and_with_its_owner_at_last():
    line = make_line()
    (slot,) = fill(line, 1)
    line.release(slot, 0, Result.ANSWERED)
    line.release(slot, 0, Result.ANSWERED)
    assert line.in_flight == 0
    fill(line, 2)  # nobody keeps them
    assert line.in_flight == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_has_a_line_of_its_own():
    line = make_line(at_once=2)
    slots = fill(line, 2)
    stand(line, "a")
    line.pause("busy", 0, 100)
    child = os.fork()
    if child == 0:
        facts = line.in_flight, line.waiting, line.list_pauses(0)
        line.release(slots[0], 0, Result.ANSWERED)  # as a stream does that the parent had begun
        good = facts == (0, 0, {"busy": 100}) and line.in_flight == 0 and bool(line.enter("m", 0))
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (line.in_flight, line.waiting) == (2, 1)
