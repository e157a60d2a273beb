"""What a pipeline is made of besides itself: components, quantization, schedulers, adapters."""

from __future__ import annotations

from dw_lsp.workflow.format.shapes import (
    ANY,
    ARGUMENTS,
    FLAG,
    NUMBER,
    TEXT,
    TEXTS,
    AnyOf,
    FlagShape,
    MapShape,
    NumberShape,
    ObjectShape,
    TextShape,
    key,
    nullable,
)

NUMBER_OR_TEXT = AnyOf((NUMBER, TEXT))

GROUP_OFFLOAD = ObjectShape(
    "group_offload",
    "Parts of the component move to the device only while they are needed.",
    (
        key("offload_type", TextShape(("block_level", "leaf_level")), "What moves together.", required=True),
        key("onload_device", TEXT, "Where a part is while it works; the step's device if not given."),
        key("offload_device", TEXT, "Where a part rests.", default="cpu"),
        key("use_stream", FLAG, "Whether the next part is copied while one works."),
        key("num_blocks_per_group", NumberShape(whole=True, least=1), "How many blocks move together."),
        key("record_stream", FLAG, "Whether copies are recorded on the stream; costs memory, saves time."),
        key("low_cpu_mem_usage", FLAG, "Whether pinned copies are made only when needed."),
    ),
    closed=False,
)

LAYERWISE_CASTING = ObjectShape(
    "enable_layerwise_casting",
    "Weights are stored in one type and cast to another for each layer's computation.",
    (
        key("storage_dtype", TEXT, "Type in which weights rest.", required=True),
        key("compute_dtype", TEXT, "Type in which a layer computes.", required=True),
    ),
    closed=False,
)

QUANTIZATION = ObjectShape(
    "quantization_config",
    "How the weights are quantized when they are loaded.",
    (
        key(
            "configuration",
            ObjectShape(
                "quantization_config configuration",
                "Which class describes the quantization.",
                (
                    key(
                        "config_type",
                        TEXT,
                        "Class of the quantization config, such as BitsAndBytesConfig.",
                        required=True,
                    ),
                ),
                closed=False,
            ),
            "Which class describes the quantization.",
            required=True,
        ),
        key("arguments", ARGUMENTS, "Arguments of that class.", required=True),
    ),
    closed=False,
)

FROM_PRETRAINED = ObjectShape(
    "from_pretrained_arguments",
    "How it is loaded: where from, and every keyword that the loader takes.",
    (
        key("model_name", TEXT, "Model on the hub (owner/name), or a folder relative to this file."),
        key("from_single_file", TEXT, "One file with all weights (safetensors, GGUF)."),
        key("torch_dtype", AnyOf((TEXT, ARGUMENTS)), "Type of the weights, such as torch.bfloat16."),
        key("dtype", AnyOf((TEXT, ARGUMENTS)), "The same, under the name that newer releases of the libraries use."),
        key("variant", TEXT, "Variant of the weight files, such as fp16."),
        key("subfolder", TEXT, "Folder within the model."),
        key("revision", TEXT, "Branch, tag or commit of the model."),
        key("use_safetensors", FLAG, "Load only safetensors files."),
        key("low_cpu_mem_usage", FLAG, "Spare host memory while loading."),
        key("device_map", ANY, "Where the weights are put."),
    ),
    closed=False,
    exclusive=(("model_name", "from_single_file"),),
)

COMPONENT = ObjectShape(
    "component",
    "A part that is loaded first and handed to the pipeline under the same name.",
    (
        key(
            "configuration",
            ObjectShape(
                "component configuration",
                "Which class the component is, and where it is put.",
                (
                    key("component_type", TEXT, "Class of the component.", required=True),
                    key("device", TEXT, "Device of the component."),
                    key("preserve_device_placement", FLAG, "Do not move it to the device.", default=False),
                    key("do_not_send_to_device", FLAG, "Do not move it to the device.", dialect="A",
                        deprecated="preserve_device_placement"),
                    key("group_offload", GROUP_OFFLOAD, "Move parts to the device only while they are needed."),
                    key("enable_layerwise_casting", LAYERWISE_CASTING, "Store and compute in different types."),
                ),
                closed=False,
            ),
            "Which class the component is, and where it is put.",
            required=True,
        ),
        key("from_pretrained_arguments", FROM_PRETRAINED, "How the component is loaded.", required=True),
        key("quantization_config", QUANTIZATION, "How its weights are quantized."),
        key("group_offload", GROUP_OFFLOAD, "Move parts to the device only while they are needed."),
        key("enable_layerwise_casting", LAYERWISE_CASTING, "Store and compute in different types."),
    ),
    closed=False,
)  # fmt: skip

