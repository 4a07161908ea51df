"""Every configuration key: default, meaning, unit and choices. YAML says only what differs.

`docs/config.md` is generated from this file: `python -m collavo.config.document`.
"""

from __future__ import annotations

from collavo.config.keys import Key
from collavo.config.model_keys import MODEL, SEGMENTER, VISION
from collavo.config.training_keys import LORA, OPTIMIZER, TRAIN

BLOCKS = (
    "GQA",
    "SCIENCEQA",
    "TEXTVQA",
    "POPE",
    "MME",
    "MMBENCH",
    "MMVET",
    "QBENCH",
    "MATHVISTA",
    "AI2D",
    "SEED",
    "HALLUSIONBENCH",
)
"""The benchmarks that have a section of their own, as in the original's configuration."""

_TOP = (
    Key(
        "DEVICE",
        "auto",
        "Where the model runs; auto takes CUDA when there is one.",
        choices=("auto", "cpu", "cuda"),
    ),
    Key("EVALUATOR", "", "The evaluator; empty: the dataset's own."),
    Key("PIPELINE", "", "The pipeline (or an alias of it); empty: the dataset's own."),
    Key("RANDOM_SEED", 0, "Seeds sampling and training; SEED is a benchmark's section.", low=0),
    Key("RESUME_FROM", "", "Checkpoint folder or hub id; comes before MODEL.WEIGHTS."),
    Key("SAVE_DIR", "results", "Folder of the results: <SAVE_DIR>/<dataset>/<fingerprint>."),
    Key("USER_DIR", "", "Your plug-ins: a folder, a .py file or an importable package."),
    Key("WANDB", False, "Also send scores to Weights & Biases (needs wandb)."),
    Key("WEIGHT", True, "Load RESUME_FROM. False is refused while RESUME_FROM is set."),
)

_CRAYON = (
    Key("CRAYON.CACHE", "", "Folder of stored crayon maps; empty: none are stored."),
    Key(
        "CRAYON.MODE",
        "full",
        "Which parts of the Crayon Prompt the model gets: maps and text, maps, "
        "text, maps without numbers, nothing.",
        choices=("full", "map_only", "text_only", "semantic_only", "none"),
    ),
    Key(
        "CRAYON.TEMPLATE",
        "eval",
        "Chat template: of the original's evaluation or of its demo.",
        choices=("eval", "demo"),
    ),
)

_DATA = (
    Key(
        "DATALOADER.NUM_WORKERS",
        -1,
        "Threads that read images; -1: what suits the machine.",
        low=-1,
        none=-1,
    ),
    Key(
        "DATASETS.LAYOUT",
        "auto",
        "The form of a dataset's files to read: CoLLaVO's, the authors', LLaVA's, Hugging Face's "
        "parquet, VLMEvalKit's table; auto: the first that is there.",
        choices=("auto", "original", "authors", "llava", "hf", "vlmevalkit"),
    ),
    Key(
        "DATASETS.ROOT",
        "",
        "Folder of all datasets; empty: DATASET2, DATASET, VLDATASET or "
        "DETECTRON2_DATASETS of the environment, else the built-in miniature.",
    ),
    Key(
        "DATASETS.TEST",
        "",
        "Datasets to evaluate on, between commas: names, short names, paths, paper (the twelve of "
        "CoLLaVO's paper); all: those whose files are there.",
        joined=True,
    ),
    Key("DATASETS.TRAIN", "", "Datasets to train on, between commas.", joined=True),
    Key(
        "INPUT.FORMAT",
        "RGB",
        "Colour order of the images; the models take no other.",
        choices=("RGB",),
    ),
    Key(
        "INPUT.IMAGE_SIZE",
        0,
        "Side in pixels to which images are squashed; 0: the checkpoint's own. "
        "Another size interpolates the position embeddings.",
        low=0,
        none=0,
    ),
)

_EVAL = (
    Key("EVAL.ALLOW_FAILURES", 0, "Samples that may fail before the run counts as failed.", low=0),
    Key(
        "EVAL.SEVERAL_IMAGES",
        "auto",
        "Questions with more images than the model takes: refuse, show the first, or auto: the "
        "first where that is the benchmark's habit (MMMU), else refuse.",
        choices=("auto", "first", "refuse"),
    ),
    Key(
        "EVAL.BATCH_SIZE",
        0,
        "Questions decoded together over all processes; 0: by EVAL.TOKEN_BUDGET.",
        low=0,
        none=0,
    ),
    Key(
        "EVAL.BOOTSTRAP",
        1000,
        "Resamples of the images for the confidence intervals of headline figures; 0: none.",
        low=0,
        none=0,
    ),
    Key(
        "EVAL.DRY_RUN",
        False,
        "Plan only: questions, images, tokens, memory, and the time from a probe of 20 samples.",
    ),
    Key("EVAL.FRESH", False, "Start anew where stored answers would be taken up."),
    Key(
        "EVAL.LIMIT",
        0,
        "Evaluate only the first N samples; 0: all. Flags the result as a subset.",
        low=0,
        none=0,
    ),
    Key(
        "EVAL.MAX_FLIPS",
        0,
        "Answers that EVAL.VERIFY may find changed before the run fails.",
        low=0,
    ),
    Key(
        "EVAL.PARSER",
        "official",
        "The rule that reads the answers; official: the benchmark's own. See `list parsers`.",
    ),
    Key(
        "EVAL.OVERLAP",
        "auto",
        "Segment the next images while the model answers, in a thread and CUDA stream of their "
        "own; auto: on a GPU.",
        choices=("auto", "on", "off"),
    ),
    Key(
        "EVAL.REUSE",
        "prefix",
        "What is computed once per image: nothing, segmentation and vision, "
        "also the prefix's key-value cache. Where the model does not allow it or its check fails, "
        "less is.",
        choices=("prefix", "vision", "none"),
    ),
    Key("EVAL.RUN_DIR", "", "Run folder; empty: under SAVE_DIR by dataset and fingerprint."),
    Key(
        "EVAL.SAMPLES",
        "",
        "Evaluate only these sample ids, between commas. Flags the result as a subset.",
        joined=True,
    ),
    Key(
        "EVAL.SCORING",
        "generate",
        "Score generated answers, or the likelihood of each option.",
        choices=("generate", "likelihood"),
    ),
    Key("EVAL.TIMEOUT", 600, "Seconds without progress after which a process gives up.", low=1),
    Key("EVAL.TOKEN_BUDGET", 0, "Tokens a batch may hold; 0: what fits in memory.", low=0, none=0),
    Key(
        "EVAL.VERIFY", 0, "Random samples answered again, one at a time with nothing shared.", low=0
    ),
)

