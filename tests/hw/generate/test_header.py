"""The C header: a strict compiler takes it, and its constants are the registers'."""

import subprocess

import pytest

from hw.contract.regs import (
    ADDR_WIDTH,
    COUNTERS,
    REGISTERS,
    VERSION,
    Control,
    Error,
    FaultKind,
    Status,
)
from hw.generate.header import HEADER, text, write
from hw.memory.port import READ_CLIENTS


@pytest.fixture(scope="module")
def constants(tmp_path_factory):
    """Return what a C program finds under each name."""
    directory = tmp_path_factory.mktemp("header")
    write(directory)
    names = [line.split()[1] for line in text().splitlines() if line.startswith("#define S")]
    names += [line.split()[0] for line in text().splitlines() if line.startswith("    SPIKELOOM_")]
    names.remove("SPIKELOOM_REGS_H")
    prints = [f'    printf("{name} %lu\\n", (unsigned long){name});' for name in names]
    lines = ["#include <stdio.h>", f'#include "{HEADER}"', f'#include "{HEADER}"']
    lines += ["int main(void) {", *prints, "    return 0;", "}", ""]
    (directory / "main.c").write_text("\n".join(lines))
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *strict, "main.c", "-o", "main"], cwd=directory, check=True)
    said = subprocess.run([directory / "main"], capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in map(str.split, said.splitlines())}


def test_every_constant_is_the_contracts(constants):
    expected = {f"SPIKELOOM_{name}": r.offset for name, r in REGISTERS.items()}
    expected |= {f"SPIKELOOM_CONTROL_{bit.name}": bit.value for bit in Control}
    expected |= {f"SPIKELOOM_STATUS_{bit.name}": bit.value for bit in Status}
    expected |= {f"SPIKELOOM_ERROR_{error.name}": error.value for error in Error}
    expected |= {f"SPIKELOOM_FAULT_{kind.name}": kind.value for kind in FaultKind}
    expected |= {f"SPIKELOOM_CLIENT_{name.upper()}": i for i, name in enumerate(READ_CLIENTS)}
    expected["SPIKELOOM_REGISTERS_BYTES"] = 1 << ADDR_WIDTH
    expected["SPIKELOOM_REGISTERS_VERSION"] = VERSION
    expected |= {f"SPIKELOOM_COUNTER_{name.upper()}": i for i, name in enumerate(COUNTERS)}
    expected["SPIKELOOM_COUNTERS"] = len(COUNTERS)
    expected["SPIKELOOM_IRQ_ENDED"] = 1
    assert constants == expected


def test_a_reader_finds_what_each_register_means():
    for register in REGISTERS.values():
        assert f"/* {register.access}: {register.doc} */" in text()
