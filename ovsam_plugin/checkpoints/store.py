"""The assembled models on this machine: found, fetched, converted, checked, removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from filelock import FileLock
from safetensors.torch import save_file
from torch import Tensor

from ovsam_plugin.checkpoints import licence
from ovsam_plugin.checkpoints.archive import (
    CheckpointArchive,
    DamagedError,
    TorchArchive,
    open_checkpoint,
)
from ovsam_plugin.checkpoints.assemble import assemble, holds, layout
from ovsam_plugin.checkpoints.fetch import (
    FetchError,
    NoRangesError,
    check_published,
    fetch,
    open_remote,
)
from ovsam_plugin.checkpoints.record import (
    checked_sha256,
    record,
    record_path,
    remember,
)
from ovsam_plugin.checkpoints.sources import File, Part, Release, clip_file
from ovsam_plugin.files import draft_of
from ovsam_plugin.vocabulary.cache import cache_directory

if TYPE_CHECKING:
    from ovsam_plugin.presets import Preset
    from ovsam_plugin.recognition.text_side import TextSide


def folder() -> Path:
    """Where assembled models are; `parts/` in it holds what they are made from."""
    return cache_directory() / "weights"


def parts_folder() -> Path:
    """Where published files are kept, so that a second preset fetches only what is new."""
    return folder() / "parts"


def model_path(preset: Preset) -> Path:
    """Where a preset's assembled model is, or will be."""
    return folder() / f"{preset.name}.safetensors"


def obtain(preset: Preset, *, accepted: bool = False, source: str | Path | None = None) -> Path:
    """A preset's assembled model, made first if it is not there.

    Fetches the published files (or takes them from a folder), checks them against what is known of
    them, puts them together and writes one safetensors file with its sha256 beside it. Of two
    processes one does this and the other waits.

    Args:
        preset: one with a release.
        accepted: the licence is accepted by the caller's word.
        source: a folder with files that were fetched by other means, under their published names.

    Returns:
        the file of the assembled model.

    Raises:
        FileNotFoundError: the licence is not accepted, or files cannot be had; each missing file is
            listed with its size and address.
        ValueError: a file is damaged, is not the published one, or does not fit.
    """
    path = model_path(preset)
    release = _release(preset)
    if path.is_file():
        return path
    licence.accept(preset.name, _terms(preset), folder(), accepted=accepted)
    folder().mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.is_file():
            _make(preset, release, path, None if source is None else Path(source).expanduser())
    return path


def may_fetch(preset: Preset) -> bool:
    """Whether `obtain` would go ahead without asking anybody."""
    return model_path(preset).is_file() or licence.is_accepted(
        preset.name, _terms(preset), folder()
    )


def convert(preset: Preset, files: Sequence[str | Path], output: str | Path) -> Path:
    """One safetensors file out of checkpoints on this machine, whatever they are called.

    Which file is which is told by the keys in them. Nothing is held against published hashes: the
    caller vouches for where the files come from.

    Args:
        preset: whose parts and network they are.
        files: together all parts; an assembled checkpoint alone will do.
        output: written whole or not at all.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged or holds nothing of the model, two hold the same part, or no
            file holds one.
    """
    release = _release(preset)
    paths = [Path(file).expanduser() for file in files]
    output = Path(output).expanduser()
    with ExitStack() as stack:
        opened = [stack.enter_context(open_checkpoint(path)) for path in paths]
        expected = layout(preset.network)
        chosen = []
        for part in release.parts:
            holders = [each for each in opened if holds(each, part, expected)]
            if len(holders) != 1:
                who = " and ".join(c.name for c in holders) or "none of the files"
                raise ValueError(
                    f"{who} {'hold' if len(holders) > 1 else 'holds'} "
                    f"{' and '.join(f'{prefix}*' for prefix in part.takes)} of {preset.name}: give "
                    f"exactly one file with it, such as {part.file.name}"
                )
            chosen.append((part, holders[0]))
        idle = [c.name for c in opened if all(c is not used for _, used in chosen)]
        if idle:
            raise ValueError(f"{' and '.join(idle)} holds nothing that {preset.name} is made of")
        state = assemble(preset.network, chosen)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_model(state, output, preset.name, {path.name: checked_sha256(path) for path in paths})
    return output


def write_model(
    state: Mapping[str, Tensor], path: Path, name: str, made_of: Mapping[str, str]
) -> str:
    """Writes an assembled model whole, then its record; returns its sha256."""
    with draft_of(path) as draft:
        save_file(dict(state), draft, metadata={"format": "pt", "preset": name})
        record_path(path).unlink(missing_ok=True)
    return record(path, preset=name, made_of=dict(made_of))


def models() -> list[Path]:
    """The assembled models on this machine."""
    return sorted(folder().glob("*.safetensors"))


def parts() -> list[Path]:
    """The published files on this machine."""
    names = [path for path in parts_folder().glob("*") if path.suffix in _CHECKPOINTS]
    return sorted(names)


