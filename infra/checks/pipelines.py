"""The pipeline: its files against Azure's schema, and everything that they name against what is there."""

import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from infra.checks.pipeline_products import check_products, sonar
from infra.checks.pipeline_release import check_release
from infra.checks.pipeline_tree import (
    DIRECTIVE,
    EXPRESSION,
    Branch,
    Items,
    Node,
    Reader,
    Text,
    branches,
    declared_parameters,
    texts,
)
from infra.checks.problem import Problem
from infra.deploy.__main__ import parser

PIPELINE = "azure-pipelines.yml"
TEMPLATES = "infra/pipelines"
BRANCH = "main"
KNOWN_BAD = "infra/checks/known_bad_pipeline.yml"
KNOWN_BAD_LINES = {6, 12}
VALIDATOR = "infra/checks/validate_pipelines.js"
MODULES = "infra/checks/node_modules"
VALIDATOR_TIMEOUT_S = 120

# Of Azure's own variables, those that this pipeline may use:
# https://learn.microsoft.com/azure/devops/pipelines/build/variables
PREDEFINED = frozenset(
    {
        "Agent.OS",
        "Agent.TempDirectory",
        "Build.ArtifactStagingDirectory",
        "Build.BuildId",
        "Build.BuildNumber",
        "Build.Reason",
        "Build.SourceBranch",
        "Build.SourceVersion",
        "Build.SourcesDirectory",
        "Pipeline.Workspace",
        "System.DefaultWorkingDirectory",
        "System.JobAttempt",
        "System.PullRequest.IsFork",
        "System.PullRequest.TargetBranch",
    }
)
SCRIPTS = ("script", "bash", "pwsh", "powershell", "inlineScript")

_MACRO = re.compile(r"\$\(([A-Za-z_][\w.-]*)\)")
_VARIABLE = re.compile(r"\bvariables(?:\['([^']+)'\]|\.([\w.]+))")
_PARAMETER = re.compile(r"\bparameters\.([\w-]+)")
_HELD = re.compile(r"#\s*holds:\s*(.*)")
_TARGET = re.compile(r"^([\w-]+):(?!=)", re.MULTILINE)


def check(root: Path) -> list[Problem]:
    """All that is wrong with the pipeline of the repository in ``root``."""
    if not (root / PIPELINE).is_file():
        return [Problem(PIPELINE, 0, "There is no pipeline to check.")]
    return sorted({*validate(root), *resolve(root)})


