"""The questions about scenes in Chinese, for the Chinese halves of MMBench and Q-Bench."""

from __future__ import annotations

from dataclasses import replace

from collavo.datasets.miniature.questions import Asked

TEXTS = {
    "count": "图中{0}的数量是多少？",
    "color": "图中的{0}是什么颜色的？",
    "side": "{0}在图片的哪一边？",
    "relation": "从{1}看，{0}在哪里？",
    "object": "图中可以看到下列哪一样东西？",
    "most": "图中下列哪一样东西最多？",
    "place": "这张图片展示的是什么地方？",
}

WORDS = {
    "person": "人", "people": "人", "bird": "鸟", "cat": "猫", "dog": "狗", "bicycle": "自行车",
    "car": "汽车", "airplane": "飞机", "bus": "公共汽车", "boat": "船", "traffic light": "红绿灯",
    "stop sign": "停车标志", "umbrella": "雨伞", "kite": "风筝", "bottle": "瓶子", "cup": "杯子",
    "banana": "香蕉", "apple": "苹果", "chair": "椅子", "potted plant": "盆栽", "clock": "时钟",
    "red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色", "blue": "蓝色",
    "purple": "紫色", "pink": "粉色", "brown": "棕色", "black": "黑色", "white": "白色",
    "gray": "灰色", "left": "左边", "right": "右边", "to the left": "左边", "to the right": "右边",
    "above": "上面", "below": "下面", "street": "街道", "country road": "乡间小路", "park": "公园",
    "garden": "花园", "beach": "海滩", "harbour": "港口", "snowfield": "雪地",
    "living room": "客厅", "kitchen": "厨房",
}  # fmt: skip


def word(text: str) -> str:
    """Translates a class, colour, side or place; numbers stay as they are."""
    if text in WORDS or text.isdecimal():
        return WORDS.get(text, text)
    return WORDS[{"buses": "bus"}.get(text, text.removesuffix("s"))]


def in_chinese(asked: Asked) -> Asked:
    """Translates a question about a scene with its answers."""
    text = TEXTS[asked.kind].format(*map(word, asked.about))
    return replace(asked, text=text, answer=word(asked.answer), wrong=tuple(map(word, asked.wrong)))
