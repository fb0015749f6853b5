"""The text benchmark and that of the card, with tiny models: that they run and that their figures
hang together. What the figures are is nobody's promise."""

from __future__ import annotations

import pytest

from benchmarks.text import card, course, shapes
from benchmarks.text.talk import Answer, Run, Talker, same


def numbers(figures: course.Figures) -> dict[str, float]:
    return {name: value for name, value in figures.items() if not isinstance(value, str)}


@pytest.mark.slow
@pytest.mark.timeout(400)  # it imports torch in three processes
async def test_both_answer_the_same_and_every_figure_is_there() -> None:
    figures = numbers(await course.run(course.TINY))

    counts = (1, 4, 16)
    rates = {f"{who}tokens_per_s_{n}" for n in counts for who in ("", "generate_")}
    waits = {
        f"{who}{what}_{n}_s"
        for n in counts
        for who in ("", "generate_")
        for what in ("ttft_p50", "ttft_p95", "latency_p95")
    }
    ratios = {f"{what}_{n}" for n in counts for what in ("speedup", "ttft_ratio")}
    others = {"turn10_over_turn2", "turn10_without_reuse", "loop_lag_p99_ms", "memory_peak_mib"}
    continuous = "continuous_batching_tokens_per_s_16"
    assert rates | waits | ratios | others | {continuous} <= figures.keys()
    assert figures["same_tokens"] == 16
    assert all(value > 0 for name, value in figures.items() if "lag" not in name)
    for n in counts:
        assert figures[f"ttft_p50_{n}_s"] <= figures[f"ttft_p95_{n}_s"]
        assert figures[f"ttft_p95_{n}_s"] <= figures[f"latency_p95_{n}_s"]


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_card_s_benchmark_runs_on_a_cpu() -> None:
    figures = await card.run(card.TINY)

    assert figures["qwen_same_tokens_of_4"] == 4
    assert {"qwen_speedup_4", "qwen_ttft_ratio_4", "qwen_vllm"} <= figures.keys()
    of_both = {name for name in figures if name.startswith(("text_", "picture_"))}
    assert len(of_both) == 6
    assert all(value > 0 for value in numbers(figures).values())


def test_prompts_have_the_lengths_asked_for_and_no_beginning_in_common() -> None:
    talker = Talker(shapes.STARTER, 8)

    prompts = talker.prompts(5, 40, 120)

    assert sorted(len(prompt.ids) for prompt in prompts) == pytest.approx(
        [40, 60, 80, 100, 120], abs=3
    )
    frame = len(talker.prompt([talker.said("")]).ids)
    beginnings = {tuple(prompt.ids[: frame + 6]) for prompt in prompts}
    assert len(beginnings) == len(prompts)


def test_an_answer_with_another_text_or_of_another_length_is_not_the_same() -> None:
    def run(*texts: str, tokens: int = 3) -> Run:
        return Run([Answer(text=text, tokens=tokens, at=[0.1]) for text in texts])

    assert same(run("one", "two"), run("one", "two")) == 2
    assert same(run("one", "two"), run("one", "tow")) == 1
    assert same(run("one", "two"), run("one", "two", tokens=4)) == 0
