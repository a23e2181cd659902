"""Where runs go: what is refused leaves nothing, and takes no other run's place."""

from sim.__main__ import main


def run(*arguments: object) -> int:
    try:
        return main(["run", *map(str, arguments)])
    except SystemExit as end:
        return end.code


def test_a_refused_request_takes_no_place(stories260k, tmp_path, monkeypatch):
    monkeypatch.setattr("sim.runs.place.OUTPUT_ROOT", tmp_path)

    def refuse(*_, **__):
        raise ValueError("refused")

    layer = ("--model", "stories260k", "--preset", "test", "--device", "functional")
    layer += ("--layer", "k0")
    with monkeypatch.context() as patched:
        patched.setattr("sim.check.case.expect", refuse)  # after all is compiled
        assert run(*layer) == 2
        assert not [*tmp_path.iterdir()]
        assert run(*layer, "-o", tmp_path / "new" / "out") == 2
        assert not [*tmp_path.iterdir()]
    place = tmp_path / "stories260k" / "k0" / "test-csd-auto-functional"
    place.mkdir(parents=True)
    (place / "run.json").write_text('{"request": "of a run that was killed"}')
    assert run(*layer) == 0
    assert (place / "report.json").exists() and len([*place.parent.iterdir()]) == 1
