"""The fingerprint: the same for the same contract, another one with any change of it."""

import re
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from amaranth.lib import data, enum

from hw.contract import isa, regs
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams
from hw.contract.presets import PRESETS, preset

TEST = replace(preset("test"), banks=8)
# Another valid value of each field.
CHANGES = {
    "tokens": 3,
    "lanes": 16,
    "banks": 16,
    "weight_widths": (8, 4),
    "max_count": 126,
    "max_channels": 4096,
    "axi_data_width": 128,
    "axi_addr_width": 39,
    "max_burst_words": 8,
    "fetch_depth": 64,
    "event_depth": 16,
    "scan_width": 32,
    "array": "mac",
    "skip_silent": False,
    "max_shift": 4,
    "grouped": False,
}


def test_it_is_a_sha256_in_hex():
    assert re.fullmatch("[0-9a-f]{64}", fingerprint(TEST))


def test_it_is_the_same_in_every_process():
    imports = "from hw.contract import fingerprint as f, presets as p"
    code = f"{imports}; print(f.fingerprint(p.preset('test')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint(preset("test"))


def test_every_field_is_changed_below():
    assert CHANGES.keys() == {field.name for field in fields(HwParams)}


@pytest.mark.parametrize("name", CHANGES)
def test_any_parameter_changes_it(name):
    assert fingerprint(replace(TEST, **{name: CHANGES[name]})) != fingerprint(TEST)


def test_presets_have_their_own():
    assert len({fingerprint(params) for params in PRESETS.values()}) == len(PRESETS)


def without_last(layout):
    return data.StructLayout(dict(list(dict(layout.members).items())[:-1]))


def renamed_last(layout):
    members = dict(layout.members)
    name, shape = members.popitem()
    return data.StructLayout(members | {f"{name}_": shape})


def swapped_last(layout):
    members = list(dict(layout.members).items())
    return data.StructLayout(dict([*members[:-2], members[-1], members[-2]]))


@pytest.mark.parametrize("change", [without_last, renamed_last, swapped_last])
@pytest.mark.parametrize("target", ["HEADER", "SCALE", *isa.Opcode])
def test_any_layout_changes_it(target, change, monkeypatch):
    before = fingerprint(TEST)
    if isinstance(target, str):
        monkeypatch.setattr(isa, target, change(getattr(isa, target)))
    else:
        monkeypatch.setitem(isa.INSTRUCTIONS, target, change(isa.INSTRUCTIONS[target]))
    assert fingerprint(TEST) != before


def test_channel_words_change_it(monkeypatch):
    before = fingerprint(TEST)
    monkeypatch.setitem(isa.CHANNEL_WORDS, True, ("bias", "scale"))
    assert fingerprint(TEST) != before


@pytest.mark.parametrize(
    "module, name",
    [
        *((isa, name) for name in ("Rule", "Coding", "VectorOp", "Cache")),
        *((regs, name) for name in ("Error", "FaultKind")),
    ],
)
def test_any_enumeration_changes_it(module, name, monkeypatch):
    before = fingerprint(TEST)
    members = {member.name: member.value for member in getattr(module, name)}
    (first, zero), (second, one), *_ = members.items()
    monkeypatch.setattr(module, name, enum.Enum(name, members | {first: one, second: zero}))
    assert fingerprint(TEST) != before


@pytest.mark.parametrize("change", [{"offset": 0x1FC}, {"access": "ro"}, {"name": "LAST_TOKEN"}])
def test_any_register_changes_it(change, monkeypatch):
    before = fingerprint(TEST)
    register = replace(regs.REGISTERS["STOP_TOKEN"], **change)
    monkeypatch.setitem(regs.REGISTERS, "STOP_TOKEN", register)
    assert fingerprint(TEST) != before
