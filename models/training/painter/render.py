"""A scene as pixels, drawn with Pillow. Knows no words and no model."""

from __future__ import annotations

import math
from functools import cache
from random import Random

from PIL import Image, ImageDraw, ImageFont

from models.training.painter.world import DIGITS, Scene, Thing

Rgb = tuple[int, int, int]
Points = list[tuple[float, float]]

SIDE = 256  # pixels of a picture
FINE = 2  # drawn so many times larger and reduced: smooth edges
_WHOLE = SIDE * FINE

# Colours of things, and of what lies behind them, far enough apart to be told by their nearest.
PAINT: dict[str, Rgb] = {
    "red": (220, 40, 40), "orange": (250, 140, 30), "yellow": (250, 215, 40),
    "green": (35, 150, 65), "blue": (40, 90, 220), "purple": (140, 60, 190),
    "pink": (250, 145, 195), "brown": (140, 90, 50), "black": (25, 25, 25),
    "white": (255, 255, 255), "grey": (150, 150, 150),
}  # fmt: skip
GROUND: dict[str, Rgb] = {
    "grass": (150, 205, 110), "sand": (238, 214, 160), "sea": (95, 165, 215),
    "snow": (232, 240, 248),
}  # fmt: skip
SKY: dict[str, Rgb] = {"day": (185, 225, 250), "night": (28, 32, 80), "sunset": (248, 180, 145)}
DULL_SKY: Rgb = (178, 188, 204)  # of rain and of snow
SLATE: Rgb = (75, 75, 100)  # roofs
MOON: Rgb = (250, 240, 190)
RAIN: Rgb = (60, 95, 165)
RAINBOW = ("red", "orange", "yellow", "green", "blue", "purple")

# Half the height of a thing, as a part of the picture's side.
RADIUS = {"small": 0.10, "medium": 0.15, "big": 0.205}
HORIZON = 0.62
STANDS = 0.85  # where the feet of things on the ground are


def render(scene: Scene, rng: Random) -> Image.Image:
    """The scene at SIDE x SIDE, RGB. Places and sizes vary a little with `rng`."""
    dull = "rain" in scene.weather or "snow" in scene.weather
    backdrop = scene.backdrop
    sky = PAINT[backdrop.paper] if backdrop.paper else DULL_SKY if dull else SKY[backdrop.sky]
    image = Image.new("RGB", (_WHOLE, _WHOLE), sky)
    draw = ImageDraw.Draw(image)
    _draw_sky(draw, scene)
    if backdrop.ground:
        horizon = HORIZON * _WHOLE
        draw.rectangle((0, horizon, _WHOLE, _WHOLE), GROUND[backdrop.ground])
    if "rain" in scene.weather:
        for x, y in _scatter(7, 1.0):
            draw.line((x, y, x - 8, y + 30), RAIN, 9)
    if "snow" in scene.weather:
        for x, y in _scatter(7, 1.0):
            draw.ellipse((x - 8, y - 8, x + 8, y + 8), PAINT["white"])
    placed = list(zip(scene.things, spots(scene, rng), strict=True))
    for thing, (x, y, r) in reversed(placed):  # the outer before the inner
        paint(draw, thing, x * _WHOLE, y * _WHOLE, r * _WHOLE)
    return image.reduce(FINE)


def spots(scene: Scene, rng: Random | None = None) -> list[tuple[float, float, float]]:
    """Where the centre of each thing is and its radius, in parts of the side.

    Without `rng` nothing is left to chance.
    """
    land = not scene.backdrop.paper
    radii = [RADIUS[thing.size] * _about(1, 0.04, rng) for thing in scene.things]
    level = 0.62 if scene.weather else 0.5  # room for a sun on paper
    if scene.layout == "alone":
        x, y = _PLACE[scene.place or "middle"]
        middles = [(x, y if scene.place else level)]
    elif scene.layout == "left":
        middles = [(0.27, level), (0.73, level)]
    elif scene.layout == "above":
        middles = [(0.5, 0.25), (0.5, 0.75)]
    elif scene.layout == "row":
        middles = [((i + 0.5) / len(radii), level) for i in range(len(radii))]
        radii = [0.85 * r for r in radii]
    elif scene.layout == "inside":
        radii[1] *= 1.5
        middles = [(0.5, 0.5)] * 2
    else:
        return []
    placed = []
    for i, ((x, y), r) in enumerate(zip(middles, radii, strict=True)):
        jitter = 0.0 if scene.layout == "inside" else 0.02
        if land and not (scene.layout == "above" and i == 0):
            y = STANDS - r
        if land and scene.layout == "above" and i == 0:
            y, r = 0.2, min(r, 0.16)
        placed.append((_about(x, jitter, rng), _about(y, jitter, rng), r))
    return placed