COMPILE = ObjectShape(
    "compile",
    "Arguments of torch.compile; the first call takes minutes, later ones are faster.",
    (
        key("mode", TextShape(suggestions=("default", "reduce-overhead", "max-autotune")), "What is optimized for."),
        key("fullgraph", FLAG, "Fail where the whole cannot be compiled at once."),
        key("dynamic", FLAG, "Compile for any size."),
        key("repeated_blocks", FLAG, "Compile only the blocks that repeat: much faster to compile."),
    ),
    closed=False,
)

PLACEMENT = ObjectShape(
    "component settings",
    "What is done to one component after loading.",
    (
        key("group_offload", GROUP_OFFLOAD, "Move parts to the device only while they are needed."),
        key("device", TEXT, "Device of the component."),
        key("residency", TextShape(("resident", "on_demand")), "Whether it stays on the device between calls.",
            default="resident"),
        key("enable_tiling", AnyOf((FlagShape(), ARGUMENTS)), "Decode in tiles: true, or the tile arguments."),
        key("attention_backend", TEXT, "Attention implementation of the component."),
        key("truncate_layers", MapShape(NumberShape(whole=True, least=1)), "Layers kept, for each path inside it."),
        key("remove_modules", TEXTS, "Paths of modules that are replaced by nothing."),
        key("compile", COMPILE, "Arguments of torch.compile."),
        key("attn_processor_type", TEXT, "Class of the attention processor.", dialect="B"),
        key("sparse_tau", NumberShape(least=0), "Threshold of sparse attention.", dialect="B"),
        key("sparse_topk", NumberShape(least=0, most=1), "Share of keys kept by sparse attention.", dialect="B"),
    ),
    closed=False,
    exclusive=(("residency", "group_offload"),),
)  # fmt: skip

SCHEDULER = ObjectShape(
    "scheduler",
    "Takes the place of the pipeline's scheduler.",
    (
        key(
            "configuration",
            ObjectShape(
                "scheduler configuration",
                "Which scheduler, and its shift.",
                (
                    key("scheduler_type", TEXT, "Class of the scheduler."),
                    key("shift", AnyOf((NumberShape(above=0), TEXT)), "Timestep shift of flow-matching schedulers."),
                ),
                closed=False,
            ),
            "Which scheduler, and its shift.",
            required=True,
        ),
        key("from_config_args", ARGUMENTS, "Settings that differ from the current scheduler's."),
    ),
    closed=False,
)

LORA = ObjectShape(
    "lora",
    "A low-rank adapter that is loaded into the pipeline.",
    (
        key("model_name", nullable(TEXT), "Hub repository or path; null switches the entry off.", required=True),
        key("weight_name", TEXT, "File within the repository."),
        key("subfolder", TEXT, "Folder within the repository."),
        key("adapter_name", TEXT, "Name of the adapter; its place in the list if not given."),
        key("scale", NUMBER_OR_TEXT, "Weight of the adapter.", default=1.0),
        key("alpha", nullable(AnyOf((NumberShape(above=0), TEXT))), "Overrides the network's alpha.", dialect="B"),
    ),
    closed=False,
)

IP_ADAPTER = ObjectShape(
    "ip_adapter",
    "An image-prompt adapter that is loaded into the pipeline.",
    (
        key("model_name", AnyOf((TEXT, TEXTS)), "Hub repository or path.", required=True),
        key("weight_name", AnyOf((TEXT, TEXTS)), "File within the repository."),
        key("subfolder", nullable(AnyOf((TEXT, TEXTS))), "Folder within the repository."),
        key("scale", ANY, "Weight of the image prompt."),
    ),
    closed=False,
)
