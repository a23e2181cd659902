"""What `make sim` runs: `python -m sim run` with the variables of the call as its options.

The variables come in the environment, so that a prompt may hold any quote or blank.
"""

import os
from collections.abc import Mapping

from golden.console import interrupt

with interrupt.at_once(__name__):
    from sim.__main__ import main

__all__ = ["VARIABLES", "arguments"]

VARIABLES = (
    *("MODEL", "LAYER", "PRESET", "CODING", "RECIPE", "DEVICE"),
    *("PROMPT", "TOKENS", "ROWS", "SEED", "STALLS"),
)
"""Each an option of the same name."""


def arguments(environment: Mapping[str, str]) -> list[str]:
    """Return the command's arguments; an empty variable is none, and so is WAVES=0."""
    given = ["run"]
    for name in VARIABLES:
        if value := environment.get(name):
            given += [f"--{name.lower()}={value}"]
    return given + ["--waves"] * (environment.get("WAVES", "") not in ("", "0"))


if __name__ == "__main__":
    interrupt.run(lambda: main(arguments(os.environ)))
