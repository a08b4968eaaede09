"""Tensors that several processes hold a part each of, saved by all of them through torch.distributed.checkpoint.

Each process writes its parts into one file of a directory, torch writes what is where into `.metadata`, and the
checkpoint's own file, which is written last, holds the size and hash of each of these, beside all that is no such
tensor. torch takes a file with a flipped byte for a good one, and `.metadata` is a pickle: nothing of a directory is
read before all of it was hashed, and of a pickle only what torch puts there.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from poke.training.checkpointing.files import (
    CheckpointError,
    DamagedError,
    FileRecord,
    first_line,
    hash_file,
    sync_directory,
    take_over,
    temporary_directory,
    unsafe,
)
from poke.training.checkpointing.index import SEGMENT_NAME
from poke.training.checkpointing.segments import SEGMENTS_NAME
from poke.training.checkpointing.staging import StagingBuffers, dotted, map_tensors

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

COMPONENT = "shards"  # beside the components' states: which files hold their shared tensors
METADATA_NAME = ".metadata"
_REFERENCE = {"sharded_tensor"}
_END = ""


def is_shared(tensor: Tensor) -> bool:
    """Whether several processes hold a part each."""
    return hasattr(tensor, "device_mesh")


class Shards:
    """One process's parts of every checkpoint. Rank 0's manager leads: what it writes, all write.

    Args:
        rank: this process's number.
        orders: on which the others wait for rank 0 to write, for as long as that takes.
        exchange: on which all tell each other what they have written.
    """

    def __init__(self, rank: int, orders: ProcessGroup, exchange: ProcessGroup) -> None:
        self._rank = rank
        self._orders, self._exchange = orders, exchange
        self._staging = StagingBuffers()
        # How each tensor is shared, and the copy of this process's part.
        self._staged: dict[str, tuple[Any, Tensor]] = {}
        self._number = 0  # of times that parts were taken
        self._changed = threading.Condition()
        self._following: threading.Thread | None = None
        if rank:
            self._following = threading.Thread(target=self._follow, daemon=True)
            self._following.start()

    def take(self, states: Any) -> Any:
        """Copy this process's parts, and return the states with a reference in place of each shared tensor.

        All processes do so, of the same states, once nothing of the time before is being written any more.
        """
        shared: dict[str, Any] = {}

        def refer(tensor: Tensor, path: tuple[Any, ...]) -> Any:
            if not is_shared(tensor):
                return tensor
            shared[dotted(path)] = tensor.detach()
            return {"sharded_tensor": dotted(path)}

        referring = map_tensors(states, refer)
        copies = self._staging.copy({name: t.to_local() for name, t in shared.items()})
        with self._changed:
            self._staged = {name: (tensor, copies[name]) for name, tensor in shared.items()}
            self._number += 1
            self._changed.notify()
        return referring

    def write(self, directory: Path) -> list[FileRecord]:
        """As rank 0, have all write what they took last into an empty directory, durably; return its files.

        Raises:
            OSError: a file system refused.
            CheckpointError: a process did not write its part.
        """
        try:
            self._order(str(directory))
            records = self._save(directory)
        except RuntimeError as error:  # another process is gone, or says nothing
            raise CheckpointError(f"a rank did not write its part: {first_line(error)}") from error
        sync_directory(directory)
        return [*records, take_over(directory / METADATA_NAME)]

    def end(self) -> None:
        """As rank 0, let the others write no more; as another rank, wait for that."""
        if self._following is not None:
            self._following.join()
            return
        with contextlib.suppress(RuntimeError):
            self._order(_END)

    def _order(self, directory: str) -> str:
        import torch.distributed as dist

        order: list[Any] = [(directory, self._number)]
        dist.broadcast_object_list(order, src=0, group=self._orders)
        said, number = order[0]
        with self._changed:
            self._changed.wait_for(lambda: self._number >= number)
        return str(said)

    def _follow(self) -> None:
        # Whatever breaks a message off, the run learns of by its own; a part that was not written rank 0 tells of.
        with contextlib.suppress(Exception):
            while (directory := self._order(_END)) != _END:
                with contextlib.suppress(OSError, CheckpointError):
                    self._save(Path(directory))

    def _save(self, directory: Path) -> list[FileRecord]:
        """Write this process's parts, and return the files of all."""
        import torch.distributed as dist
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.api import CheckpointException

        try:
            dcp.save(
                {name: _like(shared, copy) for name, (shared, copy) in self._staged.items()},
                storage_writer=dcp.FileSystemWriter(directory, overwrite=False),
                process_group=self._exchange,
            )
        except CheckpointException as error:  # which is no Exception
            raise _why(error) from error
        try:
            own: Any = [take_over(path) for path in directory.glob(f"__{self._rank}_*.distcp")]
        except (CheckpointError, OSError) as error:
            own = str(error)
        found: list[Any] = [None] * dist.get_world_size(self._exchange)
        dist.all_gather_object(found, own, group=self._exchange)
        for told in found:
            if isinstance(told, str):
                raise OSError(told)
        return [record for told in found for record in told]