_GENERATION = (
    Key("GENERATION.DO_SAMPLE", False, "Sample instead of taking the most likely token."),
    Key(
        "GENERATION.LENGTH_PENALTY", 1.0, "Exponent of the length by which beam scores are divided."
    ),
    Key("GENERATION.MAX_NEW_TOKENS", 128, "Tokens generated at most.", low=1, high=2**20),
    Key("GENERATION.NUM_BEAMS", 3, "Beams; 1 is greedy (or sampling).", low=1, high=1024),
    Key(
        "GENERATION.STOP",
        "turn_end",
        "Stop at </s> and [UNUSED_TOKEN_145], or, as the original, at </s> alone.",
        choices=("turn_end", "original"),
    ),
    Key("GENERATION.TEMPERATURE", 1.0, "Divides the logits when sampling.", low=1e-6, none=1.0),
    Key(
        "GENERATION.TOP_P",
        1.0,
        "Nucleus when sampling; 1 or None is off.",
        low=1e-6,
        high=1,
        none=1.0,
    ),
)

_JUDGE = (
    Key(
        "JUDGE.BACKEND",
        "openai",
        "Who judges: an endpoint that speaks OpenAI's protocol (its key comes from the environment "
        "variable JUDGE_API_KEY or OPENAI_API_KEY), or a model on this machine.",
        choices=("openai", "hf"),
    ),
    Key(
        "JUDGE.BACKOFF",
        1.0,
        "Seconds before a failed call is tried again; doubled each time.",
        low=0,
    ),
    Key("JUDGE.BASE_URL", "", "The endpoint; empty: OPENAI_BASE_URL, else OpenAI's own."),
    Key("JUDGE.CONCURRENCY", 8, "Calls under way at once.", low=1),
    Key(
        "JUDGE.MAX_WAIT",
        120.0,
        "Seconds that a service may ask to wait before the call counts as failed.",
        low=0,
    ),
    Key("JUDGE.MODEL", "", "The judge: a model's name, a folder or a hub id; empty: no judge."),
    Key("JUDGE.PRICE_COMPLETION", 0.0, "Price of a million reply tokens, for dry runs.", low=0),
    Key("JUDGE.PRICE_PROMPT", 0.0, "Price of a million prompt tokens, for dry runs.", low=0),
    Key("JUDGE.RETRIES", 6, "Tries after a call's first.", low=0),
    Key("JUDGE.REVISION", "", "Revision of a hub id in JUDGE.MODEL."),
    Key("JUDGE.RUNS", 1, "Gradings of each answer, for MM-Vet (five in its paper).", low=1),
    Key(
        "JUDGE.STORE",
        "",
        "File of all judgements; empty: judgements.jsonl in the run folder, for `score` "
        "<SAVE_DIR>/judgements/<dataset>.jsonl.",
    ),
    Key("JUDGE.TIMEOUT", 60.0, "Seconds that one call may take.", low=0.001),
)

_VIS = (Key("VIS.SAMPLES", 8, "Samples whose crayon maps are drawn over the image.", low=0),)


def _block(name: str) -> tuple[Key, ...]:
    """The keys of one benchmark's section; set values hold for that benchmark alone."""
    return (
        Key(
            f"{name}.DATALOADER.NUM_WORKERS",
            -1,
            "DATALOADER.NUM_WORKERS here; -1: not set.",
            low=-1,
            none=-1,
        ),
        Key(f"{name}.INPUT.FORMAT", "RGB", "INPUT.FORMAT here.", choices=("RGB",)),
        Key(f"{name}.INPUT.IMAGE_SIZE", 0, "INPUT.IMAGE_SIZE here; 0: not set.", low=0, none=0),
        Key(
            f"{name}.TEST.BATCH_SIZE_TOTAL",
            0,
            "Questions decoded together over all processes, "
            "rounded up for each; need not divide; 0: not set.",
            low=0,
            none=0,
        ),
    )


KEYS: tuple[Key, ...] = (
    *_TOP, *_CRAYON, *_DATA, *_EVAL, *_GENERATION, *_JUDGE, *LORA, *MODEL, *OPTIMIZER,
    *SEGMENTER, *TRAIN, *_VIS, *VISION, *(key for name in BLOCKS for key in _block(name)),
)  # fmt: skip
"""All keys, by section."""
