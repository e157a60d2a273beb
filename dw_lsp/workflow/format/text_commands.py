"""Task commands on texts, and those that hand values on."""

from __future__ import annotations

from dw_lsp.workflow.format.command import ABOVE_ZERO, COUNT, IMAGE, SHARE, Command, needed, one_of, optional
from dw_lsp.workflow.format.shapes import ANY, ARGUMENTS, FLAG, NUMBER, TEXT, WHOLE, AnyOf, ListShape

_TEXTS = (
    Command(
        "batch_decode_post_process",
        "Decodes what a model generated, with the processor of a loaded pipeline.",
        (needed("task", TEXT, "What the model was asked to do."), needed("generated_ids", ANY, "What it gave.")),
    ),
    Command(
        "compose_text",
        "Joins texts.",
        (
            needed("parts", ListShape(ANY, at_least=1), "The texts."),
            optional("separator", TEXT, "What stands between them.", "\n\n"),
            optional("skip_empty", FLAG, "Leave out empty texts.", True),
        ),
        "text",
        dialect="B",
    ),
    Command(
        "extract_sections",
        "Keeps the named sections of a text.",
        (
            needed("text", TEXT, "The text."),
            needed("sections", ListShape(TEXT, at_least=1), "Names of the sections."),
            optional("keep_preamble", FLAG, "Keep what stands before the first section.", True),
        ),
        "text",
    ),
    Command(
        "format_chat_message",
        "Makes a conversation of a system prompt and a message.",
        (needed("system_prompt", TEXT, "Instructions for the model."), needed("user_message", TEXT, "The message.")),
        "data",
    ),
    Command(
        "text_generation",
        "Asks a language model.",
        (
            needed("prompt", ANY, "The question."),
            optional("model_name", TEXT, "Hub repository or folder.", "Qwen/Qwen2.5-1.5B-Instruct"),
            optional(
                "system_prompt", AnyOf((TEXT, ARGUMENTS)), "Instructions for the model, or where the hub has them."
            ),
            optional("max_new_tokens", COUNT, "Most tokens of the answer.", 500),
            optional("image", IMAGE, "An image to which the question belongs."),
            optional("chat_template_kwargs", ARGUMENTS, "Keywords of the chat template.", dialect="B"),
            optional("revision", TEXT, "Branch, tag or commit of the model.", dialect="B"),
            optional("repetition_penalty", NUMBER, "Above 1: fewer repetitions."),
            optional("generate_kwargs", ARGUMENTS, "Keywords of the generation."),
            optional("do_sample", FLAG, "Draw the words; else the likeliest is taken."),
            optional("temperature", ABOVE_ZERO, "Above 1: words are drawn more freely."),
            optional("top_p", SHARE, "Draw among the likeliest words that have this probability together."),
            optional("torch_dtype", TEXT, "Precision of the model."),
        ),
        "text",
        others="ignored",
        device=True,
    ),
)

_VALUES = (
    Command("gather_inputs", "Hands its inputs on unchanged.", (), others="passed on"),
    Command(
        "get_dict_value",
        "Gives one member of an object.",
        (needed("dict", ARGUMENTS, "The object."), needed("key", TEXT, "Name of the member.")),
    ),
    Command(
        "select",
        "Chooses one of several candidates by its score.",
        (
            needed("candidates", ListShape(ANY, at_least=1), "What is chosen from."),
            needed("scores", ListShape(ANY), "A number for each."),
            needed("rule", one_of("argmax", "argmin", "first_above", "first_below", "index"), "How is chosen."),
            optional("threshold", NUMBER, "Bound of first_above and first_below."),
            optional("index", WHOLE, "Which one, for the rule index."),
        ),
        dialect="B",
    ),
)

TEXT_COMMANDS = (*_TEXTS, *_VALUES)
