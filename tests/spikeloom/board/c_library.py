"""The C library in this process, over a transport."""

import ctypes
import subprocess
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_size_t
from ctypes import c_uint32 as u32
from ctypes import c_uint64 as u64
from ctypes import c_void_p as pointer
from pathlib import Path

from spikeloom.board.errors import BoardError
from spikeloom.board.library import write
from spikeloom.board.transport import Transport

STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
OK, LOST, UNKNOWN, OTHER_HARDWARE, DIFFERS, UNENDED, FAILED, REFUSED = range(8)

READ = CFUNCTYPE(c_int, pointer, u32, POINTER(u32))
WRITE = CFUNCTYPE(c_int, pointer, u32, u32)
MEMORY = CFUNCTYPE(c_int, pointer, u64, pointer, c_size_t)
WAIT = CFUNCTYPE(c_int, pointer)


class Bus(Structure):
    """`struct spikeloom_bus`."""

    _fields_ = [
        ("context", pointer),
        ("read", READ),
        ("write", WRITE),
        ("read_memory", MEMORY),
        ("write_memory", MEMORY),
        ("wait", WAIT),
    ]


class Settings(Structure):
    """`struct spikeloom_settings`."""

    _fields_ = [(n, u32) for n in ("first_position", "prompt_end", "end_position", "stop_token")]


class Failure(Structure):
    """`struct spikeloom_failure`."""

    _fields_ = [
        ("error", u32),
        ("position", u32),
        ("address", u64),
        ("kind", u32),
        ("client", u32),
    ]


def compiled_library(directory: Path) -> Path:
    """Compile the library, warnings being errors; returns the shared object."""
    write(directory)
    shared = directory / "spikeloom.so"
    command = ["gcc", *STRICT, "-O1", "-shared", "-fPIC", "spikeloom.c", "-o", str(shared)]
    subprocess.run(command, cwd=directory, check=True)
    return shared


class Library:
    """The library's functions, on one transport."""

    def __init__(self, shared: Path, transport: Transport) -> None:
        self._c, self._transport = ctypes.CDLL(str(shared)), transport
        self._bus = Bus(
            None,
            READ(self._guard(lambda _, at, value: self._read(at, value))),
            WRITE(self._guard(lambda _, at, value: transport.write(at, value))),
            MEMORY(self._guard(lambda _, at, data, n: self._read_memory(at, data, n))),
            MEMORY(
                self._guard(
                    lambda _, at, data, n: transport.write_memory(at, ctypes.string_at(data, n))
                )
            ),
            WAIT(self._guard(lambda _: transport.wait(0.05))),
        )
        self._c.spikeloom_error_name.restype = c_char_p
        self.wrong = u64(0)

    def _guard(self, step):
        def guarded(*arguments):
            try:
                step(*arguments)
            except BoardError:
                return 1
            return 0

        return guarded

    def _read(self, at, value) -> None:
        value[0] = self._transport.read(at)

    def _read_memory(self, at, data, length) -> None:
        ctypes.memmove(data, self._transport.read_memory(at, length), length)

    def fingerprint(self) -> tuple[int, str]:
        """Identify."""
        text = ctypes.create_string_buffer(65)
        result = self._c.spikeloom_identify(byref(self._bus), text)
        return result, text.value.decode()

    def require(self, fingerprint: str) -> int:
        """Hold a fingerprint against the board's."""
        return self._c.spikeloom_require(byref(self._bus), fingerprint.encode())

    def test_memory(self, first: int, end: int) -> int:
        """Test memory; `wrong` has the first wrong address."""
        return self._c.spikeloom_test_memory(
            byref(self._bus), u64(first), u64(end), byref(self.wrong)
        )

    def load(self, address: int, raw: bytes) -> int:
        """Load a region."""
        return self._c.spikeloom_load(byref(self._bus), u64(address), raw, c_size_t(len(raw)))

    def check(self, address: int, raw: bytes) -> int:
        """Check a region; `wrong` has the first wrong address."""
        return self._c.spikeloom_check(
            byref(self._bus), u64(address), raw, c_size_t(len(raw)), byref(self.wrong)
        )

    def clear(self, address: int, length: int) -> int:
        """Fill a region with zeros."""
        return self._c.spikeloom_clear(byref(self._bus), u64(address), u64(length))

    def start(self, program: int, settings: Settings | None = None, watchdog: int = 0) -> int:
        """Start a program."""
        given = byref(settings) if settings else None
        return self._c.spikeloom_start(
            byref(self._bus), u64(program), given, u32(watchdog), u32(1000)
        )

    def end(self, looks: int = 100_000) -> int:
        """Wait for the end."""
        return self._c.spikeloom_end(byref(self._bus), u32(looks))

    def poll(self) -> tuple[int, int]:
        """Look once: whether it has ended, and the position."""
        ended, position = c_int(), u32()
        assert self._c.spikeloom_poll(byref(self._bus), byref(ended), byref(position)) == OK
        return ended.value, position.value

    def abort(self, looks: int = 1000) -> int:
        """Bring it to rest."""
        return self._c.spikeloom_abort(byref(self._bus), u32(looks))

    def failure(self) -> Failure:
        """Return what the last run's error says."""
        failure = Failure()
        assert self._c.spikeloom_failure(byref(self._bus), byref(failure)) == OK
        return failure

    def counters(self, count: int) -> list[int]:
        """Return the counters."""
        values = (u64 * count)()
        assert self._c.spikeloom_counters(byref(self._bus), values) == OK
        return list(values)

    def error_name(self, code: int) -> str:
        """Return the name of a code of ERROR."""
        return self._c.spikeloom_error_name(u32(code)).decode()


def run_layer(library: Library, case) -> dict[str, bytes]:
    """Load a layer and run it through the library; returns the bytes of its outputs."""
    compiled = case.compiled
    image = compiled.image(case.inputs)
    assert library.require(compiled.fingerprint) == OK
    for region in compiled.regions.values():
        if region.name in compiled.contents or region.kind == "input":
            assert library.load(region.address, compiled.view(image, region.name).tobytes()) == OK
        else:
            assert library.clear(region.address, region.bytes) == OK
    for region in compiled.regions.values():
        assert library.check(region.address, compiled.view(image, region.name).tobytes()) == OK
    assert library.start(compiled.program_address) == OK
    assert library.end() == OK
    transport = library._transport
    return {
        name: transport.read_memory(region.address, region.bytes)
        for name, region in compiled.outputs.items()
    }