def _about(value: float, jitter: float, rng: Random | None) -> float:
    return value + rng.uniform(-jitter, jitter) if rng else value


_PLACE = {
    "top left": (0.24, 0.24), "top": (0.5, 0.24), "top right": (0.76, 0.24),
    "left": (0.24, 0.5), "middle": (0.5, 0.5), "right": (0.76, 0.5),
    "bottom left": (0.24, 0.76), "bottom": (0.5, 0.76), "bottom right": (0.76, 0.76),
}  # fmt: skip


def _draw_sky(draw: ImageDraw.ImageDraw, scene: Scene) -> None:
    sides = [0.14, 0.86]
    for item in scene.weather:
        if item == "rainbow":
            for i, colour in enumerate(RAINBOW):
                r = (0.48 - 0.035 * i) * _WHOLE
                middle, base = 0.5 * _WHOLE, 0.64 * _WHOLE
                draw.ellipse((middle - r, base - r, middle + r, base + r), PAINT[colour])
            r -= 0.035 * _WHOLE
            draw.ellipse((middle - r, base - r, middle + r, base + r), SKY["day"])
        elif item == "stars":
            for x, y in _scatter(6, 0.55):
                draw.polygon(_star(x, y, 15, points=4, waist=0.4), MOON)
        elif item in ("sun", "moon", "cloud"):
            x, y = sides.pop() * _WHOLE, 0.14 * _WHOLE
            _SKY_THINGS[item](draw, x, y, scene)


def _draw_sun(draw: ImageDraw.ImageDraw, x: float, y: float, scene: Scene) -> None:
    del scene
    draw.polygon(_star(x, y, 0.115 * _WHOLE, points=10, waist=0.68), PAINT["yellow"])


def _draw_moon(draw: ImageDraw.ImageDraw, x: float, y: float, scene: Scene) -> None:
    r = 0.09 * _WHOLE
    draw.ellipse((x - r, y - r, x + r, y + r), MOON)
    x, y, r = x + 0.45 * r, y - 0.25 * r, 0.85 * r
    draw.ellipse((x - r, y - r, x + r, y + r), SKY[scene.backdrop.sky])


def _draw_cloud(draw: ImageDraw.ImageDraw, x: float, y: float, scene: Scene) -> None:
    u = 0.06 * _WHOLE
    light = scene.backdrop.paper in ("white", "grey")
    for dx, dy, r in ((-1.1, 0.2, 0.8), (0, -0.2, 1.1), (1.1, 0.2, 0.8), (0, 0.4, 0.8)):
        box = (x + (dx - r) * u, y + (dy - r) * u, x + (dx + r) * u, y + (dy + r) * u)
        draw.ellipse(box, SKY["day"] if light else PAINT["white"])


_SKY_THINGS = {"sun": _draw_sun, "moon": _draw_moon, "cloud": _draw_cloud}


def _scatter(cells: int, height: float) -> Points:
    """A point in every other cell of a grid: even, but not regular, and always the same."""
    step = _WHOLE / cells
    rng = Random(cells)
    return [
        ((i + rng.uniform(0.2, 0.8)) * step, (j + rng.uniform(0.2, 0.8)) * step * height)
        for i in range(cells)
        for j in range(cells)
        if (i + j) % 2
    ]


