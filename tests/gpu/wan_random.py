"""Writes a Wan 2.1 text-to-video model with random weights that `sglang generate` loads.

Usage: wan_random.py FOLDER [BLOCKS [HEADS [HEAD_SIZE [FEED_FORWARD]]]]. Blocks are of Wan 2.1 1.3B's size unless told
otherwise (transformer/config.json of https://huggingface.co/Wan-AI/Wan2.1-T2V-1.3B-Diffusers); text encoder and VAE,
which run before and after the denoising steps, are small.
"""

import json
import sys
import tempfile
from pathlib import Path

import sentencepiece
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from transformers import T5TokenizerFast, UMT5Config, UMT5EncoderModel

TEXT_WIDTH, VOCABULARY = 64, 128
PARTS = {
    "scheduler": ("diffusers", "UniPCMultistepScheduler"),
    "text_encoder": ("transformers", "UMT5EncoderModel"),
    "tokenizer": ("transformers", "T5TokenizerFast"),
    "transformer": ("diffusers", "WanTransformer3DModel"),
    "vae": ("diffusers", "AutoencoderKLWan"),
}


def text_side(folder: Path) -> None:
    """A tokenizer trained on one sentence, and an encoder of two layers."""
    with tempfile.TemporaryDirectory() as scratch:
        text = Path(scratch, "text")
        text.write_text(
            "".join(f"a cat number {i} sits on the mat, a dog runs in park {i * 7 % 13}\n" for i in range(2000))
        )
        sentencepiece.SentencePieceTrainer.train(
            input=str(text),
            model_prefix=f"{scratch}/pieces",
            vocab_size=VOCABULARY - 8,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            hard_vocab_limit=False,
        )
        T5TokenizerFast(vocab_file=f"{scratch}/pieces.model", extra_ids=0).save_pretrained(folder / "tokenizer")
    sizes = {"d_model": TEXT_WIDTH, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}
    config = UMT5Config(vocab_size=VOCABULARY, feed_forward_proj="gated-gelu", tie_word_embeddings=False, **sizes)
    UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")


def main(folder: Path, blocks: int = 16, heads: int = 12, head_size: int = 128, feed_forward: int = 8960) -> None:
    """Write the model to `folder`, which is made."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    text_side(folder)
    transformer = WanTransformer3DModel(
        num_layers=blocks,
        num_attention_heads=heads,
        attention_head_dim=head_size,
        ffn_dim=feed_forward,
        text_dim=TEXT_WIDTH,
        qk_norm="rms_norm_across_heads",
    )
    transformer.to(torch.bfloat16).save_pretrained(folder / "transformer")
    AutoencoderKLWan(base_dim=8, num_res_blocks=1).save_pretrained(folder / "vae")
    UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0).save_pretrained(
        folder / "scheduler"
    )
    index = {"_class_name": "WanPipeline", "_diffusers_version": "0.37.0"} | PARTS
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
