"""A step that loads a pipeline and calls it: the pipeline, its configuration, the chain."""

from __future__ import annotations

from dw_lsp.workflow.format.component import (
    COMPONENT,
    FROM_PRETRAINED,
    GROUP_OFFLOAD,
    IP_ADAPTER,
    LAYERWISE_CASTING,
    LORA,
    PLACEMENT,
    QUANTIZATION,
    SCHEDULER,
)
from dw_lsp.workflow.format.shapes import (
    ANY,
    ARGUMENTS,
    FLAG,
    NUMBER,
    TEXT,
    TEXTS,
    AnyOf,
    ListShape,
    MapShape,
    NumberShape,
    ObjectShape,
    Property,
    TextShape,
    key,
    nullable,
)

COMPONENT_NAMES = (
    "model", "transformer", "transformer_2", "vae", "unet", "text_encoder", "text_encoder_2", "text_encoder_3",
    "tokenizer", "tokenizer_2", "tokenizer_3", "image_encoder", "feature_extractor", "prompt_enhancer_head",
    "controlnet",
)  # fmt: skip


def _module(name: str, meaning: str, *properties: Property) -> Property:
    return key(name, ObjectShape(f"configuration {name}", meaning, properties, closed=False), meaning)


_DTYPE = key("torch_dtype", TEXT, "Type to which it is cast after loading.")
_CHANNELS_LAST = key("channels_last", FLAG, "Store its tensors channels-last.", default=False)
_PROCESSOR = key("attn_processor_type", TEXT, "Class of the attention processor.")

CACHE = ObjectShape(
    "cache",
    "Reuse of computations between denoising steps.",
    (
        key("type", TextShape(suggestions=("first_block", "faster", "mag", "taylorseer", "text_kv")), "Which method.",
            required=True),
        key("threshold", NUMBER, "Difference below which a computation is reused.", default=0.05),
        key("num_inference_steps", ANY, "Number of denoising steps."),
        key("max_skip_steps", ANY, "Most steps left out in a row."),
        key("retention_ratio", ANY, "Share of the first steps that are always computed."),
        key("calibrate", FLAG, "Measure instead of skipping."),
        key("mag_ratios", ANY, "Ratios, or the name of a preset."),
        key("cache_interval", ANY, "Steps between computations."),
        key("max_order", ANY, "Order of the extrapolation."),
        key("is_guidance_distilled", FLAG, "Whether the model needs no second pass for guidance.", dialect="B"),
    ),
    closed=False,
)  # fmt: skip

CONFIGURATION = ObjectShape(
    "configuration",
    "Which pipeline, where it runs, and what is switched on.",
    (
        key("component_type", TEXT, "Class of the pipeline.", required=True),
        key("offload", TextShape(("model", "sequential")), "Keep what does not work just now in host memory."),
        key("exclude_from_cpu_offload", TEXTS, "Components left out of sequential offload."),
        key("group_offload", GROUP_OFFLOAD, "Move parts to the device only while they are needed."),
        key("device", TEXT, "Device such as cuda, cuda:1, mps or cpu."),
        key("no_generator", FLAG, "Pass no generator to the call.", default=False),
        key("enable_attention_slicing", FLAG, "Compute attention in slices: less memory, more time.", default=False),
        key(
            "disable_attention_slicing",
            FLAG,
            "Switch off the slicing that is automatic on some devices.",
            default=False,
        ),
        key("attention_backend", TEXT, "Attention implementation during the call."),
        key("sparse_tau", NumberShape(least=0), "Threshold of sparse attention.", dialect="B"),
        key("sparse_topk", NumberShape(least=0, most=1), "Share of keys kept by sparse attention.", dialect="B"),
        key("prompt_weighting", FLAG, "Understand (word:1.2) in prompts.", default=False),
        key("pre_load_modules", TEXTS, "Python modules imported before loading; this runs their code."),
        key(
            "load_components",
            ObjectShape(
                "load_components",
                "How the components of a modular pipeline are loaded.",
                (
                    key("names", TEXTS, "Which components; all if not given."),
                    key("dtype", AnyOf((TEXT, ARGUMENTS)), "Type of their weights."),
                    key("quantization_config", MapShape(QUANTIZATION), "Quantization for each component."),
                ),
                closed=False,
            ),
            "How the components of a modular pipeline are loaded.",
        ),
        key("configs", MapShape(ANY), "Settings that the blocks of a modular pipeline declare."),
        key("components", MapShape(PLACEMENT), "What is done to each component after loading."),
        key("preserve_device_placement", FLAG, "Do not move it to the device.", default=False),
        key(
            "do_not_send_to_device",
            FLAG,
            "Do not move it to the device.",
            default=False,
            dialect="A",
            deprecated="preserve_device_placement",
        ),
        key(
            "components_manager",
            ObjectShape(
                "components_manager",
                "Memory management of modular pipelines.",
                (
                    key("enable_auto_cpu_offload", FLAG, "Move components by itself.", default=False),
                    key("memory_reserve_margin", TEXT, "Memory kept free.", default="3GB"),
                ),
                closed=False,
            ),
            "Memory management of modular pipelines.",
        ),
        key("sdnq_optimize", TEXTS, "Components that get quantized matrix products."),
        key("cache", CACHE, "Reuse of computations between denoising steps."),
        key("teacache", ARGUMENTS, "Reuse of computations between denoising steps.", dialect="A", deprecated="cache"),
        _module(
            "vae",
            "Settings of the VAE.",
            key("enable_slicing", FLAG, "Decode a batch image by image.", default=False),
            key("enable_tiling", FLAG, "Decode in tiles: less memory for large images.", default=False),
            _CHANNELS_LAST,
            _DTYPE,
        ),
        _module(
            "unet",
            "Settings of the UNet.",
            key("enable_forward_chunking", FLAG, "Compute feed-forward layers in chunks.", default=False),
            _CHANNELS_LAST,
            _DTYPE,
            _PROCESSOR,
        ),
        _module("transformer", "Settings of the transformer.", _PROCESSOR),
        _module("text_encoder", "Settings of the text encoder.", _DTYPE),
        key("shared_components", TEXTS, "Components that later steps may reuse."),
        key("reused_components", TEXTS, "Components taken from an earlier step."),
        key("enable_layerwise_casting", LAYERWISE_CASTING, "Store and compute in different types."),
        key("inversion", FLAG, "Call invert() instead of the pipeline.", default=False),
        key("generate", FLAG, "Call generate() instead of the pipeline.", default=False),
    ),
)

