"""``python -m tests.docs``: write tables of rooms and errors, and what commands print, anew."""

import tempfile
from pathlib import Path

from tests.docs import errors, rooms, tutorial

rooms.PAGE.write_text(rooms.with_rooms(rooms.PAGE.read_text()))
errors.PAGE.write_text(errors.with_errors(errors.PAGE.read_text()))
for page in (tutorial.PAGE, errors.PAGE):
    text, outputs = page.read_text(), {}
    with tempfile.TemporaryDirectory() as directory:
        for step in tutorial.steps(text):
            outputs[step.command] = tutorial.run(step.command, Path(directory))
            if found := tutorial.difference(step.output, outputs[step.command]):
                print(f"{step.command}\n  {found}")
    page.write_text(tutorial.rewritten(text, outputs))
