"""Every fault in every protocol, streamed or not, sync or async, on each engine: the table is in `matrix_*.py`."""

import pytest
from fault_player import Player
from matrix import play
from matrix_errors import ERRORS
from matrix_rows import ROWS


@pytest.fixture(scope="module")
def player():
    player = Player()
    yield player
    player.close()


TABLE = ROWS | ERRORS


@pytest.mark.parametrize("fault", TABLE)
def test_a_fault_ends_as_the_table_says_in_every_protocol_and_call(player, tmp_path, fault):
    problems = play(TABLE[fault], player, tmp_path)
    assert not problems, "\n".join(problems)