@dataclass(frozen=True)
class WrittenShards:
    """A directory of shards that has no name yet.

    Args:
        components: with a record of its files.
        temporary: where it stands for now; None where nothing is shared.
        directory: where it will stand.
        names: of its files, from the folder of segments.
    """

    components: Mapping[str, Any]
    temporary: Path | None = None
    directory: Path | None = None
    names: tuple[str, ...] = ()

    def publish(self) -> None:
        """Give the directory its name.

        Raises:
            OSError: the file system refused.
        """
        if self.temporary is not None and self.directory is not None:
            self.temporary.rename(self.directory)
            sync_directory(self.directory.parent)


@contextlib.contextmanager
def written_shards(
    components: Mapping[str, Any],
    directory: Path,
    moment: str,
    write: Callable[[Path], list[FileRecord]] | None,
) -> Iterator[WrittenShards]:
    """Write what `Shards.take` took; what the block does not publish is gone after it.

    Args:
        components: what it returned.
        directory: the checkpoints' directory.
        moment: epoch and step, for the name.
        write: writes it into an empty directory; None where nothing is shared.

    Raises:
        OSError: the file system refused.
        CheckpointError: as of `Shards.write`.
    """
    if write is None:
        yield WrittenShards(components)
        return
    segments = directory / SEGMENTS_NAME
    segments.mkdir(exist_ok=True)
    with temporary_directory(segments) as temporary:
        records = write(temporary)
        metadata = next(record for record in records if record.name == METADATA_NAME)
        # Of one that was gone back from, the hash is another: torch puts a new name into each.
        name = f"shards_{moment}_{metadata.digest}"
        files = [{"file": r.name, "size_bytes": r.size_bytes, "digest": r.digest} for r in records]
        yield WrittenShards(
            {**components, COMPONENT: {"directory": name, "files": files}},
            temporary,
            segments / name,
            tuple(f"{name}/{record.name}" for record in records),
        )


def shard_names(components: Any) -> tuple[str, ...]:
    """Return the names of the files that hold a checkpoint's shared tensors, from the folder of segments."""
    record = components.get(COMPONENT) if isinstance(components, Mapping) else None
    if record is None:
        return ()
    return tuple(f"{record['directory']}/{file['file']}" for file in record["files"])


def read_shards(components: Mapping[str, Any], directory: Path, record: Mapping[str, Any]) -> Any:
    """Return states with each reference replaced by its tensor, whole.

    Args:
        components: some or all of a checkpoint's.
        directory: the checkpoints' directory.
        record: what the checkpoint says of its files.

    Raises:
        CheckpointError: a file is missing, damaged or unsafe, or stands elsewhere.
    """
    names = shard_names({COMPONENT: record})
    if stray := [name for name in names if not SEGMENT_NAME.fullmatch(name)]:
        raise CheckpointError(f"{directory} has a checkpoint that names the shard {stray[0]!r}")
    place = directory / SEGMENTS_NAME / record["directory"]
    for file in record["files"]:
        expected = FileRecord(file["file"], file["size_bytes"], file["digest"])
        if hash_file(place / file["file"]) != expected:
            raise DamagedError(
                f"{place / file['file']} is damaged: its checksum is not that of its contents"
            )
    wanted = set(_references(components))
    tensors = _read(place, wanted)
    if lacking := wanted - tensors.keys():
        raise CheckpointError(f"{place} lacks {sorted(lacking)[0]}")
    return _resolve(components, tensors)


