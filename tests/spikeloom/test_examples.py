"""The notebooks of examples/, executed as a reader would: from a directory of their own."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
FILES = {"figure_for_a_paper": {"raster.pdf", "raster.svg", "firing.pdf", "firing.svg"}}
SECONDS = 300  # of a cell, on a busy machine


def test_there_are_notebooks_without_outputs():
    assert [path.stem for path in NOTEBOOKS] == ["figure_for_a_paper", "first_steps"]
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert code and not any(cell.outputs or cell.execution_count for cell in code), path.name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_another_directory(path, stories260k, tmp_path, monkeypatch):
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("SPIKELOOM_MODELS", str(stories260k.parent))
    notebook = nbformat.read(path, as_version=4)
    here = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=here).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "stream" or output.name != "stderr", output.text
    assert {file.name for file in tmp_path.iterdir()} == FILES.get(path.stem, set())
