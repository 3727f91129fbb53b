"""Train a GAN from its specification, and store it as a folder."""

import json
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from robench.board.sources import entries_of, sources_of
from robench.data import DataSet, Images
from robench.data.load import FOLDER, is_of_hub
from robench.gan.architectures import IMAGE, architecture
from robench.gan.batches import Batches, training_images
from robench.gan.defended import defended, defends_head
from robench.gan.folder import GanFolder, GanManifest
from robench.gan.sampling import draw, grid_png
from robench.gan.spec import GanCell, GanSpec
from robench.gan.state import GanFiles
from robench.gan.symptoms import LogRow, symptoms
from robench.gan.training import GanDivergedError, fit_gan
from robench.models.complexity import count_multiply_adds
from robench.progress import ProgressCallback, ignore_progress
from robench.registry import defenses
from robench.system.files import remove, write_bytes, write_json
from robench.system.locks import sole_writer
from robench.system.provenance import code_version, environment, file_hash, peak_memory_mib
from robench.system.random_state import own_random_state
from robench.system.threads import computing_with, threads_for

PICTURED = 64
"""Samples in the picture of a GAN, drawn with seed 0."""

METADATA_KEY = "robench_gan"
"""Under which the weights have the specification of their GAN."""


def cell_of(defense: str, data: str, dataset: DataSet, gan: GanSpec, seed: int) -> GanCell:
    """Return the specification of a GAN.

    Args:
        defense: as :func:`robench.gan.defended.written_out` has it.
        data: what the data set was loaded by; the path of a folder is private and left out.
        dataset: the data set.
        gan: networks and recipe.
        seed: the seed of everything.
    """
    return GanCell(
        defense=defense,
        data=public_name(data),
        data_hash=dataset.fingerprint,
        gan=gan,
        seed=seed,
        sources=sources_of(entries_of(defense, "", "", data)),
    )


def public_name(data: str) -> str:
    """Return the name of a data set without the path of a folder, which is private."""
    registered = data.partition("(")[0].isidentifier()
    return data if registered or is_of_hub(data) else FOLDER


def build_pair(cell: GanCell) -> tuple[nn.Module, nn.Module]:
    """Return generator and discriminator with fresh weights; torch's random state is left alone.

    Raises:
        UserError: if the defense cannot be applied.
    """
    gan, defense = cell.gan, defenses.build(cell.defense)
    pair = architecture(gan.architecture)
    with own_random_state(torch.device("cpu"), cell.seed):
        generator = pair.generator(gan.width, gan.latent)
        plain = pair.discriminator(gan.width)
        head = gan.last_layer == "defended"
        if gan.last_layer == "auto":
            head = defends_head(defense, plain)
        return generator, defended(plain, defense, head=head)


def train_gan_cell(
    cell: GanCell,
    dataset: DataSet,
    folder: GanFolder,
    device: torch.device,
    progress: ProgressCallback = ignore_progress,
) -> None:
    """Train a GAN unless it is trained, from its checkpoint if there is one, and store it.

    If training diverges, a note of it is stored instead of weights.

    Raises:
        UserError: if the images or the defense do not fit, or the folder cannot be written or is
            that of another GAN; or another process is at work in it.
    """
    training_images(dataset)  # says that they do not fit before the folder is made
    with sole_writer(folder.path, "is at work in"):
        folder.remove_temporaries()
        finish_gan_training(cell, dataset, folder, device, progress)


def finish_gan_training(
    cell: GanCell,
    dataset: DataSet,
    folder: GanFolder,
    device: torch.device,
    progress: ProgressCallback = ignore_progress,
) -> None:
    """Do what :func:`train_gan_cell` does; hold the lock of the folder."""
    if not folder.finished:
        with computing_with(threads_of(cell, device)):
            _train(cell, training_images(dataset), folder, device, progress)
    remove(folder.checkpoint)  # also one that was stopped at its very end has left it


def threads_of(cell: GanCell, device: torch.device) -> int:
    """Return with how many threads a GAN is trained: more for a wide discriminator."""
    return threads_for(multiply_adds_of(cell), device)


def multiply_adds_of(cell: GanCell) -> int:
    """Return the multiply-adds of the forward of one image in a plain discriminator."""
    with torch.random.fork_rng(devices=[]):
        plain = architecture(cell.gan.architecture).discriminator(cell.gan.width)
    return count_multiply_adds(plain, torch.zeros(1, *IMAGE))


def _train(
    cell: GanCell,
    images: Images,
    folder: GanFolder,
    device: torch.device,
    progress: ProgressCallback,
) -> None:
    batches = Batches(images.images, cell.gan.batch_size, cell.seed, device)
    generator, discriminator = build_pair(cell)
    defense = defenses.build(cell.defense)
    defense.penalty(discriminator)  # says if it names layers that are not there
    write_json(folder.spec, cell.model_dump(mode="json"))

    def keep(step: int, generator: nn.Module) -> None:
        _save(folder.weights(step), generator, cell)

    files = GanFiles(folder.log, folder.checkpoint, cell.key, keep)
    try:
        rows, average = fit_gan(
            generator, discriminator, defense, cell.gan, batches, files=files, progress=progress
        )
    except GanDivergedError as diverged:
        write_json(folder.diverged, {"reason": str(diverged), "version": code_version()})
        return
    _save(folder.discriminator, discriminator, cell)
    _save_generator(folder, "last", generator, cell)
    if average:
        with average.in_place():
            _save_generator(folder, "ema", generator, cell)
    _write_manifest(cell, folder, device, rows)


def _save_generator(folder: GanFolder, which: str, generator: nn.Module, cell: GanCell) -> None:
    """Write the generator and a grid of its samples."""
    _save(folder.weights(which), generator, cell)
    samples = draw(generator, cell.gan.latent, PICTURED, seed=0)
    write_bytes(folder.picture(which), grid_png(samples))


def _save(path: Path, network: nn.Module, cell: GanCell) -> None:
    """Write weights, with the specification as their metadata."""
    state = {k: v.detach().cpu().contiguous().clone() for k, v in network.state_dict().items()}
    metadata = {METADATA_KEY: json.dumps(cell.model_dump(mode="json"), sort_keys=True)}
    write_bytes(path, safetensors.torch.save(state, metadata))


def _write_manifest(
    cell: GanCell, folder: GanFolder, device: torch.device, rows: list[LogRow]
) -> None:
    files = [folder.discriminator, folder.log]
    for which in ("last", "ema") if cell.gan.averaging else ("last",):
        files += [folder.weights(which), folder.picture(which)]
    files += [folder.weights(step) for step in cell.gan.snapshot_steps]
    manifest = GanManifest(
        specification=cell.key,
        version=code_version(),
        environment=environment(device),
        data_hash=cell.data_hash,
        training_seconds=sum(row.seconds for row in rows),
        peak_memory_mib=peak_memory_mib(device),
        hashes={file.name: file_hash(file) for file in files},
        symptoms=symptoms(rows),
    )
    write_json(folder.manifest, manifest.model_dump(mode="json"))
