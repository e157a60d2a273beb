"""Modules that models keep in 32 bits though a lower precision is asked for: a table that comes along, for plans.

It is `_keep_in_fp32_modules` of the libraries' classes; a test compares it with what is installed.
"""

from __future__ import annotations

from collections.abc import Mapping

_WAN = ("rope", "time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")
_JOY = ("time_embedder", "norm1", "norm2", "norm_out")
_ENCODERS = ("T5EncoderModel", "T5ForConditionalGeneration", "UMT5EncoderModel", "MT5EncoderModel")

#: Of transformers, which keep them where 16-bit floats are asked for, and not where bfloat16 is.
KEPT_BY_TRANSFORMERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_ENCODERS, ("wo",)),
    "Blip2ForConditionalGeneration": ("query_tokens", "qformer"),
    "InstructBlipForConditionalGeneration": ("query_tokens",),
}
#: Of diffusers.
KEPT_BY_DIFFUSERS: Mapping[str, tuple[str, ...]] = {
    "AnyFlowFARTransformer3DModel": _WAN[1:],
    "AnyFlowTransformer3DModel": _WAN[1:],
    "AutoencoderKLMiniMaxH3": ("encoder", "quant_conv", "norm1", "norm2", "norm_out", "scale1", "scale2"),
    "AutoencoderKLMiniMaxH3Audio": ("encoder", "decoder", "pre_block", "dec_in_proj", "mean_proj", "logs_proj"),
    "ChronoEditTransformer3DModel": _WAN[1:],
    "Cosmos3OmniTransformer": ("time_embedder",),
    "CosmosControlNetModel": ("learnable_pos_embed",),
    "CosmosTransformer3DModel": ("learnable_pos_embed",),
    "Flux3Transformer2DModel": ("norm_q", "norm_k"),
    "HeliosTransformer3DModel": (*_WAN[1:], "history_key_scale"),
    "JoyImageEditPlusTransformer3DModel": _JOY,
    "JoyImageEditTransformer3DModel": _JOY,
    "Kandinsky5Transformer3DModel": ("time_embeddings", "modulation", "visual_modulation", "text_modulation"),
    "Kandinsky6SRTransformer3DModel": ("time_embeddings", "pooled_bias", "modulation"),
    "Kandinsky6Transformer3DModel": ("time_embeddings", "modulation"),
    "Krea2Transformer2DModel": ("norm", "norm1", "norm2", "norm_q", "norm_k"),
    "MiniMaxH3Transformer3DModel": (
        "proj_in", "audio_proj_in", "time_embedder", "proj_out", "audio_proj_out", "rope",
    ),
    "RFD4ProteinaAutoencoder": ("latent_decoder_mean_n_log_scale", "norm"),
    "RFD4ProteinaTransformer": ("cond_factory", "norm", "ln_out"),
    "SkyReelsV2Transformer3DModel": _WAN,
    "WanAnimate2Transformer3DModel": (
        "time_embedding", "time_projection", "scale_shift_table", "norm1", "norm2", "norm3", "modulation",
    ),
    "WanAnimateTransformer3DModel": (*_WAN[1:], "motion_synthesis_weight", "rope"),
    "WanTransformer3DModel": _WAN,
    "WanVACETransformer3DModel": _WAN,
}  # fmt: skip
