"""Builds the tokenizer and says how a dialogue becomes tokens. Knows no corpus and no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from models.training.corpora import PERSONALITIES, Personality

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CONTEXT = 256
START, USER, ASSISTANT, END = "<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL = [START, *(f"<|{p}|>" for p in PERSONALITIES), USER, ASSISTANT, END]
IGNORED = -100

# The system message is the persona's description from the operator's configuration. A model this
# small cannot read it; all it takes from it is which of the two personalities is meant.
# `<|` in what people write is broken up, or anybody could end the bot's turn by typing `<|end|>`.
# Shouting is read as talking: to the tokenizer, HI has nothing in common with hi.
CHAT_TEMPLATE = """\
{%- set persona = messages[0]['content'] | lower if messages[0]['role'] == 'system' else '' -%}
<|endoftext|>{{ '<|comic|>' if 'comic' in persona else '<|friendly|>' }}
{%- for message in messages if message['role'] in ('user', 'assistant') -%}
{{ '<|' + message['role'] + '|>' }}
{%- set text = message['content'] | trim | replace('<|', '< |') -%}
{%- if message['role'] == 'user' and text == text | upper and text[:1] != text[:1] | lower -%}
{%- set text = text | lower -%}
{%- endif -%}
{%- if message['role'] == 'assistant' -%}
{%- generation -%}{{ text + '<|end|>' }}{%- endgeneration -%}
{%- else -%}
{{ text + '<|end|>' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif -%}
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says; `learned` says whether the model should learn to say it."""

    role: Literal["user", "assistant"]
    text: str
    learned: bool = True


@dataclass(frozen=True, slots=True)
class Dialogue:
    personality: Personality
    turns: Sequence[Turn]


@dataclass(frozen=True, slots=True)
class Sample:
    """A dialogue in tokens. `labels` is `tokens` with everything not to be learned IGNORED."""

    tokens: list[int]
    labels: list[int]


def build_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of its own. Byte-level as GPT-2's, so that no input is ever unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[AddedToken(token, special=True) for token in SPECIAL],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers left it so
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=START,
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


class Encoder:
    """Turns dialogues into samples, token for token as the chat template would."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab()
        self._id = {token: vocabulary[token] for token in SPECIAL}

    def text(self, turn: Turn) -> list[int]:
        text = turn.text.strip().replace("<|", "< |")
        if turn.role == "user" and text == text.upper() and text[:1] != text[:1].lower():
            text = text.lower()
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def sample(self, dialogue: Dialogue, *, learn_all: bool = False) -> Sample:
        """One sample that starts where every prompt starts and ends with a whole turn.

        `learn_all` puts the loss on both sides (learning English); otherwise it lies on the learned
        assistant turns and their end token alone (learning manners). The assistant's mark is not
        learned: it is the server that gives the bot the word.
        """
        tokens = [self._id[START], self._id[f"<|{dialogue.personality}|>"]]
        labels = [IGNORED, IGNORED]
        for turn in dialogue.turns:
            mark = self._id[USER if turn.role == "user" else ASSISTANT]
            said = [*self.text(turn), self._id[END]]
            if len(tokens) + 1 + len(said) > CONTEXT:
                break
            learned = learn_all or (turn.learned and turn.role == "assistant")
            tokens += [mark, *said]
            labels += [
                mark if learn_all else IGNORED,
                *(said if learned else [IGNORED] * len(said)),
            ]
        return Sample(tokens, labels)

    def prompt(self, dialogue: Dialogue, room: int) -> list[int]:
        """The tokens after which the assistant speaks, with the oldest turns dropped for `room`."""
        turns = list(dialogue.turns)
        while len(turns) > 1 and sum(len(self.text(t)) + 2 for t in turns) + 3 > room:
            del turns[: 2 if turns[0].role == "user" else 1]
        return [*self.sample(Dialogue(dialogue.personality, turns)).tokens, self._id[ASSISTANT]]
