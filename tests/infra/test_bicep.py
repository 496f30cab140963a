"""The Bicep check finds nothing in the repository, and reports each fault that is put into a copy, with its line."""

from pathlib import Path

import pytest

from infra.checks import bicep, scenarios
from tests.conftest import REPOSITORY
from tests.infra.conftest import Seed, reported

MAIN = "infra/bicep/main.bicep"
EVENTS = "infra/bicep/events.bicep"
DEV = "infra/bicep/dev.parameters.json"
STORAGE = "infra/bicep/modules/storage.bicep"
FUNCTION_APP = "infra/bicep/modules/function-app.bicep"
WEB_APP = "infra/bicep/modules/web-app.bicep"
ROLES = "infra/bicep/modules/roles.bicep"
TOPIC = "infra/bicep/modules/event-topic.bicep"


def test_nothing_is_wrong() -> None:
    assert [str(problem) for problem in bicep.check(REPOSITORY)] == []


def test_every_environment_and_both_colours_are_computed() -> None:
    found, _ = scenarios.scenarios(REPOSITORY)
    titles = {each.name for each in found}
    assert {"dev.parameters.json", "prod.parameters.json"} <= titles
    assert {'prod.parameters.json, liveColour="green"', "prod.parameters.json, privateNetworking=true"} <= titles
    assert {each.outputs["liveColour"][0] for each in found} == {"blue", "green"}
    assert all(len(each.resources) > 50 for each in found)


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        # symbols
        (MAIN, "location: location", "location: locaton", "locaton is not declared"),
        (MAIN, "name: 'default'\n", "name: '${nobody}'\n", "nobody is not declared"),
        (ROLES, "scope: account\n", "scope: acount\n", "acount is not declared"),
        (TOPIC, "parent: account\n", "parent: acount\n", "acount is not declared"),
        (STORAGE, "for containerName in containerNames", "for each in containerNames", "containerName is not declared"),
        (STORAGE, "dependsOn: [\n    containers", "dependsOn: [\n    container", "container is not declared"),
        (MAIN, "= if (privateNetworking)", "= if (privateNetwork)", "privateNetwork is not declared"),
        (MAIN, "uniqueString(", "uniqueStrings(", "function uniqueStrings is not known"),
        (MAIN, "var tags = {", "var tags string = {", "is no string"),
        (MAIN, "param containerRegistry bool", "param containerRegistry flag", "type flag is not declared"),
        (MAIN, "output vaultName", "output storageAccountName", "storageAccountName is declared twice"),
        (MAIN, "var tags = {", "var suffix = 'x'\nvar tags = {", "suffix is declared twice"),
        (MAIN, "var tags = {", "var unused = 1\nvar tags = {", "var unused is not used"),
        (ROLES, "param vaultName", "@description('x')\nparam more int = 1\nparam vaultName", "param more is not used"),
        (ROLES, "@description('Name of the vault.')\n", "", "vaultName has no @description"),
        (ROLES, "@description('Name of the vault.')", "@descripton('Name.')", "no decorator @descripton"),
        # types and versions
        (STORAGE, "storageAccounts@2025-06-01'", "storageAccounts@2025-06-02'", "no API version 2025-06-02"),
        (STORAGE, "storageAccounts@2025-06-01'", "storageAccounts'", "pycep cannot parse this"),
        (STORAGE, "storageAccounts@2025-06-01'", "storageAccounts@2025-6-1'", "no resource type of the form"),
        (STORAGE, "Microsoft.Storage/storageAccounts@", "Microsoft.Storage/storageAcounts@", "is not known here"),
        (
            STORAGE,
            "Microsoft.Storage/storageAccounts@",
            "microsoft.storage/storageAccounts@",
            "write Microsoft.Storage",
        ),
        # modules
        (MAIN, "'modules/roles.bicep'", "'modules/rules.bicep'", "modules/rules.bicep is not there"),
        (MAIN, "    vaultName: vault.outputs.vaultName\n", "", "parameter vaultName is not given"),
        (MAIN, "    colour: 'blue'\n", "    color: 'blue'\n", "has no parameter color"),
        (MAIN, "storage.outputs.accountName", "storage.outputs.name", "modules/storage.bicep has no output name"),
        (MAIN, "network!.outputs.webSubnetId", "network!.outputs.subnet", "has no output subnet"),
        (MAIN, "    colour: 'blue'\n", "    colour: 'red'\n", 'module blue: parameter colour: "red" is not allowed'),
        (MAIN, "alwaysReadyBlob: liveColour", "alwaysReadyBlob: 'one' //", '"one" is no int'),
        (MAIN, "instanceMemoryMB: instanceMemoryMB", "instanceMemoryMB: 1024", "1024 is not allowed"),
        (
            MAIN,
            "'func-tonearm-${environmentName}-blue",
            "'function-app-tonearm-${environmentName}-blue",
            "longer than 32",
        ),
        (MAIN, "alwaysReadyHttp : 0", "alwaysReadyHttp : -1", "-1 is less than 0"),
        # what a deployment would stumble over
        (STORAGE, "  tags: tags\n", "  tags: tags\n  tags: tags\n", "tags stands twice in one object"),
        (MAIN, "privateNetworking ? network!", "!privateNetworking ? network!", "blue needs network, which is not"),
        (MAIN, "var suffix = take(", "var suffix = first(suffix) == take(", "suffix depends on itself"),
        (STORAGE, "output accountName string = account.name", "output accountName int = account.name", "is no int"),
        (STORAGE, "output accountName string = account.name", "output accountName string = account.nam", "has no nam"),
        (TOPIC, "  parent: blobService\n", "", "needs a name of 3 parts, or a parent"),
        (MAIN, "= if (containerRegistry) {", "= if (containerRegistry && false) {", "registry, which is not deployed"),
        # parameter files
        (DEV, '"environmentName"', '"environment"', "no entry point has a parameter environment"),
        (DEV, '"value": "dev"', '"value": "test"', '"test" is not allowed'),
        (DEV, '"value": 2048', '"value": "2048"', '"2048" is no int'),
        (
            DEV,
            '"maximumInstanceCount": {\n      "value": 40',
            '"maximumInstanceCount": {\n      "value": 39',
            "less than 40",
        ),
        (DEV, '"value": 2048', '"value" 2048', "it must be JSON"),
        (DEV, "deploymentParameters.json", "parameters.json", "$schema"),
        # files
        (STORAGE, "resource lifecycle '", "resource lifecycle = '", "pycep cannot parse this"),
        (WEB_APP, "resource plan", "resource ...plan", "pycep cannot parse this"),
        ("infra/bicepconfig.json", '"analyzers"', '"analysers"', "it must be JSON with analyzers.core.rules"),
    ],
)
def test_a_fault_is_noticed(seed: Seed, path: str, old: str, new: str, words: str) -> None:
    problems = bicep.check(seed(path, old, new))
    assert reported(problems, path, words), problems
    assert all(problem.line for problem in problems if problem.path == path and path.endswith(".bicep")), problems