def validate(root: Path) -> list[Problem]:
    """What Azure's own language service says of each file. A file that is wrong on purpose must be found wrong."""
    if not (root / MODULES).is_dir():
        return [Problem(MODULES, 0, "The language service is not installed: python3 local/setup_env.py --infra")]
    node = shutil.which("node")
    if node is None:
        return [Problem(VALIDATOR, 0, "Node is not on PATH; install version 20 or newer.")]
    # Takes seconds, in each process that collects tests.
    from check_jsonschema.builtin_schemas import get_builtin_schema  # type: ignore[import-untyped]

    paths = [PIPELINE, *_templates(root), KNOWN_BAD]
    request = {
        "schema": get_builtin_schema("vendor.azure-pipelines"),
        "files": [{"path": path, "text": (root / path).read_text()} for path in paths],
    }
    done = subprocess.run(
        [node, str(root / VALIDATOR)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        timeout=VALIDATOR_TIMEOUT_S,
    )
    if done.returncode != 0:
        return [Problem(VALIDATOR, 0, f"It ended with an error: {done.stderr.strip()[-500:]}")]
    found = [Problem(each["path"], each["line"], each["message"]) for each in json.loads(done.stdout)]
    missed = KNOWN_BAD_LINES - {problem.line for problem in found if problem.path == KNOWN_BAD}
    blind = [
        Problem(KNOWN_BAD, line, "This is wrong on purpose and was not found: the schema did not load.")
        for line in sorted(missed)
    ]
    return blind + [problem for problem in found if problem.path != KNOWN_BAD]


def resolve(root: Path) -> list[Problem]:
    """What the files name and is not there: templates, parameters, variables, dependencies, artifacts, commands."""
    reader = Reader(root)
    whole = reader.expanded(PIPELINE)
    for path in _templates(root):
        if whole and path not in reader.read:
            reader.problems.append(Problem(path, 0, "No pipeline uses this template. Use it or remove it."))
    for tree in reader.read.values():
        _check_parameters(reader, tree)
    _check_variables(reader, whole)
    _check_dependencies(reader, whole)
    _check_triggers(reader, whole)
    check_products(reader, whole)
    check_release(reader, whole)
    commands = Commands(reader)
    for branch in branches(whole):
        for kind in SCRIPTS:
            if (script := branch.text(kind)) is not None:
                commands.check(script)
        script_path = branch.text("scriptPath")
        if script_path is not None and not (root / script_path).is_file():
            reader.note(script_path, f"The script {script_path} does not exist.")
    return [*reader.problems, *sonar(root, whole)]


class Commands:
    """What the steps run: make targets and modules of ours, so that every step also runs on a developer's machine."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._root = reader.root
        makefile = self._root / "Makefile"
        self._targets = set(_TARGET.findall(makefile.read_text())) if makefile.is_file() else set[str]()

    def check(self, script: Text) -> None:
        """Look at each line of a script."""
        for line in script.splitlines():
            try:
                words = shlex.split(line, comments=True)
            except ValueError as error:
                self._reader.note(script, f"This is no command line ({error}): {line}")
                continue
            if fault := self._fault(words):
                self._reader.note(script, fault)

    def _fault(self, words: list[str]) -> str | None:
        match words:
            case []:
                return None
            case ["make", *targets]:
                unknown = [word for word in targets if "=" not in word and word not in self._targets]
                return f"The Makefile has no target {', '.join(unknown)}." if unknown else None
            case ["python" | "python3", "-m", "infra.deploy", *arguments]:
                return _deploy_fault(arguments)
            case ["python" | "python3", "-m", module, *_]:
                path = Path(*module.split("."))
                there = (path.with_suffix(".py"), path / "__main__.py")
                missing = not any((self._root / file).is_file() for file in there)
                return f"There is no module {module} to run." if missing else None
            case ["python" | "python3", file, *_]:
                return None if (self._root / file).is_file() else f"The script {file} does not exist."
        return f"`{words[0]}` runs on no developer's machine as it does here: call make or python -m infra.…"


def _deploy_fault(arguments: list[str]) -> str | None:
    """What infra.deploy's own command line has against these arguments; a variable's value may be anything."""
    arguments = [_MACRO.sub("1", argument) for argument in arguments]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(io.StringIO()):
            parser().parse_args(arguments)
    except SystemExit:
        return f"infra.deploy does not take this: {printed.getvalue().strip().rpartition('error: ')[2]}"
    return None


def _templates(root: Path) -> list[str]:
    return sorted(file.relative_to(root).as_posix() for file in (root / TEMPLATES).rglob("*.yml"))


def _check_parameters(reader: Reader, tree: Branch) -> None:
    """Every parameter that a file uses is declared in it, and the other way round."""
    declared = declared_parameters(tree)
    used = set[str]()
    for text in texts(tree):
        for expression in EXPRESSION.findall(text):
            for name in _PARAMETER.findall(expression):
                used.add(name)
                if name not in declared:
                    reader.note(text, f"The parameter {name} is not declared in this file.")
    for name, declaration in declared.items():
        if name not in used:
            reader.note(declaration, f"The parameter {name} is declared and not used. Use it or remove it.")


def _check_variables(reader: Reader, whole: Branch) -> None:
    """Every variable is declared in the pipeline, its stage or its job, or is one of Azure's."""
    # The run's name has variables of its own, as $(Rev:.r).
    _check_scope(reader, Branch({key: value for key, value in whole.items() if key != "name"}), PREDEFINED)
    # Conditions around whole stages or steps are gone from the expanded pipeline. They know Azure's variables only.
    for tree in reader.read.values():
        for text in texts(tree):
            if DIRECTIVE.fullmatch(text):
                _check_scope(reader, text, PREDEFINED)


def _check_scope(reader: Reader, node: Node, known: frozenset[str]) -> None:
    match node:
        case Branch():
            known |= set(_declared_variables(reader, node.get("variables")))
            for key, value in node.keyed():
                _check_scope(reader, key, known)
                _check_scope(reader, value, known)
        case Items():
            for item in node:
                _check_scope(reader, item, known)
        case Text():
            for name in [*_MACRO.findall(node), *(one or other for one, other in _VARIABLE.findall(node))]:
                if name not in known:
                    reader.note(node, f"The variable {name} is declared nowhere, and is none of Azure's (PREDEFINED).")


def _declared_variables(reader: Reader, variables: Node | None) -> Iterator[str]:
    if isinstance(variables, Branch):
        yield from variables
    elif isinstance(variables, Items):
        for each in variables:
            if isinstance(each, Branch):
                if (name := each.text("name")) is not None:
                    yield name
                if (group := each.text("group")) is not None:
                    yield from _held(reader, group)


def _held(reader: Reader, group: Text) -> list[str]:
    """The variables of a group, which are in Azure: the comment beside its name says which they are."""
    line = (reader.root / group.path).read_text().splitlines()[group.line - 1]
    comment = _HELD.search(line)
    if comment is None:
        reader.note(group, f"Say beside the variable group {group} which variables it has: # holds: name, name")
        return []
    return [name.strip() for name in comment[1].split(",")]


def _check_dependencies(reader: Reader, whole: Branch) -> None:
    """Every dependsOn names a stage of the pipeline, or a job of the same stage; no name is there twice."""
    stages = whole.get("stages")
    _check_names(reader, stages, "stage")
    for stage in branches(stages) if stages is not None else ():
        if "jobs" in stage:
            _check_names(reader, stage["jobs"], "job")


def _check_names(reader: Reader, items: Node | None, kind: str) -> None:
    entries = [item for item in items if isinstance(item, Branch)] if isinstance(items, Items) else []
    names = set[str]()
    for entry in entries:
        name = entry.text(kind) or entry.text("deployment")
        if name is None:
            reader.note(entry, f"This {kind} has no name.")
            continue
        if name in names:
            reader.note(name, f"There are two {kind}s of the name {name}.")
        names.add(name)
    for entry in entries:
        needed = entry.get("dependsOn")
        for other in needed if isinstance(needed, Items) else [needed]:
            if isinstance(other, Text) and other not in names:
                there = ", ".join(sorted(names)) or "none"
                reader.note(
                    other, f"dependsOn names the {kind} {other}, which does not exist here. There are: {there}."
                )


def _check_triggers(reader: Reader, whole: Branch) -> None:
    """It runs for main and for what is to come there."""
    for kind in ("trigger", "pr"):
        chosen = whole.get(kind)
        names = chosen.get("branches", Branch()) if isinstance(chosen, Branch) else Branch()
        included = names.get("include") if isinstance(names, Branch) else None
        if not isinstance(included, Items) or BRANCH not in included:
            reader.note(chosen if chosen is not None else whole, f"{kind} must include the branch {BRANCH}.")
