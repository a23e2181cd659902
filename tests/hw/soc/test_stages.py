"""Stages: what is there and unchanged is not made again, what is interrupted leaves nothing."""

import pytest

from hw.soc.stages import digest, stage


class Maker:
    """Writes a file, and counts how often."""

    def __init__(self, fails=None):
        self.count, self.fails = 0, fails

    def __call__(self, directory):
        self.count += 1
        (directory / "made").write_text(str(self.count))
        if self.fails:
            raise self.fails


def test_unchanged_inputs_are_not_made_again(tmp_path):
    maker = Maker()
    took, now = stage(tmp_path / "a", {"x": (1, 2)}, maker)
    assert now and took >= 0
    assert stage(tmp_path / "a", {"x": (1, 2)}, maker) == (took, False)
    assert maker.count == 1


def test_changed_inputs_replace_all_there_was(tmp_path):
    maker = Maker()
    stage(tmp_path / "a", {"x": 1}, maker)
    (tmp_path / "a" / "stray").write_text("old")
    assert stage(tmp_path / "a", {"x": 2}, maker)[1]
    assert (tmp_path / "a" / "made").read_text() == "2"
    assert not (tmp_path / "a" / "stray").exists()


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError("full")])
def test_what_is_interrupted_leaves_what_was_there(tmp_path, fault):
    stage(tmp_path / "a", {"x": 1}, Maker())
    with pytest.raises(type(fault)):
        stage(tmp_path / "a", {"x": 2}, Maker(fault))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert not stage(tmp_path / "a", {"x": 1}, Maker())[1]


@pytest.mark.parametrize("record", ["{", "[]", "null", '{"inputs": {"x": 1}}'])
def test_a_broken_record_is_made_again(tmp_path, record):
    stage(tmp_path / "a", {"x": 1}, Maker())
    (tmp_path / "a" / "inputs.json").write_text(record)
    assert stage(tmp_path / "a", {"x": 1}, Maker())[1]


def test_what_was_changed_or_lost_since_is_made_again(tmp_path):
    made = tmp_path / "a" / "made"
    stage(tmp_path / "a", {"x": 1}, Maker())
    made.write_text("edited")
    assert stage(tmp_path / "a", {"x": 1}, Maker())[1]
    assert made.read_text() == "1"
    made.unlink()
    assert stage(tmp_path / "a", {"x": 1}, Maker())[1]
    assert not stage(tmp_path / "a", {"x": 1}, Maker())[1]


def test_a_digest_is_of_names_and_contents(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a")
    two.write_text("b")
    first = digest([one, two])
    assert first == digest([two, one])
    two.write_text("c")
    assert digest([one, two]) != first
    assert digest([one]) != digest([two])
