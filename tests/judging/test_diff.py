"""Words that differ between two answers, and how far several agree."""

import pytest

from nbkit.judging.diff import Diff, diff_words, fold_equal, measure_agreement


def test_two_answers_are_compared_word_by_word():
    segments = diff_words("The cat sat on the mat.", "The dog sat on a mat.")
    assert [(kind, text.strip()) for kind, text in segments] == [
        ("equal", "The"),
        ("gone", "cat"),
        ("added", "dog"),
        ("equal", "sat on"),
        ("gone", "the"),
        ("added", "a"),
        ("equal", "mat."),
    ]
    assert repr(Diff("a", "b", segments)) == "The [-cat -]{+dog +}sat on [-the -]{+a +}mat."
    assert Diff("a", "b", segments).changed == 4


@pytest.mark.parametrize(
    ("base", "other"),
    [("", ""), ("", "new words"), ("old words", ""), ("a  b\n\nc", "a b c d"), ("  x", "x"), ("don't", "don’t; 你好")],
)
def test_the_segments_join_to_the_other_answer(base, other):
    segments = diff_words(base, other)
    assert "".join(text for kind, text in segments if kind != "gone") == other
    assert "".join(text for kind, text in segments if kind != "added").split() == base.split()


def test_white_space_alone_is_not_a_difference():
    assert {kind for kind, _ in diff_words("one two\nthree", "one\n\ntwo three")} == {"equal"}


def test_words_without_spaces_between_them_are_compared_one_by_one():
    assert [kind for kind, _ in diff_words("我喜欢茶", "我喜欢水")] == ["equal", "gone", "added"]


def test_a_diff_shows_no_markup_of_the_answers():
    html = Diff("<i>", "b", diff_words("<script>one</script>", "<img src=x>\u202e two"))._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;i&gt;" in html
    assert "U+202E" in html


def test_agreement_is_the_mean_share_of_common_words():
    assert measure_agreement(["A b c", "a b, C!"]) == 1
    assert measure_agreement(["a b", "c d"]) == 0
    assert measure_agreement(["a a b", "a b b b"]) == pytest.approx(2 * 2 / 7)
    assert measure_agreement(["a b", "a b", "a c"]) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert measure_agreement(["", "!"]) == 1
    assert measure_agreement(["alone"]) is None


def test_paragraphs_that_are_equal_as_a_whole_are_folded():
    def fold(base, other):
        return [(kind, text) for kind, text in fold_equal(diff_words(base, other))]

    text = "a b\n\nc d\n\ne f"
    assert fold(text, text) == [("folded", text)]
    assert fold(text, f"z {text}") == [("added", "z "), ("equal", "a b\n\n"), ("folded", "c d\n\ne f")]
    middle = fold(f"x {text} y", f"X {text} Y")
    assert [kind for kind, _ in middle] == ["gone", "added", "equal", "folded", "equal", "gone", "added"]
    assert fold("one two", "one three") == [("equal", "one "), ("gone", "two"), ("added", "three")]