def remove(path: Path) -> None:
    """Removes a file with its record and lock."""
    for each in (path, record_path(path), path.with_name(f"{path.name}.lock")):
        each.unlink(missing_ok=True)


def classifier_file(side: TextSide) -> Path | None:
    """The ready-made text classifier of a preset, if it is on this machine."""
    release = side.release
    if release is None or release.classifier is None:
        return None
    path = parts_folder() / release.classifier.name
    return path if path.is_file() else None


def clip_checkpoint(model: str) -> Path | None:
    """OpenAI's file of a CLIP ResNet with its text tower, if it is on this machine."""
    try:
        file = clip_file(model)
    except ValueError:
        return None
    places = (parts_folder() / name for name in (file.name, *file.alternatives))
    return next((path for path in places if path.is_file()), None)


_CHECKPOINTS = (".pt", ".pth", ".safetensors")
# Each part with its open file, and the file's sha256, or "" where that says nothing: of a file read
# in place, and of one that stands in for the published one.
_Files: TypeAlias = list[tuple[Part, CheckpointArchive, str]]


def _release(preset: Preset) -> Release:
    if preset.release is None:
        raise ValueError(f"{preset.name} has nothing to fetch: its weights come with the package")
    return preset.release


def _terms(preset: Preset) -> str:
    return _release(preset).licence.format(name=preset.name)


def _make(preset: Preset, release: Release, path: Path, source: Path | None) -> None:
    try:
        with ExitStack() as stack:
            opening = _open_fetched if source is None else partial(_open_local, source=source)
            files = opening(stack, release)
            state = assemble(preset.network, [(part, opened) for part, opened, _ in files])
    except FetchError as error:
        missing = [file for file in release.files if not (parts_folder() / file.name).is_file()]
        raise FileNotFoundError(f"cannot fetch: {error}\n{_how_to_get(missing)}") from error
    except DamagedError as error:
        if source is None:
            remove(parts_folder() / error.name)  # so that the next call fetches it again
        raise
    for part, _, sha256 in files:
        if sha256:
            remember(parts_folder(), part.file.name, sha256, part.file.address)
    if source is not None:
        _keep(release, source)
    write_model(state, path, preset.name, {part.file.name: sha256 for part, _, sha256 in files})


def _open_fetched(stack: ExitStack, release: Release) -> _Files:
    if release.classifier is not None:
        fetch(release.classifier, parts_folder())
    files = []
    for part in release.parts:
        if part.excerpt:
            files.append((part, stack.enter_context(_open_excerpt(part.file)), ""))
        else:
            path = fetch(part.file, parts_folder())
            opened = stack.enter_context(open_checkpoint(path))
            files.append((part, opened, checked_sha256(path)))
    return files


def _open_local(stack: ExitStack, release: Release, source: Path) -> _Files:
    found = {file.name: _in_folder(file, source) for file in release.files}
    missing = [file for file in release.files if found[file.name] is None]
    optional = release.classifier
    if [file for file in missing if file is not optional]:
        raise FileNotFoundError(f"not in {source}:\n{_how_to_get(missing)}")
    files = []
    for part in release.parts:
        path = cast(Path, found[part.file.name])
        published = path.name == part.file.name
        sha256 = check_published(part.file, path) if published else checked_sha256(path)
        opened = stack.enter_context(open_checkpoint(path))
        files.append((part, opened, sha256 if published else ""))
    return files


def _in_folder(file: File, source: Path) -> Path | None:
    for name in (file.name, *file.alternatives):
        for place in (source, parts_folder()):
            if (place / name).is_file():
                return place / name
    return None


def _keep(release: Release, source: Path) -> None:
    """Copies what is needed after the model is made: the text tower's file and the classifier."""
    parts_folder().mkdir(parents=True, exist_ok=True)
    for file in (release.parts[0].file, release.classifier):
        path = None if file is None else _in_folder(file, source)
        if path is None or path.parent == parts_folder():
            continue
        target = parts_folder() / path.name
        with draft_of(target) as draft:
            shutil.copyfile(path, draft)
            record_path(target).unlink(missing_ok=True)
        record(target)


def _how_to_get(missing: Sequence[File]) -> str:
    listed = "\n".join(f"  {file}" for file in missing)
    return (
        f"Missing are:\n{listed}\nFetch them by other means into one folder, under these names, "
        "then: ovsam weights fetch NAME --from FOLDER"
    )


@contextmanager
def _open_excerpt(file: File) -> Iterator[CheckpointArchive]:
    """A file of which only some tensors are wanted: in place, or whole where that cannot be."""
    remote = None
    if not (parts_folder() / file.name).is_file():
        with suppress(NoRangesError):
            remote = open_remote(file)
    if remote is not None:
        with remote:
            yield TorchArchive(remote, file.name)
        return
    with open_checkpoint(fetch(file, parts_folder())) as checkpoint:
        yield checkpoint
