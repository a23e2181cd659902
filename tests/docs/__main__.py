"""``python -m tests.docs``: write the tables of rooms and the tutorial's outputs anew."""

import tempfile
from pathlib import Path

from tests.docs import rooms, tutorial

rooms.PAGE.write_text(rooms.with_rooms(rooms.PAGE.read_text()))
text = tutorial.PAGE.read_text()
with tempfile.TemporaryDirectory() as directory:
    outputs = {}
    for step in tutorial.steps(text):
        outputs[step.command] = tutorial.run(step.command, Path(directory))
        if found := tutorial.difference(step.output, outputs[step.command]):
            print(f"{step.command}\n  {found}")
tutorial.PAGE.write_text(tutorial.rewritten(text, outputs))