def paint(draw: ImageDraw.ImageDraw, thing: Thing, x: float, y: float, r: float) -> None:
    """One thing in the box (x - r, y - r, x + r, y + r), in pixels."""
    colour = PAINT[thing.colour]
    if thing.kind in DIGITS:
        left, top, right, bottom = _font().getbbox(thing.kind, stroke_width=3)
        glyph = Image.new("L", (round(right - left), round(bottom - top)))
        ImageDraw.Draw(glyph).text((-left, -top), thing.kind, 255, _font(), stroke_width=3)
        scale = 2 * r / glyph.height
        glyph = glyph.resize((max(1, round(glyph.width * scale)), round(2 * r)))
        draw.bitmap((round(x - glyph.width / 2), round(y - r)), glyph, colour)
        return
    if thing.kind in _POLYGONS:
        draw.polygon([(x + px * r, y + py * r) for px, py in _POLYGONS[thing.kind]], colour)
        return
    pen = _Pen(draw, x, y, r)
    dark = PAINT["white"] if thing.colour in ("black", "brown") else PAINT["black"]
    if thing.kind.endswith("face"):
        _paint_face(pen, thing.kind, colour, dark)
    else:
        _PAINTERS[thing.kind](pen, colour, dark)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(200)


def _star(x: float, y: float, r: float, points: int = 5, waist: float = 0.45) -> Points:
    return [
        (
            x + (r if i % 2 == 0 else waist * r) * math.sin(math.pi * i / points),
            y - (r if i % 2 == 0 else waist * r) * math.cos(math.pi * i / points),
        )
        for i in range(2 * points)
    ]


def _heart() -> Points:
    # The usual curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, in the unit box.
    turns = [2 * math.pi * i / 60 for i in range(60)]
    return [
        (
            math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t) + 2.5)
            / 15,
        )
        for t in turns
    ]


_ARM = 0.36
_POLYGONS: dict[str, Points] = {
    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "triangle": [(0, -1), (1, 0.85), (-1, 0.85)],
    "diamond": [(0, -1), (0.75, 0), (0, 1), (-0.75, 0)],
    "star": _star(0, 0.05, 1.05),
    "heart": _heart(),
    "cross": [
        (-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM), (_ARM, 1),
        (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM),
    ],
}  # fmt: skip


class _Pen:
    """Draws in the unit box, (-1, -1) to (1, 1), y downwards."""

    def __init__(self, draw: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
        self._draw, self._x, self._y, self._r = draw, x, y, r

    def _box(self, left: float, top: float, right: float, bottom: float) -> list[float]:
        x, y, r = self._x, self._y, self._r
        return [x + left * r, y + top * r, x + right * r, y + bottom * r]

    def ellipse(self, left: float, top: float, right: float, bottom: float, colour: Rgb) -> None:
        self._draw.ellipse(self._box(left, top, right, bottom), colour)

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Rgb) -> None:
        self._draw.rectangle(self._box(left, top, right, bottom), colour)

    def polygon(self, points: Points, colour: Rgb) -> None:
        x, y, r = self._x, self._y, self._r
        self._draw.polygon([(x + px * r, y + py * r) for px, py in points], colour)

    def arc(self, box: tuple[float, float, float, float], start: int, end: int, colour: Rgb,
            width: float) -> None:  # fmt: skip
        self._draw.arc(self._box(*box), start, end, colour, max(1, round(width * self._r)))

    def ring(self, width: float, colour: Rgb) -> None:
        self._draw.ellipse(self._box(-1, -1, 1, 1), outline=colour, width=round(width * self._r))


def _paint_face(pen: _Pen, kind: str, colour: Rgb, dark: Rgb) -> None:
    pen.ellipse(-1, -1, 1, 1, colour)
    for side in (-0.38, 0.38):
        pen.ellipse(side - 0.16, -0.5, side + 0.16, -0.1, dark)
    if kind == "happy face":
        pen.arc((-0.6, -0.35, 0.6, 0.65), 20, 160, dark, 0.2)
    elif kind == "sad face":
        pen.arc((-0.6, 0.25, 0.6, 1.2), 205, 335, dark, 0.2)
    else:
        pen.ellipse(-0.25, 0.12, 0.25, 0.68, dark)


def _paint_circle(pen: _Pen, colour: Rgb, dark: Rgb) -> None:
    del dark
    pen.ellipse(-1, -1, 1, 1, colour)


def _paint_ring(pen: _Pen, colour: Rgb, dark: Rgb) -> None:
    del dark
    pen.ring(0.4, colour)


