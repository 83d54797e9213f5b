"""The real server, as a stranger uses it: graphs in over HTTP, images, texts and clear errors out."""

from __future__ import annotations

import gzip
import io
import json
import urllib.request
from urllib.parse import quote

import pytest
from PIL import Image

from tests.support.host import http_graphs
from tests.support.host.http_graphs import fused_image
from tools.host.find import REPO
from tools.host.server import PromptRefused, Server

SUBJECT, STYLE = "tiny-subject-sd15.safetensors", "tiny-style-sd15.safetensors"


@pytest.fixture
def server(served):
    return served


def _picture(server: Server, run, node: str) -> Image.Image:
    (shown,) = run.images(node)
    return Image.open(io.BytesIO(server.image(shown))).convert("RGB")


def test_a_strangers_graph_gives_images_and_texts(server):
    run = server.run(fused_image(SUBJECT, STYLE))
    assert run.error is None
    image = _picture(server, run, "image")
    assert image.size == (64, 64)
    assert len(image.getcolors(64 * 64)) > 100
    assert _picture(server, run, "map_image").width > 300
    (report,) = run.texts("report")
    for word in (SUBJECT, STYLE, str(http_graphs.SD15_SLOTS)):
        assert word in report


def _set_of(server: Server, name: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(f"{server.url}/klora/sets/{name}", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, dict(answer.headers), answer.read()


def test_what_a_prompt_has_told_its_page_is_there_for_one_that_is_opened_later(server):
    run = server.run(fused_image(SUBJECT, STYLE, balance=0.15))
    told = server.get("/klora/running")
    assert told["prompt"] == run.prompt_id
    assert told["nodes"]["fuse"]["sent"] == run.outputs["fuse"]["klora"][0]
    count = told["nodes"]["fuse"]["run"]
    assert count["mode"] == "steps" and len(count["x"]) > 1 and "sampler" in count
    again = server.run(fused_image(SUBJECT, STYLE, balance=0.15, seed=3))
    assert server.get("/klora/running")["prompt"] == again.prompt_id


def test_a_run_keeps_its_settings_and_the_server_its_slots_once(server):
    run, turned = (server.run(fused_image(SUBJECT, STYLE, balance=balance)) for balance in (0.0, 0.25))
    (first,), (second,) = (each.outputs["fuse"]["klora"] for each in (run, turned))
    assert max(len(json.dumps(each)) for each in (first, second)) < 1024
    assert first["set"] == second["set"]
    assert [each["schedule"]["balance"] for each in (first, second)] == [0.0, 0.25]
    status, headers, content = _set_of(server, first["set"])
    assert status == 200 and "immutable" in headers["Cache-Control"]
    columns = json.loads(content)["columns"]
    assert len(columns["name"]) == len(set(columns["name"])) == http_graphs.SD15_SLOTS
    assert len(columns["score_subject"]) == len(columns["score_style"]) == http_graphs.SD15_SLOTS
    _, headers, packed = _set_of(server, first["set"], **{"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip" and gzip.decompress(packed) == content


@pytest.mark.parametrize("name", ["0" * 32, "..%2F..%2Fetc", "%20"])
def test_a_set_that_is_not_there_is_no_error_and_not_remembered(server, name):
    status, headers, content = _set_of(server, name)
    assert (status, content) == (204, b"")
    assert headers["Cache-Control"] == "no-store"


def test_back_to_back_runs_do_not_remember_each_other(server):
    def pixels(steps: int, seed: int) -> bytes:
        graph = fused_image(SUBJECT, STYLE, steps=steps)
        graph["sampler"]["inputs"]["seed"] = seed
        # A new prefix is a new output: the host would skip a graph that it has executed already.
        graph["image"]["inputs"]["filename_prefix"] = f"run-{steps}-{seed}-{len(seen)}"
        graph["sampler"]["inputs"]["denoise"] = 1.0 - 1e-9 * len(seen)
        seen.append(graph)
        run = server.run(graph)
        assert run.error is None
        return _picture(server, run, "image").tobytes()

    seen: list = []
    first = pixels(3, seed=1)
    assert pixels(5, seed=2) != first
    assert pixels(3, seed=1) == first


def test_the_dials_change_the_image(server):
    dials = [{}, {"balance": 1.0}, {"schedule": "s*"}, {"schedule": "s", "schedule.beta": 3.0}]
    images = set()
    for dial in dials:
        run = server.run(fused_image(SUBJECT, STYLE, **dial))
        assert run.error is None, dial
        images.add(_picture(server, run, "image").tobytes())
    assert len(images) == len(dials)


@pytest.mark.parametrize(
    ("subject", "node", "words"),
    [
        ("down-only.safetensors", "KLoRAFuse", ["share"]),
        ("tiny-subject-flux.safetensors", "KLoRAFuse", ["tiny-subject-flux", "base model"]),
        ("tiny-subject-sdxl.safetensors", "KLoRAFuse", ["tiny-subject-sdxl", "base model"]),
        ("truncated.safetensors", "KLoRALoadPair", ["truncated.safetensors", "Download it again"]),
        ("web-page.safetensors", "KLoRALoadPair", ["web-page.safetensors", "Download it again"]),
        ("a-vae.safetensors", "KLoRALoadPair", ["a-vae.safetensors", "holds no LoRA"]),
        ("reshapes.safetensors", "KLoRAFuse", ["reshapes.safetensors", "layer's size", "attn"]),
    ],
)
def test_bad_input_is_a_node_error_that_says_what_to_do(server, subject, node, words):
    run = server.run(fused_image(subject, "up-blocks-only.safetensors"))
    assert run.error is not None
    assert run.error["node_type"] == node
    for word in words:
        assert word in run.error["exception_message"]
    assert not run.images("image")


def test_a_file_that_is_gone_is_refused_before_the_run(server):
    with pytest.raises(PromptRefused, match="not in"):
        server.queue(fused_image("deleted.safetensors", STYLE))


def test_a_good_run_after_a_bad_one(server):
    assert server.run(fused_image("truncated.safetensors", STYLE)).error is not None
    assert server.run(fused_image(SUBJECT, STYLE, steps=2)).error is None


def test_workflows_stand_in_the_templates_browser_with_pictures(server):
    shipped = {path.stem for path in (REPO / "workflows").glob("*.json")}
    assert set(server.get("/workflow_templates")["k-lora"]) == shipped
    for name in shipped:
        picture = urllib.request.urlopen(
            f"{server.url}/api/workflow_templates/k-lora/{quote(name)}.jpg"
        ).read()
        assert Image.open(io.BytesIO(picture)).format == "JPEG"
