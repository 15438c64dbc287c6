#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_fixtures.py: small tokenizer.json files of every kind and what the Python package tokenizers makes of texts.

Needs tokenizers 0.23.3, the version that wrote the files here; writes *.json beside this script.
"""
import json
import random
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = Path(__file__).resolve().parent
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
SENTENCES = ["the state of a sequence is a small model, trained on the tokens that it reads",
             "you're reading what they've written: it's 1234 words, and we'll see 5678 more",
             "for (int i = 0; i < count; ++i) { sum += values[i] * weights[i]; }",
             "die Größe der Häuser, où l'été naît, año señor, říká že",
             "быстрая лиса прыгает через собаку", "γρήγορη αλεπού πηδά", "数字和文字的模型", "日本語のテキスト", "नमस्ते दुनिया",
             "😀 👍🏽 ❤️ 🇩🇪"]
TEXTS = ["", " ", "  ", "\n", "a", " a", "  a", "a ", "the state of the model", "  the  state   of\n\n  the model \n",
         "you're IT'S we'Ll x'ſ ''s 'tis", "12345678 1 22 333 4444", "foo_bar(baz, 42);\r\n\r\n\treturn\r\n  x;",
         "Größe naïve où 数字和文字 日本語 नमस्ते быстрая\u00a0лиса\u3000x\u2028y", "😀👍🏽👩‍👩‍👧‍👦 ❤️ 🇩🇪🇯🇵 🫠",
         "e\u0301 \ufeff \x00\x1b[0m ½Ⅻ١٢٣", "<s> the</s> <unk>x", "<|begin|>the <|end|> model<|end|><|end|>", "<|mask|>",
         "a   <|mask|>   b <|mask|>  ", "<0x0A> <0x", "x<tool>y<tool_call>z <too", "▁the▁state", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "the" * 30 + " " * 40 + "!" * 50, "\U00020000\U0001f9ff\U0010ffff"]


def random_texts():
    random_, parts = random.Random(5), "".join(SENTENCES + TEXTS)
    return ["".join(random_.choice(parts) for _ in range(random_.randint(1, 60))) for _ in range(20)]


def byte_level(name, size, pre_tokenizer, added, post_processor, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(SENTENCES * 2, trainer)
    tokenizer.add_tokens(added)
    if post_processor:
        tokenizer.post_processor = post_processor(tokenizer)
    return save(name, json.loads(tokenizer.to_str()))


def template(tokenizer, before, after=()):
    pieces = [*before, "$A", *after]
    return processors.TemplateProcessing(single=" ".join(pieces),
                                         special_tokens=[(token, tokenizer.token_to_id(token)) for token in (*before, *after)])


def llama_style(name, normalizer, pre_tokenizer, decoder, special, bytes_too):
    """Trained over characters; the special tokens and those for bytes come first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    words = [word for sentence in SENTENCES[:6] for word in sentence.split(" ")]
    tokenizer.train_from_iterator(words * 2, trainers.BpeTrainer(vocab_size=200, show_progress=False))
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    data = json.loads(tokenizer.to_str())
    first = ["<unk>", "<s>", "</s>"] + ([f"<0x{byte:02X}>" for byte in range(256)] if bytes_too else [])
    tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    merges = data["model"]["merges"]
    data = json.loads(tokenizer.to_str())
    data["model"] |= {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": bytes_too, "merges": merges,
                      "vocab": {token: i for i, token in enumerate(first + tokens)}}
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = template(tokenizer, ["<s>"], ["</s>"])
    return save(name, json.loads(tokenizer.to_str()))


def save(name, data):
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return name, Tokenizer.from_str(text)


def special(text, **flags):
    return AddedToken(text, special=True, **{"normalized": False} | flags)


def make():
    marks = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    llama_decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                       decoders.Strip(" ", 1, 0)])
    split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    yield byte_level("gpt2", 420, pre_tokenizers.ByteLevel(add_prefix_space=False),
                     [AddedToken("<|end|>", special=True, normalized=True)], lambda _: processors.ByteLevel(trim_offsets=False))
    yield byte_level("gpt2_prefix_space", 300, pre_tokenizers.ByteLevel(add_prefix_space=True), [], None)
    yield byte_level("llama3", 420, split, [special("<|begin|>"), special("<|end|>"),
                                           special("<|mask|>", lstrip=True, rstrip=True), AddedToken("<tool>", special=False),
                                           AddedToken("<tool_call>", special=False, normalized=False)],
                     lambda tokenizer: processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                                            template(tokenizer, ["<|begin|>"])]), ignore_merges=True)
    yield llama_style("llama2", normalizers.Sequence(marks), None, llama_decoder,
                      [special("<unk>"), special("<s>"), special("</s>")], True)
    yield llama_style("llama2_normalized", normalizers.Sequence(marks), None, llama_decoder,
                      [special("<s>", normalized=True), special("</s>", normalized=True)], True)
    yield llama_style("metaspace", None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), llama_decoder,
                      [special("<s>"), special("</s>")], True)
    yield llama_style("metaspace_unknown", None, pre_tokenizers.Metaspace(prepend_scheme="always", split=True),
                      decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()]), [special("<s>"), special("</s>")], False)


def main():
    expected = {"made with": f"tokenizers {tokenizers.__version__}", "texts": TEXTS + random_texts(), "results": {}}
    for name, tokenizer in make():
        expected["results"][name] = [
            {"ids": tokenizer.encode(text, add_special_tokens=False).ids, "with_special": tokenizer.encode(text).ids,
             "decoded": tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False),
             "skipped": tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=True)}
            for text in expected["texts"]]
    text = json.dumps(expected, ensure_ascii=False, separators=(",", ":")).replace("},{", "},\n{")
    (FOLDER / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
