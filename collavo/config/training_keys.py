"""The configuration keys of training: adapters, optimiser, and what a stage is."""

from __future__ import annotations

from collavo.config.keys import Key

LORA = (
    Key("LORA.ALPHA", 64.0, "Adapters are scaled by LORA.ALPHA / LORA.RANK.", low=0),
    Key("LORA.DROPOUT", 0.0, "Probability on the adapters' input, in training.", low=0, high=1),
    Key("LORA.RANK", 64, "Rank of new adapters.", low=1),
    Key(
        "LORA.TARGETS",
        "all",
        "Linears of the LLM that get adapters: all, or names such as q_proj,v_proj.",
        joined=True,
    ),
)

OPTIMIZER = (
    Key("OPTIMIZER.BETA2", 0.999, "AdamW's decay of squared gradients.", low=0, high=1),
    Key("OPTIMIZER.EPOCH", 1, "Passes over the training data.", low=1),
    Key("OPTIMIZER.GRAD_CUM", 1, "Batches a step of the optimiser takes together.", low=1),
    Key("OPTIMIZER.GRAD_MAX", 10.0, "Largest norm of the gradient; 0: any.", low=0),
    Key("OPTIMIZER.LAST_LR", 1e-6, "Learning rate at the end of the schedule.", low=0),
    Key("OPTIMIZER.LR", 1e-5, "Learning rate at the start.", low=0),
    Key(
        "OPTIMIZER.SCHEDULE",
        "cosine",
        "How the rate goes from LR to LAST_LR; constant: stays.",
        choices=("cosine", "linear", "constant"),
    ),
    Key("OPTIMIZER.WARMUP", 0.0, "Steps of linear warm-up; below 1, their share of all.", low=0),
    Key("OPTIMIZER.WEIGHT_DECAY", 0.0, "AdamW's weight decay; none on biases and norms.", low=0),
)

TRAIN = (
    Key(
        "TRAIN.BATCH_SIZE",
        32,
        "Samples a step takes over all processes; with TRAIN.DATA_MODE one_of_each, of every "
        "source.",
        low=1,
    ),
    Key(
        "TRAIN.DATA",
        [],
        "Sources to train on: texts such as llava:/data/x.json?images=/data&weight=2, or mappings "
        "of the same fields. Joined to DATASETS.TRAIN.",
    ),
    Key(
        "TRAIN.DATA_MODE",
        "weighted",
        "Mix the sources by weight, or take a batch of the largest and one of every other each "
        "step (CodeFuse's multi-task training).",
        choices=("weighted", "one_of_each"),
    ),
    Key("TRAIN.DIR", "", "Run folder; empty: <SAVE_DIR>/train/<stage>/<fingerprint>."),
    Key(
        "TRAIN.EVAL_STEPS",
        0,
        "Evaluate on DATASETS.TEST after so many steps, and at the end; 0: never.",
        low=0,
        none=0,
    ),
    Key("TRAIN.FRESH", False, "Start anew where a checkpoint would be taken up."),
    Key("TRAIN.GRAD_CKPT", False, "Recompute the decoder's layers in the backward pass."),
    Key("TRAIN.GROUP_BY_LENGTH", False, "Batch samples of one modality and similar length."),
    Key(
        "TRAIN.IMAGE_STEPS",
        -1.0,
        "Probability that a step of Dual QLoRA is one of Image-CIT, which trains the adapter "
        "`image`; the others train `vl`. -1: steps are not parted.",
        low=-1,
        high=1,
    ),
    Key(
        "TRAIN.INIT",
        "weights",
        "Begin with the checkpoint's weights, or with newly drawn ones of its shapes.",
        choices=("weights", "random"),
    ),
    Key("TRAIN.KEEP_LAST", 2, "Checkpoints that are kept.", low=1),
    Key("TRAIN.LOG_STEPS", 10, "Steps between two lines of the log.", low=1),
    Key("TRAIN.LOSS", "token_mean", "How tokens are weighed; see `list losses`."),
    Key("TRAIN.MAX_BAD_IMAGES", 0, "Broken images to go on with; each is reported.", low=0),
    Key("TRAIN.MAX_BAD_ROWS", 0, "Unusable rows to go on with; each is reported.", low=0),
    Key("TRAIN.MAX_BAD_STEPS", 10, "Steps of a loss that is no number, before it ends.", low=0),
    Key(
        "TRAIN.MAX_LENGTH",
        2048,
        "Tokens of a sample at most, those of its images too. Longer texts are cut at their end "
        "and named; a sample that would lose an image is an error.",
        low=1,
    ),
    Key("TRAIN.MAX_STEPS", 0, "Steps of the optimiser; 0: OPTIMIZER.EPOCH passes.", low=0, none=0),
    Key(
        "TRAIN.MODULES",
        [],
        "What is trained, as mappings {module:, mode:, lr:, weight_decay:, from:, adapters:}; see "
        "docs/training.md.",
    ),
    Key("TRAIN.PLORA_DROPOUT", 0.05, "Probability on PLoRA's input.", low=0, high=1),
    Key("TRAIN.SAVE_STEPS", 500, "Steps between two checkpoints.", low=1),
    Key("TRAIN.STAGE", "stage", "The stage's name."),
    Key(
        "TRAIN.TASK",
        "vlm",
        "What is trained: a model on conversations (vlm), its vision encoder and projector on the "
        "names of patches (alignment), or a segmenter.",
        choices=("vlm", "alignment", "segmenter"),
    ),
    Key(
        "TRAIN.TEMPLATE",
        "",
        "Chat template of the conversations where a stage has one of its own, as LLaVA's first has "
        "(plain); empty: the model's. See docs/training.md.",
    ),
)
