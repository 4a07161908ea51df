"""Figures for the nine tasks of MME that scenes do not serve.

Names, titles and words are invented. MME translates from Chinese; here it is French, for which the
font that comes with Pillow has the letters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PIL import Image, ImageDraw

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.drawing import INK, frame, page, stamp, write
from collavo.datasets.miniature.palette import COLORS, Color, darker, lighter

Figure = tuple[Image.Image, tuple[str, str]]
"""A picture, a question to be answered Yes, and one to be answered No."""

PEOPLE = ("Ada Vale", "Bruno Kest", "Clara Dorn", "Emil Hask", "Fina Roos", "Gus Tamm")
FILMS = (
    ("The Red Boat", 1987, "boat", "red"),
    ("Night of the Cat", 1994, "cat", "black"),
    ("Two Yellow Kites", 2001, "kite", "yellow"),
    ("The Last Bus", 1979, "bus", "green"),
    ("A Blue Umbrella", 2012, "umbrella", "blue"),
)
RED_LAMP = next(look for look in range(9) if Dice(look).integer(0, 2) == 0)
"""A look of the traffic light in which the upper lamp is lit."""

LANDMARKS = ("Amber Tower", "Copper Gate", "Elder Pyramid", "Moss Windmill", "Storm Lighthouse")
PAINTINGS = (
    ("Three Cups", "cup", "blue", 3),
    ("Lone Apple", "apple", "red", 1),
    ("Two Birds", "bird", "yellow", 2),
    ("Clock at Noon", "clock", "brown", 1),
    ("Green Bottles", "bottle", "green", 3),
)
LOGOS = (
    ("sunny market", "sunny marker", "yellow"),
    ("blue harbor cafe", "blue harper cafe", "blue"),
    ("red kite books", "red bite books", "red"),
    ("old mill bakery", "old hill bakery", "brown"),
    ("fern & stone", "fern & store", "green"),
)
SUMS = (
    ("17 + 25", 42, 32),
    ("9 x 8", 72, 81),
    ("64 - 19", 45, 55),
    ("84 / 7", 12, 14),
    ("6 + 3 x 5", 21, 45),
)
FRENCH = (
    ("pomme rouge", "red apple", "green pear"),
    ("chat noir", "black cat", "white dog"),
    ("merci beaucoup", "thank you very much", "see you tomorrow"),
    ("grande maison", "big house", "small garden"),
    ("bonne nuit", "good night", "good luck"),
)
CODE = (
    (('print("Hello")',), "Hello", "World"),
    (("a = 4", "b = a + 3", "print(b)"), "7", "4"),
    (("for i in range(3):", "    print(i, end='')"), "012", "123"),
    (('word = "kite"', "print(word[0])"), "k", "e"),
    (("x = [2, 5, 9]", "print(max(x))"), "9", "3"),
)


def posters() -> Iterator[Figure]:
    """Film posters with a title, a year and a director."""
    for index, (title, year, thing, color) in enumerate(FILMS):
        director, other = PEOPLE[index], PEOPLE[index + 1]
        ground = lighter(COLORS["gray" if color != "black" else "orange"], 0.3)
        image = page(ground, (270, 360))
        frame(image, (8, 8, 261, 351), None, darker(ground, 0.6))
        write(image, title.upper(), 48, 30, room=226)
        stamp(image, thing, color, 135, 175, 95 if thing == "bus" else 130)
        write(image, f"directed by {director}", 290, 19)
        write(image, str(year), 322, 19)
        if index % 2:
            unlike, when = FILMS[index - 1][:2]
            right, wrong = f"titled {title} ({year})", f"titled {unlike} ({when})"
        else:
            right, wrong = f"directed by {director}", f"directed by {other}"
        yield image, (f"Is this movie {right.lower()}?", f"Is this movie {wrong.lower()}?")


def celebrity() -> Iterator[Figure]:
    """Two people with name plates, one in a red box."""
    for index in range(5):
        names = (PEOPLE[index], PEOPLE[(index + 2) % len(PEOPLE)])
        chosen = index % 2
        image = page((206, 216, 226))
        for side, name in enumerate(names):
            x = 100 + 160 * side
            color = ("blue", "green", "purple")[(index + side) % 3]
            box = stamp(image, "person", color, x, 120, 190, look=2 * index + side)
            write(image, name, 242, 20, x=x, room=150)
            if side == chosen:
                grown = (box[0] - 8, box[1] - 8, box[2] + 8, box[3] + 8)
                frame(image, grown, None, COLORS["red"])
        asked = "Is the actor inside the red bounding box named {}?"
        yield image, (asked.format(names[chosen]), asked.format(names[1 - chosen]))


def landmark() -> Iterator[Figure]:
    """Buildings that do not exist, with a sign that names them."""
    sky, stone = (170, 208, 238), (150, 136, 120)
    for index, name in enumerate(LANDMARKS):
        image = page(sky)
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 190, 360, 270), fill=(116, 160, 88))
        LANDMARK_SHAPES[index](draw, stone)
        frame(image, (60, 214, 300, 256), (250, 248, 240), INK, 3)
        write(image, name, 235, 24, room=220)
        other = LANDMARKS[(index + 2) % len(LANDMARKS)]
        yield image, (f"Is this a photo of {name}?", f"Is this a photo of {other}?")


def _tower(draw: ImageDraw.ImageDraw, stone: Color) -> None:
    draw.rectangle((150, 50, 210, 200), fill=(206, 150, 60), outline=INK, width=3)
    draw.polygon([(140, 52), (220, 52), (180, 8)], fill=(150, 60, 50), outline=INK)
    for y in (80, 115, 150):
        draw.rectangle((172, y, 188, y + 20), fill=(70, 90, 120))


def _gate(draw: ImageDraw.ImageDraw, stone: Color) -> None:
    draw.rectangle((90, 60, 270, 200), fill=(184, 112, 70), outline=INK, width=3)
    draw.rectangle((145, 110, 215, 200), fill=(60, 60, 70))
    draw.pieslice((145, 75, 215, 145), 180, 360, fill=(60, 60, 70))


def _pyramid(draw: ImageDraw.ImageDraw, stone: Color) -> None:
    draw.polygon([(60, 200), (300, 200), (180, 30)], fill=(222, 190, 120), outline=INK)
    draw.polygon([(180, 200), (300, 200), (180, 30)], fill=(186, 152, 90), outline=INK)


def _windmill(draw: ImageDraw.ImageDraw, stone: Color) -> None:
    draw.polygon([(140, 200), (220, 200), (200, 80), (160, 80)], fill=(112, 134, 96), outline=INK)
    for x, y in ((-60, -55), (60, -55), (60, 55), (-60, 55)):
        draw.line((180, 88, 180 + x, 88 + y), fill=(90, 70, 50), width=9)


def _lighthouse(draw: ImageDraw.ImageDraw, stone: Color) -> None:
    draw.polygon([(145, 200), (215, 200), (200, 60), (160, 60)], fill=(244, 244, 244), outline=INK)
    for y in (90, 140):
        draw.rectangle((154, y, 206, y + 22), fill=COLORS["red"])
    draw.rectangle((160, 34, 200, 60), fill=(255, 232, 120), outline=INK, width=3)


LANDMARK_SHAPES: tuple[Callable[[ImageDraw.ImageDraw, Color], None], ...] = (
    _tower,
    _gate,
    _pyramid,
    _windmill,
    _lighthouse,
)


def artwork() -> Iterator[Figure]:
    """Framed still lifes with a plate below."""
    for index, (title, thing, color, count) in enumerate(PAINTINGS):
        image = page((222, 214, 204))
        frame(image, (50, 20, 310, 200), (250, 240, 214), (150, 104, 44), 12)
        for place in range(count):
            stamp(image, thing, color, 180 + 72 * place - 36 * (count - 1), 110, 58)
        author = PEOPLE[index]
        write(image, f"{title}, {author}", 238, 21)
        if index % 2:
            other = PAINTINGS[index - 1][0]
            asked, right, wrong = "Is this artwork titled {}?", title.lower(), other.lower()
        else:
            other = PEOPLE[index + 1]
            asked, right, wrong = "Is this artwork created by {}?", author.lower(), other.lower()
        yield image, (asked.format(right), asked.format(wrong))


def ocr() -> Iterator[Figure]:
    """Shop signs; the wrong word differs in one letter."""
    for word, other, color in LOGOS:
        image = page(lighter(COLORS[color], 0.75))
        frame(image, (24, 80, 336, 190), COLORS[color], darker(COLORS[color], 0.4), 6)
        bright = INK if color == "yellow" else (255, 255, 255)
        write(image, word, 135, 40, bright, room=280)
        asked = 'Is the word in the logo "{}"?'
        yield image, (asked.format(word), asked.format(other))


def commonsense_reasoning() -> Iterator[Figure]:
    """Everyday situations that one has to conclude from."""
    image = page((200, 220, 235))
    stamp(image, "traffic light", "black", 180, 130, 240, look=RED_LAMP)
    crossing = "when I'm about to cross the street and see the light in the picture?"
    yield image, (f"Should I stop {crossing}", f"Should I walk on {crossing}")

    image = page()
    for x, thing, color, price in ((100, "apple", "red", "$1"), (260, "cup", "blue", "$6")):
        stamp(image, thing, color, x, 110, 110)
        write(image, price, 215, 44, x=x)
    asked = "Does the {} in the picture cost more than the {}?"
    yield image, (asked.format("cup", "apple"), asked.format("apple", "cup"))

    image = page((150, 110, 80))
    frame(image, (70, 80, 290, 190), (250, 248, 240), INK, 5)
    write(image, "CLOSED", 135, 52, COLORS["red"])
    asked = "The sign hangs on the door of a shop. {} buy something there now?"
    yield image, (asked.format("Is it impossible to"), asked.format("Can I"))

    image = page()
    frame(image, (60, 100, 280, 180), None, INK, 6)
    frame(image, (280, 125, 300, 155), INK, INK)
    frame(image, (70, 110, 92, 170), COLORS["red"], COLORS["red"])
    write(image, "5 %", 140, 40)
    asked = "This is the battery of my phone. Is it nearly {}?"
    yield image, (asked.format("empty"), asked.format("full"))

    image = page((120, 130, 145))
    draw = ImageDraw.Draw(image)
    draw.ellipse((70, 30, 220, 120), fill=(80, 86, 100))
    draw.ellipse((150, 20, 300, 125), fill=(80, 86, 100))
    for index in range(18):
        x, y = 70 + index * 41 % 230, 130 + index * 37 % 110
        draw.line((x, y, x - 8, y + 24), fill=(150, 200, 250), width=4)
    asked = "In the weather of the picture, will I get {} if I go for a walk without an umbrella?"
    yield image, (asked.format("wet"), asked.format("sunburnt"))


def numerical_calculation() -> Iterator[Figure]:
    """Written sums."""
    for text, right, wrong in SUMS:
        image = page()
        write(image, f"{text} = ?", 135, 60)
        asked = "Is the answer to the arithmetic question in the image {}?"
        yield image, (asked.format(right), asked.format(wrong))


def text_translation() -> Iterator[Figure]:
    """French words on a card."""
    for text, right, wrong in FRENCH:
        image = page((228, 236, 246))
        frame(image, (20, 85, 340, 185), (255, 255, 255), (70, 90, 150), 5)
        write(image, text, 135, 44, room=290)
        asked = (
            "Is it appropriate to translate the French in the image into English '{}' "
            "in the picture?"
        )
        yield image, (asked.format(right), asked.format(wrong))


def code_reasoning() -> Iterator[Figure]:
    """Short programs on a dark screen."""
    for lines, right, wrong in CODE:
        image = page((36, 40, 52))
        top = 135 - 22 * (len(lines) - 1)
        for place, line in enumerate(lines):
            left = 40 + 12 * (len(line) - len(line.lstrip()))
            ink, y = (222, 230, 240), top + 44 * place
            write(image, line.strip(), y, 32, ink, x=left, room=310 - left, anchor="lm")
        asked = "The image shows a python code. Is the output of the code '{}'?"
        yield image, (asked.format(right), asked.format(wrong))


FIGURES: dict[str, Callable[[], Iterator[Figure]]] = {
    "posters": posters,
    "celebrity": celebrity,
    "landmark": landmark,
    "artwork": artwork,
    "OCR": ocr,
    "commonsense_reasoning": commonsense_reasoning,
    "numerical_calculation": numerical_calculation,
    "text_translation": text_translation,
    "code_reasoning": code_reasoning,
}