def _read(place: Path, names: set[str]) -> dict[str, Tensor]:
    """Return tensors of a directory that was verified."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.metadata import StorageMeta

    class Reader(dcp.FileSystemReader):
        """Torch's, but that `.metadata` may name nothing else than torch puts there."""

        def read_metadata(self, *args: Any, **kwargs: Any) -> Any:
            """Return what is where."""
            with open(place / METADATA_NAME, "rb") as file:
                metadata = _OfTorch(file).load()
            metadata.storage_meta = getattr(metadata, "storage_meta", None) or StorageMeta()
            return metadata

    reader = Reader(place)
    try:
        known = reader.read_metadata().state_dict_metadata
        tensors = {
            name: torch.empty(known[name].size, dtype=known[name].properties.dtype)
            for name in names & known.keys()
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is")  # one process reads it all
            dcp.load(tensors, storage_reader=reader, no_dist=True)
    except pickle.UnpicklingError as error:
        raise unsafe(place / METADATA_NAME) from error
    except Exception as error:
        raise DamagedError(f"{place} is no directory of shards: {first_line(error)}") from error
    return tensors


class _OfTorch(pickle.Unpickler):
    """Reads what torch writes of a directory, and refuses whatever else a pickle may ask for."""

    _TAKEN: Mapping[str, Sequence[str]] = {
        "torch.distributed.checkpoint.metadata": (
            *("Metadata", "MetadataIndex", "StorageMeta", "TensorStorageMetadata"),
            *("BytesStorageMetadata", "ChunkStorageMetadata", "TensorProperties"),
            "_MEM_FORMAT_ENCODING",
        ),
        "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
        "torch.serialization": ("_get_layout",),
        "torch": ("Size",),
        "pathlib": ("PosixPath", "PurePosixPath"),
        "pathlib._local": ("PosixPath", "PurePosixPath"),
    }

    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if not is_dtype and name not in self._TAKEN.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


def _like(shared: Any, local: Tensor) -> Any:
    """Return a tensor that is shared out as another one is, of a part of one's own."""
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        local,
        shared.device_mesh,
        shared.placements,
        run_check=False,
        shape=shared.shape,
        stride=shared.stride(),
    )


def _why(error: Any) -> Exception:
    """Return what torch wraps: a file system's refusal, or something else that a rank did not expect."""
    failures = {rank: failure[0] for rank, failure in error.failures.items()}
    for failure in failures.values():
        if isinstance(failure, OSError):
            return OSError(failure.errno, failure.strerror or str(failure), failure.filename)
    rank, failure = next(iter(failures.items()))
    return CheckpointError(f"rank {rank} did not write its part: {first_line(failure)}")


def _references(state: Any) -> Iterator[str]:
    if isinstance(state, Mapping):
        if state.keys() == _REFERENCE:
            yield state["sharded_tensor"]
            return
        state = list(state.values())
    if isinstance(state, list | tuple):
        for part in state:
            yield from _references(part)


def _resolve(state: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(state, dict):
        if state.keys() == _REFERENCE:
            return tensors[state["sharded_tensor"]]
        resolved = type(state)((key, _resolve(part, tensors)) for key, part in state.items())
        if "_metadata" in getattr(state, "__dict__", ()):
            vars(resolved)["_metadata"] = vars(state)["_metadata"]
        return resolved
    if isinstance(state, list | tuple):
        return type(state)(_resolve(part, tensors) for part in state)
    return state