def test_a_parameter_that_no_file_gives_is_noticed(seed: Seed) -> None:
    problems = bicep.check(seed(DEV, '"environmentName": {\n      "value": "dev"\n    },', ""))
    assert reported(problems, DEV, "parameter environmentName has no default and is not given")


def test_a_file_that_nothing_uses_is_noticed(tree: Path) -> None:
    (tree / "infra/bicep/modules/spare.bicep").write_text("var x = 1\noutput y int = x\n")
    problems = bicep.check(tree)
    assert reported(problems, "infra/bicep/modules/spare.bicep", "nothing uses this file")


def test_an_empty_file_is_noticed(tree: Path) -> None:
    (tree / "infra/bicep/modules/empty.bicep").write_text("// nothing\n")
    assert reported(bicep.check(tree), "infra/bicep/modules/empty.bicep", "nothing is declared here")


@pytest.mark.parametrize("pattern", ["*.bicep", "*.parameters.json"])
def test_no_files_are_no_success(tree: Path, pattern: str) -> None:
    for file in (tree / "infra/bicep").glob(pattern):
        file.unlink()
    assert reported(bicep.check(tree), "infra/bicep", "nothing can be checked")


def test_a_resource_that_is_never_deployed_is_noticed(seed: Seed) -> None:
    tree = seed(MAIN, "= if (containerRegistry) {", "= if (environmentName == 'test') {")
    seed(MAIN, "containerRegistry ? registry!.outputs.loginServer : ''", "string(containerRegistry)")
    problems = bicep.check(tree)
    assert reported(problems, "infra/bicep/modules/registry.bicep", "no environment ever deploys resource registry")
