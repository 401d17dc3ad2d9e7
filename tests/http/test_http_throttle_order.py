"""Lines of requests under any sequence of events, and under threads."""

from __future__ import annotations

import threading

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from test_http_throttle import fill, make_line, stand

from nbkit.http.throttle import LEAST, MOST, WINDOW, Allowance, Line, Result, Waiter


class Crowd(RuleBasedStateMachine):
    """Requests of several askers and kinds, in any order: never more than the limit, and every slot comes back."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.line = Line("lab", "lab.test")
        self.slots, self.waiters, self.sent, self.woken = [], [], [], set()

    def note(self, slot):
        self.slots.append(slot)
        self.sent.append(self.now)
        assert self.line.in_flight <= self.line.limit

    def collect(self):
        """Do what waiters do: look when they are woken, or when it is time."""
        while ready := [one for one in self.waiters if not one.slot and (one in self.woken or one.due <= self.now)]:
            self.woken.discard(ready[0])
            self.line.look(ready[0], self.now)
        for waiter in [one for one in self.waiters if one.slot]:
            self.waiters.remove(waiter)
            self.note(waiter.slot)

    @rule(requests=st.none() | st.integers(1, 8), at_once=st.none() | st.integers(1, 5))
    def set_limits(self, requests, at_once):
        self.line.set_allowance(Allowance(requests, None, at_once), self.now)
        self.sent = []
        self.collect()

    @rule(kind=st.sampled_from("mn"), asker=st.sampled_from("abc"), front=st.booleans())
    def come(self, kind, asker, front):
        if slot := self.line.enter(kind, self.now):
            self.note(slot)
        else:
            waiter = Waiter(asker, kind)
            waiter.wake = lambda: self.woken.add(waiter)
            self.woken.add(waiter)
            self.line.stand(waiter, front=front)
            self.waiters.append(waiter)
            self.collect()

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), result=st.sampled_from(Result))
    def end(self, data, result):
        slot = self.slots.pop(data.draw(st.integers(0, len(self.slots) - 1)))
        self.line.release(slot, self.now, result)
        self.collect()

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), seconds=st.floats(0, 60))
    def refuse(self, data, seconds):
        slot = self.slots.pop(data.draw(st.integers(0, len(self.slots) - 1)))
        self.line.refuse(slot, self.now, seconds, answers=0)
        self.collect()

    @precondition(lambda self: self.waiters)
    @rule(data=st.data())
    def leave(self, data):
        self.line.leave(self.waiters.pop(data.draw(st.integers(0, len(self.waiters) - 1))), self.now)
        self.collect()

    @rule(seconds=st.floats(0.01, 100))
    def pass_time(self, seconds):
        self.now += seconds
        self.collect()

    @invariant()
    def every_slot_is_known(self):
        assert self.line.in_flight == len(self.slots)
        assert self.line.waiting == len(self.waiters)
        assert LEAST <= self.line.control.limit <= MOST

    @invariant()
    def the_rate_holds(self):
        if most := self.line.allowance.requests:
            assert len([sent for sent in self.sent if sent > self.now - WINDOW]) <= most

    def teardown(self):
        """Whoever waits is served at last, when those under way have ended."""
        for _ in range(3 * len(self.waiters) + 3):
            while self.slots:
                self.line.release(self.slots.pop(), self.now, Result.ANSWERED)
                self.collect()
            self.now += WINDOW
            self.collect()
        assert not self.waiters


def test_no_slot_is_lost_and_no_limit_passed():
    run_state_machine_as_test(Crowd, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_no_asker_waits_for_more_than_one_of_each_other(askers):
    line = make_line(at_once=1)
    (slot,) = fill(line, 1)
    order, waiters = [], stand(line, *askers)
    for waiter in waiters:
        waiter.wake = lambda waiter=waiter: order.append(waiter)
    while len(order) < len(waiters):
        line.release(slot, 0, Result.ANSWERED)
        slot = order[-1].slot
    served = "".join(waiter.asker for waiter in order)
    both = min(askers.count("a"), askers.count("b"))
    assert {served[2 * turn : 2 * turn + 2] for turn in range(both)} <= {"ab", "ba"}


def test_threads_share_a_line():
    line, lock, in_flight, most = make_line(at_once=3), threading.Lock(), [], [0]

    def work():
        for _ in range(200):
            if slot := line.enter("m", 0):
                with lock:
                    in_flight.append(slot)
                    most[0] = max(most[0], len(in_flight))
                with lock:
                    in_flight.remove(slot)
                line.release(slot, 0, Result.ANSWERED)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert line.in_flight == 0
    assert 1 <= most[0] <= 3
