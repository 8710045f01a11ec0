from __future__ import annotations

from pathlib import PurePath

import pytest

from maquette.client.errors import ParameterInvalid
from maquette.masks.naming import OutputKind, Tool, name_for, names_for

MASK = OutputKind.MASK


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (None, "sub/IMG.jpg.png"),
        (Tool.COLMAP, "sub/IMG.jpg.png"),
        (Tool.METASHAPE, "sub/IMG_mask.png"),
        (Tool.REALITYSCAN, "sub/IMG.jpg.mask.png"),
        (Tool.MESHROOM, "sub/IMG.png"),
        (Tool.ODM, "sub/IMG_mask.png"),
        (Tool.OPENMVS, "sub/IMG.mask.png"),
    ],
)
def test_each_tool_finds_its_mask(tool: Tool | None, expected: str) -> None:
    assert name_for(PurePath("sub/IMG.jpg"), MASK, tool) == PurePath(expected)


def test_a_dot_inside_the_name_is_no_suffix() -> None:
    assert name_for(PurePath("a.1.jpg"), MASK, Tool.METASHAPE) == PurePath("a.1_mask.png")


def test_cutouts_and_masks_of_one_folder_differ() -> None:
    assert name_for(PurePath("IMG.jpg"), OutputKind.CUTOUT) == PurePath("IMG.jpg.cutout.png")


def test_odm_takes_no_spaces() -> None:
    with pytest.raises(ParameterInvalid, match=r"my statue\.jpg"):
        name_for(PurePath("my statue.jpg"), MASK, Tool.ODM)
    assert name_for(PurePath("my statue.jpg"), MASK, Tool.COLMAP) == PurePath("my statue.jpg.png")


SAME_STEM = [PurePath("IMG.jpg"), PurePath("IMG.png")]


def test_the_default_keeps_names_that_differ_by_suffix_apart() -> None:
    assert names_for(SAME_STEM, MASK, None) == [PurePath("IMG.jpg.png"), PurePath("IMG.png.png")]


@pytest.mark.parametrize("tool", [Tool.METASHAPE, Tool.MESHROOM, Tool.ODM, Tool.OPENMVS])
def test_a_collision_names_both_photographs(tool: Tool) -> None:
    names = names_for([*SAME_STEM, PurePath("other.jpg")], MASK, tool)
    assert "IMG.jpg and IMG.png" in str(names[0])
    assert "IMG.png and IMG.jpg" in str(names[1])
    assert names[2] == name_for(PurePath("other.jpg"), MASK, tool)


def test_names_that_differ_by_case_alone_are_one() -> None:
    names = names_for([PurePath("IMG.jpg"), PurePath("img.JPG")], MASK, None)
    assert "IMG.jpg and img.JPG" in str(names[0])
    assert all(isinstance(name, ParameterInvalid) for name in names)


def test_unless_the_file_system_tells_them_apart() -> None:
    photos = [PurePath("IMG.jpg"), PurePath("img.JPG")]
    names = names_for(photos, MASK, None, ignores_case=lambda: False)
    assert names == [PurePath("IMG.jpg.png"), PurePath("img.JPG.png")]
    names = names_for(SAME_STEM, MASK, Tool.MESHROOM, ignores_case=lambda: False)
    assert all(isinstance(name, ParameterInvalid) for name in names)


def test_composed_and_decomposed_names_are_one() -> None:
    names = names_for([PurePath("B\u00fcste.jpg"), PurePath("Bu\u0308ste.jpg")], MASK, None)
    assert all(isinstance(name, ParameterInvalid) for name in names)


def test_the_same_name_in_two_folders_is_told_by_the_full_paths() -> None:
    shown = [PurePath("x/IMG.jpg"), PurePath("y/IMG.jpg")]
    names = names_for([PurePath("IMG.jpg"), PurePath("IMG.jpg")], MASK, None, shown=shown)
    assert "x/IMG.jpg and y/IMG.jpg" in str(names[0])
