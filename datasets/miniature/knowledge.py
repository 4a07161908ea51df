"""What one has to know about a thing besides seeing it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """A question about a class of things that a picture shows.

    Args:
        name: The class, by COCO name.
        topic: OK-VQA's key of the kind of knowledge ("one" to "ten").
        text: The question.
        answer: What is right.
        wrong: Three other answers.
        reason: Why.
    """

    name: str
    topic: str
    text: str
    answer: str
    wrong: tuple[str, str, str]
    reason: str


def facts_about(names: Collection[str]) -> list[Fact]:
    """The facts about the classes in a picture."""
    return [fact for fact in FACTS if fact.name in names]


FACTS: tuple[Fact, ...] = tuple(
    Fact(name, topic, text, answer, wrong, reason)
    for name, topic, text, answer, wrong, reason in (
        (
            "cat", "eight", "What are the young of the whiskered pet in the picture called?",
            "kitten", ("puppy", "calf", "chick"), "The pet is a cat, and its young are kittens.",
        ),
        (
            "dog", "eight", "What sound is the dog in the picture known to make?",
            "bark", ("meow", "moo", "chirp"), "Dogs bark.",
        ),
        (
            "bird", "eight", "With what is the skin of the winged animal in the picture covered?",
            "feathers", ("scales", "fur", "shells"), "Birds have feathers.",
        ),
        (
            "bicycle", "one", "What moves the two-wheeled vehicle in the picture?",
            "pedals", ("sails", "steam", "jets"), "One rides a bicycle by its pedals.",
        ),
        (
            "car", "one", "How many wheels does a vehicle like the car in the picture have?",
            "4", ("2", "6", "8"), "A car has four wheels, of which a side view shows two.",
        ),
        (
            "bus", "one", "Who is paid to steer the long vehicle in the picture?",
            "driver", ("pilot", "captain", "waiter"), "A bus is steered by its driver.",
        ),
        (
            "airplane", "one", "At what place does the flying vehicle in the picture land?",
            "airport", ("harbor", "garage", "bus stop"), "Airplanes land at airports.",
        ),
        (
            "boat", "one", "What does the boat in the picture float on?",
            "water", ("sand", "snow", "grass"), "Boats float on water.",
        ),
        (
            "traffic light", "one", "At which color of the signal in the picture must one stop?",
            "red", ("green", "blue", "white"), "The signal is a traffic light: red means stop.",
        ),
        (
            "stop sign", "one", "How many sides does the red sign in the picture have?",
            "8", ("3", "4", "6"), "A stop sign is an octagon.",
        ),
        (
            "umbrella", "ten", "Which weather does the umbrella in the picture keep off?",
            "rain", ("fog", "wind", "frost"), "An umbrella keeps rain off.",
        ),
        (
            "kite", "four", "What makes the toy on a string in the picture fly?",
            "wind", ("steam", "fuel", "light"), "A kite flies in the wind.",
        ),
        (
            "clock", "nine", "What does the round device with hands in the picture measure?",
            "time", ("speed", "weight", "heat"), "The device is a clock.",
        ),
        (
            "bottle", "three", "Of what material is a clear bottle as in the picture often made?",
            "glass", ("wool", "paper", "stone"), "Bottles are often made of glass.",
        ),
        (
            "cup", "five", "Which hot drink made of roasted beans would one fill into the cup?",
            "coffee", ("juice", "milk", "lemonade"), "Coffee is made of roasted beans.",
        ),
        (
            "banana", "five", "What is the color of the long fruit in the picture once it is ripe?",
            "yellow", ("blue", "purple", "black"), "Ripe bananas are yellow.",
        ),
        (
            "apple", "five", "On what does the round fruit in the picture grow?",
            "tree", ("vine", "root", "bush"), "The fruit is an apple, and apples grow on trees.",
        ),
        (
            "chair", "three", "What does one do on the piece of furniture with a back?",
            "sit", ("swim", "cook", "drive"), "The piece of furniture is a chair, to sit on.",
        ),
        (
            "potted plant", "eight", "What has to be poured on the plant in the pot?",
            "water", ("oil", "paint", "milk"), "Plants need water.",
        ),
        (
            "person", "seven", "What are many persons, as the one in the picture, together called?",
            "people", ("flock", "herd", "pack"), "The plural of person is people.",
        ),
    )
)  # fmt: skip
