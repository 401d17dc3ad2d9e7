"""Circuits by a clock of the test: when one opens, who may pass it, and when it heals."""

import pytest
from msgspec.structs import replace

import nbkit
from nbkit.providers.circuits import (
    FAILURES,
    Circuit,
    describe_circuits,
    find_obstacle,
    list_providers,
    note_answer,
    note_failure,
)
from nbkit.settings import override

OPEN, SHUT = [(0, "fail")] * FAILURES, [(0, "fail")] * (FAILURES - 1)


@pytest.mark.parametrize(
    ("events", "now", "state"),
    [
        pytest.param(SHUT, 0, "closed (4 failures, the last: HTTP 503)", id="four failures"),
        pytest.param(OPEN, 0, "open for 30 s (5 failures, the last: HTTP 503)", id="five"),
        pytest.param(OPEN, 29, "open for 1 s (5", id="the pause is not over"),
        pytest.param([*OPEN, (20, "fail")], 20, "open for 10 s (6", id="a call that was under way"),
        pytest.param([*OPEN, (20, "refused")], 20, "open for 10 s (5", id="nobody passes"),
        pytest.param(OPEN, 30, "half-open (5", id="the pause is over"),
        pytest.param([*OPEN, (30, "admitted")], 30, "half-open (5", id="a probe"),
        pytest.param(
            [*OPEN, (30, "admitted"), (31, "refused"), (59, "refused")], 59, "half-open (5", id="one probe only"
        ),
        pytest.param([*OPEN, (30, "admitted"), (60, "admitted")], 60, "half-open (5", id="a probe that is lost"),
        pytest.param([*OPEN, (30, "admitted"), (35, "fail")], 35, "open for 60 s (6", id="the probe fails"),
        pytest.param([*OPEN, (40, "fail")], 40, "open for 60 s (6", id="a call without fallbacks is a probe, too"),
        pytest.param([*OPEN, (40, "fail"), (140, "fail")], 140, "open for 120 s (7", id="doubled again"),
        pytest.param(
            [*OPEN, *[(number * 999, "fail") for number in range(1, 9)]], 8 * 999, "open for 300 s (13", id="most"
        ),
    ],
)
def test_a_circuit_opens_and_is_probed(events, now, state):
    circuit = Circuit()
    for at, event in events:
        if event == "fail":
            circuit.fail(at, "HTTP 503")
        else:
            assert circuit.admit(at) == (event == "admitted")
    assert circuit.describe(now).startswith(state)


def test_a_closed_circuit_lets_all_pass():
    circuit = Circuit()
    circuit.fail(0, "HTTP 500")
    assert [circuit.admit(0) for _ in range(3)] == [True] * 3


def test_circuits_are_those_of_a_model_at_a_server_and_of_a_block():
    one, same, model, server = (
        nbkit.get_adapter(f"lab/{name}", base_url=f"http://127.0.0.1:{port}/v1", api_key=key).endpoint
        for name, port, key in [("m1", 9, "a" * 9), ("m1", 9, "b" * 9), ("m2", 9, "a" * 9), ("m1", 8, "a" * 9)]
    )
    with override():
        assert (list_providers(), describe_circuits("lab")) == (set(), "closed")
        for _ in range(FAILURES):
            note_failure(one, "HTTP 503")
        assert [bool(find_obstacle(each)) for each in (one, same, model, server)] == [True, True, False, False]
        with override():
            assert find_obstacle(one) == ""
        note_failure(model, "HTTP 500")
        assert list_providers() == {"lab"}
        first, second = describe_circuits("lab").split("; ")
        assert first.startswith("m1: open for ")
        assert second == "m2: closed (1 failure, the last: HTTP 500)"
        note_answer(same)
        note_answer(model)
        assert (find_obstacle(one), list_providers()) == ("", set())


def test_the_models_that_failed_first_are_forgotten():
    endpoint = nbkit.get_adapter("lab/m0", base_url="http://127.0.0.1:9/v1").endpoint
    with override():
        for number in range(1025):
            note_failure(replace(endpoint, model=f"m{number}"), "HTTP 503")
        parts = describe_circuits("lab").split("; ")
    assert (len(parts), parts[0].partition(":")[0]) == (1024, "m1")
