"""The configuration keys of models: the LLM, the segmenter, the vision encoder."""

from __future__ import annotations

from collavo.config.keys import Key

MODEL = (
    Key(
        "LLM.ATTN",
        "auto",
        "Attention kernel.",
        choices=("auto", "sdpa", "eager", "flash_attention_2"),
    ),
    Key(
        "LLM.BITS",
        16,
        "Bits of the base linears: 16 as stored, 8 int8, 4 NF4 with double quantisation.",
        choices=(16, 8, 4),
    ),
    Key(
        "LLM.DTYPE",
        "auto",
        "Number format; auto: fp32 on the CPU, bf16 on CUDA.",
        choices=("auto", "fp32", "bf16", "fp16"),
    ),
    Key("LLM.LOAD_LLM", True, "False loads no model: a dry run without one."),
    Key(
        "LLM.MERGE",
        "auto",
        "Fold PLoRA into a second weight for image tokens: a faster prefill for the memory of the "
        "LLM's linears once more; auto: in fp32 where that is at most 512 MiB.",
        choices=("auto", "on", "off"),
    ),
    Key(
        "LLM.REVISION",
        "",
        "Revision of a hub id in LLM.WEIGHTS.",
    ),
    Key(
        "LLM.WEIGHTS",
        "",
        "Folder or hub id of the LLM of a model that is put together of parts (MODEL.LLM says of "
        "which family); empty: the built-in tiny LLM. A whole checkpoint goes to MODEL.WEIGHTS.",
    ),
    Key(
        "MODEL.ARCHITECTURE",
        "",
        "What puts the parts together; empty: MODEL.NAME. Files of configs/models say it.",
    ),
    Key(
        "MODEL.IMAGE_POLICY",
        "",
        "How images are brought to the vision encoder; empty: the checkpoint's own. See `list "
        "image_policies`.",
    ),
    Key("MODEL.LLM", "", "The LLM's family; empty: the checkpoint's own. See `list llms`."),
    Key(
        "MODEL.NAME",
        "collavo",
        "The model: a registered architecture, or a file of configs/models; see `list models`.",
    ),
    Key(
        "MODEL.PROJECTOR",
        "",
        "From visual features to the LLM; empty: the checkpoint's own. See `list projectors`.",
    ),
    Key("MODEL.REVISION", "", "Revision of a hub id in MODEL.WEIGHTS or RESUME_FROM."),
    Key(
        "MODEL.TEMPLATE",
        "",
        "The chat template of evaluation and training; empty: the checkpoint's own (of CoLLaVO "
        "that of CRAYON.TEMPLATE). See `list templates`.",
    ),
    Key(
        "MODEL.TRUST_REMOTE_CODE",
        False,
        "Run code that a checkpoint brings along (a judge's too). Off, it is refused unasked.",
    ),
    Key(
        "MODEL.VISION_ENCODER",
        "",
        "The vision encoder; empty: the checkpoint's own. See `list vision_encoders`.",
    ),
    Key("MODEL.WEIGHTS", "", "Checkpoint folder or hub id; empty: the built-in tiny model."),
    Key(
        "PROMPT.STYLE",
        "collavo",
        "How benchmarks word their questions: as CoLLaVO's code, as "
        "LLaVA-1.5's, or once and plainly.",
        choices=("collavo", "llava", "clean"),
    ),
)

SEGMENTER = (
    Key("SEGMENTER.CONFIG_FILE", "", "detectron2's own YAML, for the detectron2 segmenter."),
    Key(
        "SEGMENTER.MASK_THRESHOLD",
        -1.0,
        "Cells count as a segment's own from this class score times mask probability; -1: what the "
        "checkpoint's config.json says, else 0.95.",
        low=-1,
        high=1,
        none=-1.0,
    ),
    Key("SEGMENTER.NAME", "mask2former", "The panoptic segmenter; see `list segmenters`."),
    Key(
        "SEGMENTER.OVERLAP_THRESHOLD",
        -1.0,
        "Share of its own cells a segment must win; -1: the checkpoint's own, else 0.8.",
        low=-1,
        high=1,
        none=-1.0,
    ),
    Key(
        "SEGMENTER.PRECOMPUTED.CLASSES",
        "coco",
        "coco: its categories are COCO panoptic's, by name; own: a crayon vocabulary of their own.",
        choices=("coco", "own"),
    ),
    Key("SEGMENTER.PRECOMPUTED.FOLDER", "", "Folder of COCO-panoptic PNGs."),
    Key("SEGMENTER.PRECOMPUTED.JSON", "", "COCO-panoptic JSON that describes them."),
    Key("SEGMENTER.REVISION", "", "Revision of a hub id in SEGMENTER.WEIGHTS."),
    Key(
        "SEGMENTER.THRESHOLD",
        -1.0,
        "Class score from which a query is kept; -1: the checkpoint's own, else 0.5.",
        low=-1,
        high=1,
        none=-1.0,
    ),
    Key(
        "SEGMENTER.WEIGHTS",
        "",
        "Checkpoint folder or hub id; empty: the built-in tiny segmenter under the built-in tiny "
        "model, else facebook/mask2former-swin-large-coco-panoptic, as the original.",
    ),
)

VISION = (
    Key(
        "VISION.CACHE",
        "",
        "Folder of stored vision features; empty: none are stored. The published model takes "
        "2.5 MB an image in 16 bits.",
    ),
    Key("VISION.REVISION", "", "Revision of a hub id in VISION.WEIGHTS."),
    Key(
        "VISION.WEIGHTS",
        "",
        "Folder or hub id of the vision encoder of a model that is put together of parts; empty: "
        "the built-in tiny one, or newly drawn where MODEL.VISION_ENCODER is another.",
    ),
)
