"""What a program must know of the hardware it is for, as ``spikeloom_top.json`` says it."""

import json
from pathlib import Path

from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams

__all__ = ["describe", "described"]


def describe(params: HwParams) -> dict[str, object]:
    """Return parameters and fingerprint, as JSON values."""
    return {"params": params.as_dict(), "fingerprint": fingerprint(params)}


def described(file: Path) -> HwParams:
    """Return the hardware of which a file says what `describe` returns.

    Raises
    ------
    ValueError
        In one sentence, where it does not, or is of a version with another fingerprint.
    """
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        params, own = HwParams.from_dict(about["params"]), about["fingerprint"]
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} does not say what hardware it is for ({error}): name spikeloom_top.json of "
            "python -m hw generate"
        ) from None
    if own != fingerprint(params):
        raise ValueError(
            f"{file} is of hardware {own}, but this version makes {fingerprint(params)} of its "
            "parameters: generate it again"
        )
    return params