def _paint_house(pen: _Pen, colour: Rgb, dark: Rgb) -> None:
    pen.rectangle(-0.8, -0.15, 0.8, 1, colour)
    pen.polygon([(-1, -0.15), (0, -1), (1, -0.15)], SLATE)
    pen.rectangle(-0.2, 0.35, 0.2, 1, dark)


def _paint_tree(pen: _Pen, colour: Rgb, dark: Rgb) -> None:
    pen.rectangle(-0.16, 0.2, 0.16, 1, dark if colour == PAINT["brown"] else PAINT["brown"])
    for x, y, r in ((-0.4, -0.1, 0.5), (0.4, -0.1, 0.5), (0, -0.45, 0.55)):
        pen.ellipse(x - r, y - r, x + r, y + r, colour)


def _paint_flower(pen: _Pen, colour: Rgb, dark: Rgb) -> None:
    del dark
    pen.rectangle(-0.08, 0, 0.08, 1, PAINT["green"])
    pen.ellipse(0.05, 0.5, 0.6, 0.8, PAINT["green"])
    for i in range(5):
        x, y = 0.42 * math.sin(2 * math.pi * i / 5), -0.3 - 0.42 * math.cos(2 * math.pi * i / 5)
        pen.ellipse(x - 0.3, y - 0.3, x + 0.3, y + 0.3, colour)
    heart = PAINT["orange"] if colour == PAINT["yellow"] else PAINT["yellow"]
    pen.ellipse(-0.24, -0.54, 0.24, -0.06, heart)


def _paint_car(pen: _Pen, colour: Rgb, dark: Rgb) -> None:
    pen.polygon([(-0.55, 0.15), (-0.35, -0.35), (0.35, -0.35), (0.6, 0.15)], colour)
    pen.rectangle(-1, 0.1, 1, 0.7, colour)
    pen.polygon([(-0.3, 0.1), (-0.2, -0.2), (0.2, -0.2), (0.35, 0.1)], SKY["day"])
    for x in (-0.55, 0.55):
        pen.ellipse(x - 0.28, 0.44, x + 0.28, 1, dark)


def _paint_cat(pen: _Pen, colour: Rgb, dark: Rgb) -> None:
    pen.polygon([(-0.75, 0), (-0.75, -1), (-0.1, -0.5)], colour)
    pen.polygon([(0.75, 0), (0.75, -1), (0.1, -0.5)], colour)
    pen.ellipse(-0.85, -0.65, 0.85, 0.95, colour)
    for side in (-0.35, 0.35):
        pen.ellipse(side - 0.14, -0.25, side + 0.14, 0.15, dark)
    pen.polygon([(-0.15, 0.3), (0.15, 0.3), (0, 0.5)], dark)
    for side in (-1, 1):
        pen.polygon([(0.3 * side, 0.42), (1.1 * side, 0.3), (1.1 * side, 0.38)], dark)
        pen.polygon([(0.3 * side, 0.5), (1.1 * side, 0.58), (1.1 * side, 0.66)], dark)


def _paint_boat(pen: _Pen, colour: Rgb, dark: Rgb) -> None:
    pen.polygon([(-1, 0.4), (1, 0.4), (0.6, 1), (-0.6, 1)], colour)
    pen.rectangle(-0.06, -1, 0.06, 0.4, SLATE)
    pen.polygon([(0.12, -0.95), (0.12, 0.25), (0.8, 0.25)], dark if colour == (255, 255, 255)
                else PAINT["white"])  # fmt: skip


def _paint_fish(pen: _Pen, colour: Rgb, dark: Rgb) -> None:
    pen.ellipse(-1, -0.5, 0.6, 0.6, colour)
    pen.polygon([(0.35, 0.05), (1, -0.5), (1, 0.6)], colour)
    pen.ellipse(-0.72, -0.22, -0.44, 0.06, dark)


_PAINTERS = {
    "circle": _paint_circle, "ring": _paint_ring, "house": _paint_house, "tree": _paint_tree,
    "flower": _paint_flower, "car": _paint_car, "cat": _paint_cat, "boat": _paint_boat,
    "fish": _paint_fish,
}  # fmt: skip