_COUNT = AnyOf((NumberShape(whole=True, least=1), TEXT))
FRAME_SNAP = ObjectShape(
    "frame_snap",
    "Which numbers of frames the model can make.",
    (
        key("modulus", NumberShape(whole=True, least=1), "A number of frames is this times n, plus the remainder.",
            required=True),
        key("remainder", NumberShape(whole=True, least=0), "See modulus.", required=True),
        key("min_frames", NumberShape(whole=True, least=0), "The smallest number."),
        key("max_frames", NumberShape(whole=True, least=0), "The largest number."),
    ),
)  # fmt: skip

CHAIN = ObjectShape(
    "chain",
    "Calls the pipeline several times and joins the pieces into one long video.",
    (
        key("segments", _COUNT, "Number of pieces, at most 1000."),
        key("match_audio", FLAG, "Take the length from the audio reference.", default=False),
        key("continuity", TextShape(("last_frame", "last_segment", "guide")), "What goes on into the next piece.",
            default="last_frame"),
        key("segment_argument", TEXT, "Argument that receives it.", default="image"),
        key("carry_frames", _COUNT, "How many last frames go on."),
        key("carry_audio", FLAG, "Whether the sound goes on too.", default=True),
        key("guide_frames", NumberShape(whole=True, least=1), "Frames of the guide.", default=22, dialect="B"),
        key("trim_frames", AnyOf((NumberShape(whole=True, least=0), TEXT)), "Frames dropped at a later piece's head.",
            default=1),
        key("crossfade_ms", AnyOf((NumberShape(least=0), TEXT)), "Crossfade of the sound at the seams.", default=75),
        key("fps", AnyOf((NumberShape(above=0), TEXT)), "Frames per second."),
        key("frame_snap", AnyOf((FRAME_SNAP, TEXT)), "Which numbers of frames the model can make."),
        key("prompts", nullable(AnyOf((ListShape(TEXT, at_least=1), TEXT))), "A prompt for each piece."),
        key("save_segments", FLAG, "Write each piece when it is finished.", default=False),
        key("keep_segments", FLAG, "Keep those files at the end.", default=False),
    ),
)  # fmt: skip

_LISTED_COMPONENTS = tuple(
    key(name, COMPONENT, f"The pipeline's {name}, loaded by itself.") for name in COMPONENT_NAMES
)

PIPELINE = ObjectShape(
    "pipeline",
    "Loads a pipeline and calls it.",
    (
        key("configuration", CONFIGURATION, "Which pipeline, where it runs, what is switched on.", required=True),
        key("from_pretrained_arguments", FROM_PRETRAINED, "How the pipeline is loaded.", required=True),
        key("arguments", ARGUMENTS, "Arguments of the call.", required=True),
        key("scheduler", SCHEDULER, "Takes the place of the pipeline's scheduler."),
        key("audio_scheduler", SCHEDULER, "Takes the place of the pipeline's audio scheduler."),
        key("loras", ListShape(LORA), "Low-rank adapters."),
        key("ip_adapter", IP_ADAPTER, "An image-prompt adapter."),
        *_LISTED_COMPONENTS,
        key(
            "remote_text_encoder",
            ObjectShape(
                "remote_text_encoder",
                "Prompts are encoded by a server.",
                (key("url", TEXT, "Address of the server.", required=True),),
                closed=False,
            ),
            "Prompts are encoded by a server.",
        ),
        key("seed", NumberShape(whole=True, least=0), "Seed of this call; goes before the step's."),
        key("chain", CHAIN, "Calls it several times and joins the pieces."),
        key("shared_components", TEXTS, "Components that later steps may reuse."),
        key("reused_components", TEXTS, "Components taken from an earlier step."),
    ),
    others=COMPONENT,
)
