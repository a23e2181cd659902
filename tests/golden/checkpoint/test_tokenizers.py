"""Tokenizers of the three formats, held against the rules written out slowly or the packages."""

import random

import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, Qwen2Tokenizer

from golden.checkpoint.checkpoint import CheckpointError, load
from golden.checkpoint.sentencepiece import SentencePiece
from tests.golden.make_checkpoints import gguf_parts, random_model, write_gguf

TEXTS = [
    "",
    " ",
    "Once upon a time",
    "  two spaces,  and more   ",
    "Tom said: \"It's 12,345 o'clock!\"\n\nThe end.\n",
    "naïve café — 東京 🎉\ttab",
    "<|endoftext|> [INST] ~ </s> <s>",
    "aaaaaaaaaaaaaa the thethe",
]


def merged_slowly(text: str, pieces: list[str], scores: list[float]) -> list[int]:
    """Encode as llama2.c does: merge the best pair of all, the leftmost first, again and again."""
    if not text:
        return [1]
    ids = []
    for character in " " + text:
        known = character in pieces
        ids += [pieces.index(character)] if known else [b + 3 for b in character.encode()]
    while True:
        best = None
        for i in range(len(ids) - 1):
            pair = pieces[ids[i]] + pieces[ids[i + 1]]
            if pair in pieces and (best is None or scores[pieces.index(pair)] > best[0]):
                best = scores[pieces.index(pair)], i, pieces.index(pair)
        if best is None:
            return [1, *ids]
        ids[best[1] : best[1] + 2] = [best[2]]


@pytest.fixture
def tok512(stories260k):
    """Return texts and scores of the pieces, read independently of the reader."""
    data, at, pieces, scores = (stories260k.parent / "tok512.bin").read_bytes(), 4, [], []
    while at < len(data):
        scores.append(memoryview(data)[at : at + 4].cast("f")[0])
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        pieces.append(data[at + 8 : at + 8 + length].decode())
        at += 8 + length
    assert len(pieces) == 512
    return pieces, scores


@pytest.mark.parametrize("text", TEXTS)
def test_llama2c_merges_as_llama2c_does(text, stories260k, tok512):
    tokenizer = load(stories260k).tokenizer
    ids = tokenizer.encode(text)
    assert ids == merged_slowly(text, *tok512)
    assert tokenizer.decode(ids) == text


def test_llama2c_merges_random_text_as_llama2c_does(stories260k, tok512, seed):
    chosen = random.Random(seed)
    tokenizer = load(stories260k).tokenizer
    for _ in range(30):
        text = "".join(chosen.choices([*"theand ,.\né", "the", " a"], k=chosen.randrange(1, 60)))
        ids = tokenizer.encode(text)
        assert ids == merged_slowly(text, *tok512)
        assert tokenizer.decode(ids) == text


def test_llama2c_known_ids(stories260k):
    tokenizer = load(stories260k).tokenizer
    assert (tokenizer.bos_id, tokenizer.eos_ids) == (1, (2,))
    assert tokenizer.encode("Once upon a time") == [1, 403, 407, 261, 378]
    assert tokenizer.decode([403, 407, 261, 378, 2]) == " Once upon a time"


def test_equal_scores_merge_the_leftmost_pair():
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    pieces = SentencePiece(
        texts=[*bytes_, "a", "b", "aa", "ab"],
        scores=[0.0] * 256 + [0, 0, -1, -1],
        byte_ids=range(256),
        named={},
        silent=[],
        bos_id=None,
        space_prefix=False,
    )
    assert pieces.encode("aaab") == [258, 259]
    assert pieces.encode("aaa") == [258, 256]
    assert pieces.encode("c") == [ord("c")]
    assert pieces.decode([258, 259, ord("c")]) == "aaabc"


def test_pieces_need_all_byte_tokens():
    with pytest.raises(ValueError) as error:
        SentencePiece(
            texts=["a"],
            scores=[0.0],
            byte_ids=[0],
            named={},
            silent=[],
            bos_id=None,
            space_prefix=False,
        )
    assert str(error.value) == "byte tokens must be 256, not 1"


