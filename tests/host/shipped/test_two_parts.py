"""Models in two parts, as shipped: the second part goes on where the first one ended."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.support.host.shipped_runs import STEPS, api, execute

HALF = STEPS // 2
ENDS = ("execution_success", "execution_error", "execution_interrupted")


async def watched(url: str, prompt: dict[str, Any]) -> tuple[list[dict], dict[str, dict], str]:
    """Queue a prompt as a page does: what K-LoRA sent while it ran, its documents by node, how it ended."""
    runs: list[dict] = []
    documents: dict[str, dict] = {}
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws?clientId=test") as page:
        async with session.post(f"{url}/prompt", json={"prompt": prompt, "client_id": "test"}) as answer:
            assert answer.status == 200, await answer.text()
        async for message in page:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            data = event["data"]
            if event["type"] == "klora.run":
                runs.append(data)
            elif event["type"] == "executed" and "klora" in (data.get("output") or {}):
                documents[data["node"]] = data["output"]["klora"][-1]
            elif event["type"] in ENDS:
                return runs, documents, json.dumps(event)
    raise AssertionError("the server closed the connection")


def shares(document: dict[str, Any], scores: dict[str, list[float]], xs: list[float]) -> list[float]:
    """The style's share of the layers at each progress: Eq. 10 and 13 of the paper, on the scores sent."""
    alpha, beta = (document["schedule"][name] for name in ("alpha", "beta"))
    gamma = document["gamma"]["value"]
    pairs = zip(scores["score_subject"], scores["score_style"], strict=True)
    rhos = [subject / (gamma * style) for subject, style in pairs]
    return [sum(rho < alpha * x + beta for rho in rhos) / len(rhos) for x in xs]


@pytest.mark.parametrize("name", ["k-lora-wan", "k-lora-wan-pairs"])
def test_the_low_noise_model_goes_on_where_the_high_one_ended(served, name):
    prompt = api(served, name)
    _fresh(prompt, len(name))
    runs, documents, end = asyncio.run(watched(served.url, prompt))
    assert "execution_success" in end, end
    high, low = (_fuse(prompt, noise) for noise in ("high noise", "low noise"))
    assert [(run["node"], run["mode"], len(run["x"])) for run in runs] == [
        (high, "noise level", HALF),
        (low, "noise level", HALF),
    ]
    first, second = (run["x"] for run in runs)
    assert first[0] < 0.05
    # Wan's noise is even over the steps: each is a quarter of the schedule.
    assert [*first, *second] == pytest.approx([at / STEPS for at in range(STEPS)], abs=0.02)
    sets = [served.get(f"/klora/sets/{documents[each]['set']}")["columns"] for each in (high, low)]
    grown = shares(documents[high], sets[0], first), shares(documents[low], sets[1], second)
    if name == "k-lora-wan":
        assert documents[high]["set"] == documents[low]["set"]
        assert [*grown[0], *grown[1]] == sorted([*grown[0], *grown[1]])
        assert grown[0][0] < grown[0][-1] < grown[1][0] < grown[1][-1]
    else:
        assert documents[high]["set"] != documents[low]["set"]
        assert all(part[0] < part[-1] for part in grown)
    assert len(sets[0]["name"]) == 20


def _fresh(prompt: dict[str, Any], seed: int) -> None:
    """Make it a run of its own: what another prompt has sampled is in the host's cache."""
    for node in prompt.values():
        if node["_meta"]["title"] == "Seed":
            node["inputs"]["value"] = seed


def _fuse(prompt: dict[str, Any], which: str) -> str:
    return next(
        key
        for key, node in prompt.items()
        if node["class_type"] == "KLoRAFuse" and which in node["_meta"]["title"]
    )


def test_wan_saves_a_video(served):
    _, node_of, run = execute(served, "k-lora-wan")
    (video,) = run.images(node_of["SaveVideo"])
    assert video["filename"].endswith(".mp4")
    assert len(served.image(video)) > 500


def test_the_refiner_ends_what_the_fused_base_began(served):
    prompt = api(served, "k-lora-refiner")
    _fresh(prompt, 3)
    runs, _, end = asyncio.run(watched(served.url, prompt))
    assert "execution_success" in end, end
    # Only the base is fused: one run, and it is a part, so it is counted by its noise.
    assert [(run["mode"], len(run["x"])) for run in runs] == [("noise level", HALF)]
    assert runs[0]["x"][-1] < 0.9
