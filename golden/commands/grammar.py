"""What the commands of `python -m golden` take."""

from pathlib import Path

from golden.checkpoint import fetch
from golden.commands.options import MODEL, add_json, add_output, add_prompt, add_recipe
from golden.console.parser import Command, Parser

__all__ = ["parser"]

_PERPLEXITY = """\
The text is cut into windows of --context tokens that do not overlap (a line <|endoftext|> ends a
document, and no window spans two). In each window every token but the first is predicted from those
before it; perplexity is e to the mean cross-entropy of all predictions. The model runs twice on the
same windows: in fp32, and with every matrix driven by spikes as the recipe says. What is between
the matrices is then in float, or with --arithmetic integer what a device computes.
"""

_CALIBRATE = """\
The end of the text is used, so that its beginning remains for measurements. The checkpoint is
folded with what is found on a part of it, which is kept beside the recipe; the dead zone of each
site of each layer is chosen by what it costs in loss and saves in bytes, and the integer model is
run to keep to the budget. With --keep-grid weights stay as they are: there is no fold, and channel
exponents, which are kept beside the recipe, are found in its place. See docs/quality.md.
"""

_PROFILE = """\
The text is cut into windows as for perplexity, and the integer model runs over them. What is
recorded of each site of each layer: how often each count occurred, spikes by coding, steps of the
array for a channel that fires, how often each channel fires, and for some of the tokens which did.
python -m compiler build --layers all --profile FILE makes its schedule from it.
"""


def parser() -> Parser:
    """Return the parser of all commands."""
    made = Parser("golden", "The golden model of Spikeloom.")
    _add_perplexity(made)
    _add_calibrate(made)
    _add_profile(made)
    _add_generate(made)
    _add_fetch(made)
    return made


def _add_perplexity(made: Parser) -> None:
    about = "perplexity in fp32 and by spikes, and how each site fires"
    command = made.add_command("perplexity", about, _PERPLEXITY)
    command.add_model(MODEL)
    add_recipe(command)
    _add_windows(command)
    command.group("measurement").add_argument(
        "--arithmetic",
        choices=("float", "integer"),
        default="float",
        help="what the spiking model computes in between its matrices",
    )
    command.group("output").add_argument(
        "--per-layer", action="store_true", help="in the table, a row for each site of each layer"
    )
    add_json(command)


def _add_calibrate(made: Parser) -> None:
    about = "find the recipe that leaves the most weight bytes unfetched within a budget"
    command = made.add_command("calibrate", about, _CALIBRATE)
    command.add_model(MODEL)
    add = command.group("search").add_argument
    add("--text", metavar="FILE", required=True, type=Path, help="a UTF-8 text file")
    add(
        "--budget",
        metavar="X",
        type=float,
        default=1.05,
        help="largest perplexity, over that of the model in fp32",
    )
    add(
        "--skip",
        metavar="SHARE",
        type=float,
        help="share of all weight bytes that must stay unfetched: then the least perplexity is "
        "looked for, and the budget is a limit",
    )
    add(
        "--tokens",
        metavar="N",
        type=int,
        default=8192,
        help="tokens to calibrate on, from the end of the text",
    )
    add(
        "--no-dead-zones",
        action="store_true",
        help="leave dead zones out: the budget is a limit",
    )
    add = command.group("encoding").add_argument
    add(
        "--shifts",
        metavar="S",
        type=int,
        default=0,
        help="groups of 32 channels may have thresholds up to 2^S times finer",
    )
    add(
        "--max-count",
        metavar="D",
        type=int,
        default=127,
        help="largest spike count; the head keeps 127",
    )
    add = command.group("grid").add_argument
    add(
        "--keep-grid",
        action="store_true",
        help="change no weights: channel exponents in place of fold and adapter",
    )
    add(
        "--weights-from",
        choices=("rows", "native", "auto"),
        help="native: the grid of the file; rows: 8 bits with a scale for each row; auto: the grid "
        "where there is one (default: auto with --keep-grid, rows without)",
    )
    add(
        "--scale-bits",
        metavar="BITS",
        type=int,
        default=16,
        help="of the scales of the grid's groups: 16, or 8 for the compact form",
    )
    add("--no-exponents", action="store_true", help="with --keep-grid: leave exponents out, too")
    add = command.group("fold and adapter").add_argument
    add(
        "--fold-text",
        metavar="FILE",
        type=Path,
        help="what the fold is found on, whenever the recipe is used, which will hold it (default: "
        "it is found on the end of the text, and kept as numbers beside the recipe)",
    )
    add(
        "--fold",
        metavar="FILE",
        type=Path,
        help="a fold found before, RECIPE.fold.npz, in place of a new one",
    )
    add(
        "--distil",
        metavar="N",
        type=int,
        default=0,
        help="learn an adapter from so many tokens, those before what calibration uses, and keep "
        "it beside the recipe: takes some 10 s for 1,024 tokens of SmolLM2-135M",
    )
    add(
        "--adapter",
        metavar="FILE",
        type=Path,
        help="an adapter learnt before, of the same fold; with --distil it goes on learning",
    )
    add_output(command, "the recipe, a TOML file", required=True, metavar="FILE")
    command.group("output").add_argument(
        "--report", metavar="FILE", type=Path, help="a JSON file for all points that were measured"
    )


def _add_profile(made: Parser) -> None:
    about = "record how each site of each layer spikes on a text, for the compiler"
    command = made.add_command("profile", about, _PROFILE)
    command.add_model(MODEL)
    add_recipe(command)
    _add_windows(command)
    command.group("measurement").add_argument(
        "--keep",
        metavar="N",
        type=int,
        default=512,
        help="tokens whose firing channels are kept, evenly spread",
    )
    add_output(command, "the profile, a .npz file", required=True, metavar="FILE")
    add_json(command)


def _add_generate(made: Parser) -> None:
    about = "continue a text with the integer model"
    command = made.add_command(
        "generate",
        about,
        "Continue a text as a device does: in integers, the likeliest token each time.",
    )
    command.add_model(MODEL)
    add_recipe(command)
    add_prompt(command, "the text to continue", "text")
    add = command.group("text").add_argument
    add("--tokens", metavar="N", type=int, default=64, help="tokens to add at most")


def _add_fetch(made: Parser) -> None:
    command = made.add_command("fetch", "get a known model into the cache, and check it")
    command.add_model(", ".join(fetch.KNOWN))


def _add_windows(command: Command) -> None:
    """Add the options that `golden.commands.windows` reads."""
    add = command.group("measurement").add_argument
    add("--text", metavar="FILE", required=True, type=Path, help="a UTF-8 text file")
    add(
        "--tokens",
        metavar="N",
        type=int,
        default=4096,
        help="tokens of the text to use, from its start; 0 for all",
    )
    add(
        "--context",
        metavar="N",
        type=int,
        help="tokens of a window (default: 1024, or what the model holds if that is less)",
    )
