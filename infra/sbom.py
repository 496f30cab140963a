"""What is in a package, from where and under which licence: a software bill of materials (SBOM, CycloneDX 1.5).

uv lists the locked Python packages with their addresses and hashes. Of these the installed wheels stay. Added are their
licences, the libraries that they bring along, and the models. There is no date and no random number in it, so that two
builds give the same bytes.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from itertools import product
from pathlib import Path
from typing import Any

LICENCE = "MIT"
# The weights' source is credited as its licence asks; the model card says what was changed.
MODEL_LICENCES = {"vgg19.onnx": f"{LICENCE} AND CC-BY-4.0"}
MODEL_CREDITS = {
    "vgg19.onnx": "ImageNet weights: Visual Geometry Group, University of Oxford, CC BY 4.0, changed",
    "audioset.onnx": "EfficientAT mn04: Copyright (c) 2022 Florian Schmid, MIT, changed",
}

# Of libraries inside wheels whose licence is not the package's. FFmpeg's is what its own avcodec_license() says.
BUNDLED_LICENCES = {
    **dict.fromkeys(
        ("libavcodec", "libavdevice", "libavfilter", "libavformat", "libavutil", "libswresample", "libswscale"),
        "LGPL-3.0-or-later",
    ),
    "libx264": "GPL-2.0-or-later",
    "libx265": "GPL-2.0-or-later",
}

# What is taken over from a wheel's own SBOM.
SBOM_FACTS = ("type", "name", "version", "scope", "purl", "licenses")

_LIBRARY = re.compile(r"(?P<name>[\w+.-]+?)(?:-[0-9a-f]{8})?\.so(?:\.(?P<version>[\d.]+))?")


def sbom_of(name: str, exported: str, site_packages: Path, models: Path | None = None) -> dict[str, Any]:
    """The SBOM of the package ``name``.

    Args:
        name: as in ``infra.packages``.
        exported: what ``uv export --format cyclonedx1.5`` prints for its dependencies.
        site_packages: where these are installed. What is installed there besides is left out.
        models: the folder of the default version, if the package has it.
    """
    whole: dict[str, Any] = json.loads(exported)
    del whole["serialNumber"], whole["metadata"]["timestamp"]
    installed = {(_canonical(each.name), each.version): each for each in distributions(path=[str(site_packages)])}
    components = []
    for component in whole["components"]:
        if distribution := installed.get((component["name"], component["version"])):
            wheels = list(_installed_from(distribution, component["externalReferences"]))
            bundled = list(_bundled(distribution))
            added = {"licenses": licences(distribution), "externalReferences": wheels, "components": bundled}
            components.append(component | {key: value for key, value in added.items() if value})
    root = whole["metadata"]["component"]
    root |= {"type": "application", "name": f"tonearm-{name}", "licenses": [{"expression": LICENCE}]}
    refs = {root["bom-ref"], *(each["bom-ref"] for each in components)}
    whole["components"] = components + (list(_models(models)) if models else [])
    whole["dependencies"] = [
        each | {"dependsOn": [ref for ref in each.get("dependsOn", ()) if ref in refs]}
        for each in whole["dependencies"]
        if each["ref"] in refs
    ]
    return whole


def licences(distribution: Distribution) -> list[dict[str, Any]]:
    """A package's licence as its metadata has it: an SPDX expression, else the names in its classifiers or its text."""
    metadata = distribution.metadata
    if expression := metadata.get("License-Expression"):
        return [{"expression": expression}]
    classified = [each for each in metadata.get_all("Classifier", []) if each.startswith("License :: ")]
    text = metadata.get("License") or "\n"
    named = [each.rpartition(" :: ")[2] for each in classified] or ([] if "\n" in text else [text])
    return [{"license": {"name": each}} for each in named]


def _installed_from(distribution: Distribution, references: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of the lock's files, those that fit the tags of what is installed: one wheel."""
    tags = set(re.findall(r"^Tag: (\S+)", distribution.read_text("WHEEL") or "", re.MULTILINE))
    for reference in references:
        name, _, kind = reference["url"].rpartition("/")[2].rpartition(".")
        compressed = (part.split(".") for part in name.split("-")[-3:])
        if kind == "whl" and tags & {"-".join(each) for each in product(*compressed)}:
            yield reference


def _bundled(distribution: Distribution) -> Iterator[dict[str, Any]]:
    """What a wheel brings along: shared libraries beside the package, and what its own SBOMs name (PEP 770)."""
    seen = list[dict[str, Any]]()
    for file in distribution.files or ():
        path = Path(str(file.locate()))
        if file.parts[0].endswith(".libs") and (found := _LIBRARY.fullmatch(file.name)):
            library = {key: value for key, value in found.groupdict().items() if value}
            licence = BUNDLED_LICENCES.get(library["name"])
            stated = {"licenses": [{"expression": licence}]} if licence else {}
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            seen.append({"type": "library", **library, "hashes": [{"alg": "SHA-256", "content": sha256}], **stated})
        elif "sboms" in file.parts and file.suffix == ".json":
            for component in json.loads(path.read_text()).get("components", ()):
                facts = {key: component[key] for key in SBOM_FACTS if key in component}
                if _canonical(facts["name"]) != _canonical(distribution.name) and facts not in seen:
                    seen.append(facts)
    yield from sorted(seen, key=lambda each: (each["name"], json.dumps(each)))


def _models(version: Path) -> Iterator[dict[str, Any]]:
    for name, facts in json.loads((version / "manifest.json").read_text())["files"].items():
        yield {
            "type": "machine-learning-model" if name.endswith(".onnx") else "data",
            "bom-ref": f"models/{version.name}/{name}",
            "name": name,
            "version": version.name,
            "hashes": [{"alg": "SHA-256", "content": facts["sha256"]}],
            "licenses": [{"expression": MODEL_LICENCES.get(name, LICENCE)}],
            **({"copyright": MODEL_CREDITS[name]} if name in MODEL_CREDITS else {}),
        }


def _canonical(name: str) -> str:
    """A name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
