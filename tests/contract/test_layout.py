"""The house as DESIGN.md has it: who may import whom, and that every service has all its parts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import KINDS, ROOT

PACKAGES = ("services", "training", "protos", "maquette")
# What each package may import of the others.
ARROWS = {
    "services": {"services", "protos"},
    "training": {"training", "services"},
    "maquette": {"maquette", "protos"},
    "protos": {"protos"},
}
FRAMEWORKS = {"torch", "torchvision", "tensorflow", "keras", "sklearn", "onnx"}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere in it, by its full name."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def modules(package: str) -> list[Path]:
    return sorted(path for path in (ROOT / package).rglob("*.py") if "_pb2" not in path.name)


def other_services(name: str, under: str) -> set[str]:
    return {f"{under}.{other}" for other in KINDS if other != name}


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows(package: str) -> None:
    assert modules(package)
    for path in modules(package):
        for module in imports(path):
            top = module.partition(".")[0]
            assert top not in PACKAGES or top in ARROWS[package], f"{path.relative_to(ROOT)} imports {module}"
            assert top != "tests", f"{path.relative_to(ROOT)} imports {module}"


def test_training_takes_of_serving_only_the_common_part_and_the_predictors() -> None:
    for path in modules("training"):
        for module in imports(path):
            if module.startswith("services."):
                allowed = module.startswith("services.common") or ".predictor" in module
                assert allowed or module in {f"services.{name}" for name in KINDS}, f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("name", KINDS)
def test_no_service_imports_another(name: str) -> None:
    for path in modules(f"services/{name}"):
        for module in imports(path):
            for other in (*other_services(name, "services"), *other_services(name, "protos.maquette")):
                assert not f"{module}.".startswith(f"{other}."), f"{path.relative_to(ROOT)} imports {module}"


def test_the_common_part_knows_no_service() -> None:
    for path in modules("services/common"):
        for module in imports(path):
            assert not any(f"{module}.".startswith(f"services.{name}.") for name in KINDS), f"{path.name} imports {module}"


def test_serving_needs_no_training_framework() -> None:
    for package in ("services", "maquette", "protos"):
        for path in modules(package):
            found = {module.partition(".")[0] for module in imports(path)} & FRAMEWORKS
            assert not found, f"{path.relative_to(ROOT)} imports {found}"


def test_only_these_services_are_there() -> None:
    for folder in ("services", "training", "protos/maquette"):
        packages = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")} - {"common", "render"}
        assert packages <= set(KINDS), folder


@pytest.mark.parametrize("name", KINDS)
def test_a_service_has_all_its_parts(name: str) -> None:
    parts = [
        *(f"services/{name}/{module}.py" for module in ("app", "predictor", "service", "servicer")),
        *(f"protos/maquette/{name}/v1/{name}{end}" for end in (".proto", "_pb2.py", "_pb2.pyi", "_pb2_grpc.py")),
        *(f"training/{name}/{module}.py" for module in ("train", "evaluate", "export")),
        f"training/{name}/README.md",
        f"web/pages/{name}.html",
        f"services/common/web/{name}.html",
    ]
    assert not [part for part in parts if not (ROOT / part).is_file()]
    assert list((ROOT / "tests" / "services" / name).glob("test_*.py"))
    assert list((ROOT / "tests" / "training" / name).glob("test_*.py"))
    assert name in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", KINDS)
def test_a_shipped_model_has_all_its_parts(name: str) -> None:
    for folder in (ROOT / "exported_models" / name).glob("[!.]*"):
        files = {path.name for path in folder.iterdir()}
        assert {"model.onnx", "manifest.json", "golden.json", "metrics.json", "MODEL_CARD.md"} <= files, folder.name


@pytest.mark.parametrize("name", KINDS)
def test_one_name_three_spellings(name: str) -> None:
    kind = KINDS[name]
    assert kind.pb.DESCRIPTOR.package == f"maquette.{name}.v1"
    assert kind.service.name == f"{kind.camel}Service"
    assert kind.path == f"/v1/{name.replace('_', '-')}"
    assert f'"{kind.noun}"' in (ROOT / "services" / name / "app.py").read_text(encoding="utf-8")
    assert f"class {kind.camel}:" in (ROOT / "services" / name / "service.py").read_text(encoding="utf-8")
    assert f'"{kind.path}"' in (ROOT / "services" / name / "app.py").read_text(encoding="utf-8")


def test_modules_stay_readable() -> None:
    for path in modules("services"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 320, path.relative_to(ROOT)
