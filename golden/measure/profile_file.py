"""The file of a profile: an .npz archive with a header that says what it is of, and a checksum.

``header`` is JSON, as bytes; each site has the arrays ``SITE/counts``, ``SITE/fired``,
``SITE/batches`` and ``SITE/bitmaps``, and each site of the raster ``raster/SITE``.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from golden.console.archive import read_archive
from golden.console.errors import ProfileError
from golden.console.version import about
from golden.measure.profile import BATCHES, SPIKE_CODINGS, Identity, Profile, SiteProfile
from golden.numerics.codings import MAX_COUNT

__all__ = ["FORMAT", "load_profile", "save_profile"]

FORMAT = 1
"""Version of the file."""

_ARRAYS = {"counts": np.int64, "fired": np.int64, "batches": np.int64, "bitmaps": np.uint8}


def save_profile(profile: Profile, path: Path) -> None:
    """Write a profile, whole or not at all."""
    arrays = {
        f"{site.name}/{name}": getattr(site, name)
        for site in profile.sites.values()
        for name in _ARRAYS
    }
    arrays |= {f"raster/{name}": counts for name, counts in profile.raster.items()}
    header = {
        "format": FORMAT,
        "made_by": about(),
        **asdict(profile.identity),
        "batches": BATCHES,
        "codings": SPIKE_CODINGS,
        "raster_layer": profile.raster_layer,
        "sites": {
            site.name: {"channels": site.channels, "max_count": site.max_count}
            for site in profile.sites.values()
        },
    }
    header["sha256"] = _digest(header, arrays)
    raw = np.frombuffer(json.dumps(header).encode(), np.uint8)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(file, header=raw, **arrays)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_profile(path: Path) -> Profile:
    """Read a profile.

    Raises
    ------
    ProfileError
        In one sentence, where there is none, it is damaged, or of another format.
    """
    try:
        arrays = read_archive(path)
    except FileNotFoundError:
        raise ProfileError(
            f"there is no profile {path}: record one with python -m golden profile"
        ) from None
    except IsADirectoryError:
        raise ProfileError(f"profile {path} must be a file, not a directory") from None
    except PermissionError as error:
        raise ProfileError(f"profile {path} cannot be read: {error.strerror}") from None
    except (OSError, ValueError):
        raise _damaged(path) from None
    try:
        header = json.loads(arrays.pop("header").tobytes())
        version = header["format"]
    except (KeyError, ValueError, TypeError, RecursionError):
        raise _damaged(path) from None
    if version != FORMAT:
        raise ProfileError(
            f"profile {path} must be of format {FORMAT}, not {version!r}: record it again with "
            "this version"
        )
    try:
        said = header.pop("sha256")
        if said != _digest(header, arrays):
            raise _damaged(path)
        return _profile(header, arrays)
    except (KeyError, ValueError, TypeError, AttributeError):
        raise _damaged(path) from None


def _damaged(path: Path) -> ProfileError:
    return ProfileError(f"profile {path} is damaged: record it again with python -m golden profile")


def _profile(header: dict, arrays: Mapping[str, np.ndarray]) -> Profile:
    """Return what header and arrays say; any contradiction is some ValueError or KeyError."""
    if (header["batches"], header["codings"]) != ([*BATCHES], [*SPIKE_CODINGS]):
        raise ValueError("other batches or codings")
    sites = {}
    for name, shape in header["sites"].items():
        own = {key: arrays[f"{name}/{key}"] for key in _ARRAYS}
        site = SiteProfile(
            name=name, channels=shape["channels"], max_count=shape["max_count"], **own
        )
        if any(own[key].dtype != kind for key, kind in _ARRAYS.items()):
            raise ValueError(name)
        if not 1 <= site.max_count <= MAX_COUNT or site.channels < 0:
            raise ValueError(name)
        kept = len(site.bitmaps)
        shapes = {
            "counts": (2 * site.max_count + 1,),
            "fired": (site.channels,),
            "batches": (len(BATCHES), 2 + len(SPIKE_CODINGS)),
            "bitmaps": (kept, -(-site.channels // 8) if kept else 0),
        }
        if any(own[key].shape != wanted for key, wanted in shapes.items()):
            raise ValueError(name)
        sites[name] = site
    return Profile(
        identity=Identity(**{field.name: header[field.name] for field in fields(Identity)}),
        sites=sites,
        raster_layer=header["raster_layer"],
        raster={
            name.removeprefix("raster/"): counts
            for name, counts in arrays.items()
            if name.startswith("raster/")
        },
    )


def _digest(header: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256, in hex, of a header without its checksum and of all arrays by name."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