def gguf_with(tokenizer: dict, path, seed):
    """Return a small GGUF checkpoint with a tokenizer."""
    model = random_model("llama", seed, vocab_size=len(tokenizer["tokens"]))
    family, fields, tensors = gguf_parts(model)
    fields |= {f"tokenizer.ggml.{key}": value for key, value in tokenizer.items()}
    return load(write_gguf(path, family, fields, tensors))


@pytest.fixture
def scored(tok512):
    """Return the pieces of stories260k as a GGUF file holds them, and two tokens of chat."""
    pieces, scores = tok512
    tokens = ["<unk>", "<s>", "</s>", *pieces[3:], "<chat>", "</chat>"]
    return {
        "model": "llama",
        "tokens": [*tokens[:3], *(token.replace(" ", "\u2581") for token in tokens[3:])],
        "scores": [*scores, 0.0, 0.0],
        "token_type": [2, 3, 3, *[6] * 256, *[1] * 253, 3, 4],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "eot_token_id": 513,
    }


@pytest.mark.parametrize("text", TEXTS[:6])
def test_gguf_pieces_equal_llama2c(text, scored, stories260k, tmp_path, seed):
    tokenizer = gguf_with(scored, tmp_path / "a.gguf", seed).tokenizer
    assert tokenizer.encode(text) == load(stories260k).tokenizer.encode(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert (tokenizer.bos_id, tokenizer.eos_ids) == (1, (2, 513))


def test_gguf_pieces_named_tokens_and_switches(scored, tmp_path, seed):
    switches = {"add_bos_token": False, "add_space_prefix": False}
    tokenizer = gguf_with(scored | switches, tmp_path / "a.gguf", seed).tokenizer
    ids = tokenizer.encode("the<chat>the</chat>")
    assert ids[0] != 1
    assert ids.count(512) == ids.count(513) == 1
    assert ids[-1] == 513
    assert tokenizer.decode(ids) == "thethe</chat>"  # control tokens are silent, others are not


def test_smollm2_equals_transformers(smollm2_135m):
    theirs = AutoTokenizer.from_pretrained(smollm2_135m.parent, gguf_file=smollm2_135m.name)
    ours = load(smollm2_135m).tokenizer
    for text in [*TEXTS, "<|im_start|>user\nHi<|im_end|>\n", "In 1984, 3.14159 x 1000000"]:
        ids = ours.encode(text)
        assert ids == theirs(text)["input_ids"]
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True)
    assert (ours.bos_id, ours.eos_ids) == (1, (2,))
    assert ours.encode("The capital of France is") == [504, 3575, 282, 4649, 314]


