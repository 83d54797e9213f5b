"""Pictures beside LoRA files: those that other packs write, and nothing else that the server could read."""

from __future__ import annotations

import folder_paths
import pytest

from tests.support.host.nodes import part

PNG, JPEG = b"\x89PNG\r\n\x1a\n rest", b"\xff\xd8\xff rest"
WEBP, GIF = b"RIFF\0\0\0\0WEBPVP8 rest", b"GIF89a rest"


@pytest.fixture
def loras(tmp_path, monkeypatch):
    folder = tmp_path / "loras"
    (folder / "sub").mkdir(parents=True)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(folder)], {".safetensors"}))
    for name in ("a.safetensors", "sub/b.safetensors", "c.d.safetensors"):
        (folder / name).write_bytes(b"any")
    return folder


@pytest.fixture
def preview(pack):
    return part(pack, "nodes.loras.preview").preview_of


@pytest.mark.parametrize(
    ("file", "content", "kind"),
    [
        ("a.png", PNG, "image/png"),
        ("a.preview.png", PNG, "image/png"),
        ("a.preview.jpeg", JPEG, "image/jpeg"),
        ("a.jpg", JPEG, "image/jpeg"),
        ("a.webp", WEBP, "image/webp"),
        ("a.preview.webp", WEBP, "image/webp"),
        ("a.gif", GIF, "image/gif"),
        # What it is, whatever it is called.
        ("a.png", JPEG, "image/jpeg"),
    ],
)
def test_a_picture_beside_the_file(preview, loras, file, content, kind):
    assert preview("a.safetensors") is None
    (loras / file).write_bytes(content)
    assert preview("a.safetensors") == (content, kind)


def test_in_a_folder_and_with_dots_in_the_name(preview, loras):
    (loras / "sub" / "b.png").write_bytes(PNG)
    (loras / "c.d.preview.png").write_bytes(JPEG)
    (loras / "c.png").write_bytes(GIF)
    assert preview("sub/b.safetensors").content == PNG
    assert preview("c.d.safetensors").content == JPEG


def test_the_preview_comes_before_a_picture_of_that_name(preview, loras):
    (loras / "a.png").write_bytes(PNG)
    (loras / "a.preview.jpg").write_bytes(JPEG)
    assert preview("a.safetensors").content == JPEG
    (loras / "a.preview.jpg").write_bytes(b"a download that failed")
    assert preview("a.safetensors").content == PNG


@pytest.mark.parametrize(
    "name",
    [
        "",
        "none.safetensors",
        "a",
        "a.png",
        "../outside.safetensors",
        "sub/../../outside.safetensors",
        "a\0b",
        "\ud800",
    ],
)
def test_other_names_give_nothing(preview, loras, name):
    (loras / "a.png").write_bytes(PNG)
    (loras.parent / "outside.safetensors").write_bytes(b"any")
    (loras.parent / "outside.png").write_bytes(PNG)
    assert preview(name) is None


def test_what_is_no_picture_too_large_or_elsewhere_is_not_sent(pack, preview, loras):
    (loras / "a.png").write_bytes(b"key = secret")
    assert preview("a.safetensors") is None
    largest = part(pack, "nodes.loras.preview").LARGEST
    (loras / "a.png").write_bytes(PNG.ljust(largest + 1, b"\0"))
    assert preview("a.safetensors") is None
    (loras / "a.png").write_bytes(PNG.ljust(largest, b"\0"))
    assert preview("a.safetensors") is not None
    (loras / "a.png").unlink()
    (loras.parent / "private.png").write_bytes(PNG)
    (loras / "a.png").symlink_to(loras.parent / "private.png")
    assert preview("a.safetensors") is None
    (loras / "a.png").unlink()
    (loras / "a.png").symlink_to(loras / "sub" / "shared.png")
    (loras / "sub" / "shared.png").write_bytes(PNG)
    assert preview("a.safetensors") is not None
    (loras / "a.png").unlink()
    (loras / "a.png").mkdir()
    assert preview("a.safetensors") is None
