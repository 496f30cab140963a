"""What the packages consist of, from the packages installed here, which are the lock's."""

import copy
import ctypes
import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from PIL import features

from infra import packages, sbom
from tests.conftest import REPOSITORY
from tonearm import manifest

SITE_PACKAGES = Path(sysconfig.get_path("platlib"))
# GPL and AGPL in any spelling; LGPL is no match.
COPYLEFT = re.compile(r"\bA?GPL|(?<!Lesser )(?<!Library )General Public License|Affero", re.IGNORECASE)
ACCEPTED = {"libx264", "libx265"}
"""FFmpeg's wheel cannot be loaded without these encoders, which nothing here calls: docs/security.md."""


@cache
def sbom_of(name: str) -> dict[str, Any]:
    content = packages.CONTENTS[name]
    command = [Path(sys.executable).with_name("uv"), "export", "--quiet", "--locked", "--no-emit-project"]
    command += ["--format", "cyclonedx1.5", *content.requirements]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return sbom.sbom_of(name, done.stdout, SITE_PACKAGES, manifest.default_folder() if content.models else None)


def every(components: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in components:
        yield each
        yield from every(each.get("components", []))


def copyleft(component: dict[str, Any]) -> bool:
    """Whether a component can be had under the GPL or AGPL only."""
    for each in component.get("licenses", []):
        alternatives = (each.get("expression") or each["license"].get("id") or each["license"]["name"]).split(" OR ")
        if all(COPYLEFT.search(alternative) for alternative in alternatives):
            return True
    return False


@pytest.mark.parametrize("name", packages.CONTENTS)
def test_the_sbom_is_as_cyclonedx_has_it(name: str) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    short = copy.deepcopy(sbom_of(name))
    for each in short["components"][3:]:
        each.pop("externalReferences", None)  # the validator takes 0.2 s for each address
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(short)) is None
    assert {"serialNumber", "timestamp"} & {*sbom_of(name), *sbom_of(name)["metadata"]} == set()


@pytest.mark.parametrize("name", packages.CONTENTS)
def test_every_package_has_version_address_hash_and_licence(name: str) -> None:
    libraries = [each for each in sbom_of(name)["components"] if each["type"] == "library"]
    assert len(libraries) > 30
    for each in libraries:
        assert each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}"
        assert each["licenses"], each["name"]
        (wheel,) = each["externalReferences"]
        assert wheel["url"].endswith(".whl")
        assert [found["alg"] for found in wheel["hashes"]] == ["SHA-256"]
    refs = {each["bom-ref"] for each in [sbom_of(name)["metadata"]["component"], *sbom_of(name)["components"]]}
    assert {ref for each in sbom_of(name)["dependencies"] for ref in (each["ref"], *each["dependsOn"])} <= refs


def test_the_models_with_their_hashes_licences_and_credit() -> None:
    models = {each["name"]: each for each in sbom_of("functions")["components"] if each["type"] != "library"}
    facts = manifest.load(manifest.default_folder())
    assert set(models) == set(facts.files)
    for name, each in models.items():
        digest = each["hashes"][0]["content"]
        assert digest == json.loads((manifest.default_folder() / "manifest.json").read_text())["files"][name]["sha256"]
    assert models["vgg19.onnx"]["licenses"] == [{"expression": "MIT AND CC-BY-4.0"}]
    assert "Visual Geometry Group" in models["vgg19.onnx"]["copyright"]
    assert "Florian Schmid" in models["audioset.onnx"]["copyright"]


def test_nothing_is_under_the_gpl_but_what_is_accepted() -> None:
    listed = [each for name in packages.CONTENTS for each in every(sbom_of(name)["components"]) if copyleft(each)]
    assert {each["name"] for each in listed if each.get("scope") != "optional"} == ACCEPTED
    # Pillow names it among what it may be built with; its wheel has it not.
    assert {each["name"] for each in listed if each.get("scope") == "optional"} <= {"libimagequant"}
    assert not features.check("libimagequant")
    document = (REPOSITORY / "docs" / "security.md").read_text()
    assert all(name in document for name in ACCEPTED)


@pytest.mark.parametrize(
    ("text", "is_copyleft"),
    [
        ("GPL-3.0-only", True),
        ("AGPL-3.0-or-later", True),
        ("MIT AND GPL-2.0-or-later", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("GNU Affero General Public License v3", True),
        ("Apache-2.0 OR GPL-2.0-only", False),
        ("LGPL-2.1-or-later", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("Apache-2.0", False),
    ],
)
def test_copyleft_is_told_from_the_rest(text: str, is_copyleft: bool) -> None:
    assert copyleft({"licenses": [{"license": {"name": text}}]}) == is_copyleft


@pytest.mark.skipif(sys.platform != "linux", reason="the wheel's libraries are named so on Linux")
def test_ffmpegs_licence_is_what_it_says_itself() -> None:
    import av  # noqa: F401 (loads what these libraries need)

    bundled = {each["name"] for each in every(sbom_of("functions")["components"])}
    for name in ("avcodec", "avdevice", "avfilter", "avformat", "avutil", "swresample", "swscale"):
        (file,) = (found for found in distribution("av").files or () if found.name.startswith(f"lib{name}-"))
        licence = getattr(ctypes.CDLL(str(file.locate())), f"{name}_license")
        licence.restype = ctypes.c_char_p
        assert licence() == b"LGPL version 3 or later"
        assert f"lib{name}" in bundled
        assert sbom.BUNDLED_LICENCES[f"lib{name}"] == "LGPL-3.0-or-later"
