"""Small language models that train in seconds on one CPU core: a Llama of any size and a tokenizer of its own."""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def toy_tokenizer(texts: Sequence[str], vocab_size: int = 2048) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer fitted on these texts alone: fit it on public text, or it leaks private names.

    >>> tokenizer = toy_tokenizer(["Where was Ada born?", "Ada was born in London."], vocab_size=300)
    >>> tokenizer.decode(tokenizer("Ada was born").input_ids, skip_special_tokens=True)
    'Ada was born'
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<pad>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def toy_llama(vocab_size: int, hidden: int = 128, layers: int = 4, seed: int = 0) -> LlamaForCausalLM:
    """A freshly initialised Llama; 128 x 4 with 2,048 tokens has 1.1 million parameters.

    >>> sum(p.numel() for p in toy_llama(512, hidden=32, layers=1).parameters()) < 40_000
    True
    """
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 32),
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)