def byte_level(pre: str) -> dict:
    """Return a byte-level vocabulary without merges but one, in which words show as runs of ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, "12", "123", "hello", "<s>", "</s>"]
    return {
        "model": "gpt2",
        "pre": pre,
        "tokens": tokens,
        "merges": ["1 2", "12 3"],
        "token_type": [*[1] * (len(tokens) - 2), 3, 3],
        "bos_token_id": len(tokens) - 2,
        "eos_token_id": len(tokens) - 1,
    }


@pytest.mark.parametrize(
    ("pre", "text", "tokens"),
    [
        ("gpt-2", "123", ["123"]),
        ("smollm", "123", ["1", "2", "3"]),
        ("qwen2", "123", ["1", "2", "3"]),
        ("llama-bpe", "0123", ["<s>", "0", "12", "3"]),
        ("llama-bpe", "hello", ["<s>", "hello"]),
        ("qwen2", "hello", [*"hello"]),
        ("qwen2", "e\u0301", ["Ã", "©"]),
        ("gpt-2", "e\u0301", ["e", "Ì", "ģ"]),
        ("gpt-2", "a</s>b", ["a", "</s>", "b"]),
    ],
)
def test_gguf_byte_level_cuts(pre, text, tokens, tmp_path, seed):
    fields = byte_level(pre)
    tokenizer = gguf_with(fields, tmp_path / "a.gguf", seed).tokenizer
    assert [fields["tokens"][i] for i in tokenizer.encode(text)] == tokens


def test_gguf_byte_level_beginning_is_as_metadata_say(tmp_path, seed):
    for pre, flag in (("llama-bpe", False), ("gpt-2", True)):
        fields = byte_level(pre) | {"add_bos_token": flag}
        tokenizer = gguf_with(fields, tmp_path / f"{pre}.gguf", seed).tokenizer
        assert (tokenizer.encode("a")[0] == tokenizer.bos_id) == flag


def test_qwen2_equals_transformers(tmp_path, seed):
    """Every pair of characters of a word merges here, so that each cut shows in the ids."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    spelt = "".join(word for text in TEXTS for word, _ in split.pre_tokenize_str(text))
    pairs = [a + " " + b for a in sorted(set(spelt)) for b in sorted(set(spelt))]
    tokens = [*sorted(split.alphabet()), *(pair.replace(" ", "") for pair in pairs)]
    tokens.append("<|endoftext|>")
    fields = {"tokens": tokens, "merges": pairs, "token_type": [*[1] * (len(tokens) - 1), 3]}
    ours = gguf_with(byte_level("qwen2") | fields, tmp_path / "a.gguf", seed).tokenizer
    vocabulary = {token: i for i, token in enumerate(tokens)}
    theirs = Qwen2Tokenizer(vocabulary, [tuple(pair.split(" ")) for pair in pairs])
    for text in TEXTS:
        assert ours.encode(text) == theirs(text)["input_ids"]
        assert ours.decode(ours.encode(text)) == text.replace("<|endoftext|>", "")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"pre": "tekken"},
            (
                "{path}: the pre-tokenizer must be one of gpt-2, smollm, llama-bpe, qwen2, not "
                "tekken: use the model's Hugging Face directory"
            ),
        ),
        (
            {"model": "bert"},
            (
                "{path}: the tokenizer must be of the kind gpt2 or llama, not bert: use the "
                "model's Hugging Face directory"
            ),
        ),
        (
            {"merges": ["1 3"]},
            (
                "{path}: the tokenizer is damaged (Error while initializing BPE: Token `13` out of "
                "vocabulary): get it again"
            ),
        ),
        (
            {"model": "llama"},
            "{path}: the tokenizer has 261 tokens, 261 types and 0 scores: get it again",
        ),
        (
            {"model": "llama", "scores": [0.0] * 261},
            "{path}: the tokenizer is damaged (byte tokens must be 256, not 0): get it again",
        ),
    ],
)
def test_gguf_tokenizers_that_are_refused(fields, message, tmp_path, seed):
    path = tmp_path / "a.gguf"
    checkpoint = gguf_with(byte_level("gpt-2") | fields, path, seed)
    with pytest.raises(CheckpointError) as error:
        checkpoint.tokenizer  # noqa: B018
    assert str(error.value) == message.replace("{path}", str(path))


def test_gguf_without_a_tokenizer(tmp_path, seed):
    path = write_gguf(tmp_path / "a.gguf", *gguf_parts(random_model("llama", seed)))
    with pytest.raises(CheckpointError) as error:
        load(path).tokenizer.encode("Once")
    assert str(error.value) == f"{path} has no tokenizer: use another file, or token ids"


def test_hf_tokenizer_is_read_as_it_is(tmp_path, seed):
    random_model("llama", seed, bos_token_id=1, eos_token_id=[2, 3]).save_pretrained(tmp_path)
    words = ["<unk>", "<s>", "</s>", "<end>", "one", "two"]
    fast = FastTokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    fast.add_special_tokens(["<s>"])
    fast.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast.enable_truncation(3)
    fast.enable_padding(length=8)
    fast.save(str(tmp_path / "tokenizer.json"))
    tokenizer = load(tmp_path).tokenizer
    assert tokenizer.encode("one two one two") == [1, 4, 5, 4, 5]
    assert tokenizer.decode([1, 4, 5]) == "one two"
    assert (tokenizer.bos_id, tokenizer.eos_ids) == (1, (2, 3))
