"""What each task makes of its arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from dw_lsp.worker.engine.sounds import Film, Sound
from dw_lsp.worker.tasks.registry import TASKS, check_arguments, parameters, run_task

RED, BLUE = (255, 0, 0), (0, 0, 255)


class Shelf:
    """Pictures for `gather_images`, without a disk."""

    def image(self, location: str) -> Image.Image:
        return Image.new("RGB", (len(location), 1))

    def find(self, pattern: str) -> list[Path]:
        return [Path("b.png"), Path("aa.png")] if pattern == "*.png" else []


def do(command: str, **arguments: Any) -> Any:
    return run_task(command, arguments, Shelf())


def split(width: int = 40, height: int = 20) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


# ---------------------------------------------------------------- frames


def test_an_image_processor_works_on_each_frame_of_a_video() -> None:
    sound = Sound(numpy.zeros((1, 100)), 100)
    film = do("resize_rescale", image=Film([split(), split(20, 20)], sound, 8.0), width=10, height=30)
    assert [frame.size for frame in film.frames] == [(10, 30)] * 2 and (film.audio, film.fps) == (sound, 8.0)
    assert len(do("crop_square", image=[split(), split(), split()]).frames) == 3
    assert len(do("crop_square", image=numpy.zeros((4, 6, 8, 3), numpy.uint8)).frames) == 4


def test_what_an_image_processor_gives_beside_pictures_stays_one_result() -> None:
    bordered = do("add_border_and_mask_with_size", image=[split(), split()], width=60, height=60)
    assert {name: len(film.frames) for name, film in bordered.items()} == {"bordered_image": 2, "mask": 2}
    assert do("get_image_size", image=[split(), split()]) == {"width": 40, "height": 20}


# ---------------------------------------------------------------- size


def test_resize_rescale_stretches() -> None:
    image = do("resize_rescale", image=split(), width=10, height=30)
    assert image.size == (10, 30) and image.getpixel((1, 15)) == RED and image.getpixel((8, 15)) == BLUE


def test_resize_center_crop_keeps_the_middle() -> None:
    image = do("resize_center_crop", image=split(60, 20), width=8, height=8)
    assert image.size == (8, 8) and image.getpixel((0, 4)) == RED and image.getpixel((7, 4)) == BLUE


@pytest.mark.parametrize(
    ("size", "expected"), [((100, 200), (512, 1024)), ((300, 100), (1536, 512)), ((1, 90), (512, 46080))]
)
def test_resize_resample_sets_the_shorter_side(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert do("resize_resample", image=Image.new("L", size), resolution=512).size == expected


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        ((100, 100), {}, (1024, 1024)),
        ((160, 90), {}, (1344, 768)),
        ((100, 100), {"ratios": ["16:9", 0.75], "resolution": 512, "alignment": 8}, (440, 592)),
    ],
)
def test_resize_bucket_takes_the_nearest_shape(size: Any, options: Any, expected: tuple[int, int]) -> None:
    assert do("resize_bucket", image=Image.new("RGB", size), **options).size == expected


def test_a_ratio_that_is_none() -> None:
    with pytest.raises(ValueError, match="'wide' is neither a number"):
        do("resize_bucket", image=split(), ratios=["wide"])


def test_crop_square_is_centred() -> None:
    image = do("crop_square", image=split(60, 20))
    assert image.size == (20, 20) and image.getpixel((9, 0)) == RED and image.getpixel((10, 0)) == BLUE


def test_recenter_crop_moves_the_frame() -> None:
    image = do("recenter_crop", image=split(40, 20), center_x=0.75, crop=0.5)
    assert image.size == (20, 10) and image.getcolors() == [(200, BLUE)]


def test_recenter_crop_draws_the_edges_out() -> None:
    image = do("recenter_crop", image=split(40, 20), crop=2.0)
    assert image.size == (80, 40)
    assert image.getpixel((0, 0)) == image.getpixel((0, 39)) == RED
    assert image.getpixel((79, 0)) == image.getpixel((79, 39)) == BLUE
    assert numpy.array_equal(numpy.asarray(image)[10:30, 20:60], numpy.asarray(split(40, 20)))


def test_recenter_crop_fills_with_a_colour_and_resizes() -> None:
    image = do("recenter_crop", image=split(40, 20), center_x=0.0, fill="#00ff00", width=10, height=10)
    assert image.size == (10, 10) and image.getpixel((0, 5)) == (0, 255, 0)


def test_get_image_size() -> None:
    assert do("get_image_size", image=split()) == {"width": 40, "height": 20}


def test_strip_exif_keeps_the_pixels_only() -> None:
    image = split()
    image.info["comment"] = "where I live"
    bare = do("strip_exif", image=image)
    assert bare.info == {} and bare.tobytes() == image.tobytes()


# ---------------------------------------------------------------- borders


def test_a_border_and_its_mask() -> None:
    made = do("add_border_and_mask", image=split(), zoom_left=0.5, zoom_up=1.0)
    bordered, mask = made["bordered_image"], made["mask"]
    assert bordered.size == mask.size == (60, 40)
    assert bordered.getpixel((0, 0)) == (0, 0, 0) and bordered.getpixel((21, 21)) == RED
    assert (mask.getpixel((0, 0)), mask.getpixel((21, 21))) == (255, 0)


def test_zoom_all_is_shared_by_all_sides() -> None:
    made = do("add_border_and_mask", image=split(), zoom_all=1.5)
    assert made["mask"].size == (60, 30) and made["mask"].getbbox() == (0, 0, 60, 30)


def test_overlap_reaches_into_the_image_only_from_sides_with_a_border() -> None:
    mask = do("add_border_and_mask", image=split(), zoom_left=0.5, overlap=0.25)["mask"]
    assert [mask.getpixel((x, 10)) for x in (19, 29, 31, 59)] == [255, 255, 0, 0]
    assert mask.getpixel((40, 0)) == 0


@pytest.mark.parametrize("size", [(50, 30), (20, 20)])
def test_a_border_to_an_exact_size(size: tuple[int, int]) -> None:
    made = do("add_border_and_mask_with_size", image=split(), width=size[0], height=size[1])
    assert made["bordered_image"].size == made["mask"].size == size
    assert made["mask"].getpixel((size[0] // 2, size[1] // 2)) == 0


@pytest.mark.parametrize("position", ["top-left", "top-right", "bottom-left", "bottom-right", "center"])
def test_a_watermark_stands_in_its_corner(position: str) -> None:
    image = do("add_watermark", image=Image.new("RGB", (200, 100)), text="hi", position=position, opacity=255, margin=0)
    left, top, right, bottom = image.getbbox()
    assert ("left" in position) == (left < 20) and ("right" in position) == (right > 180)
    assert ("top" in position) == (top < 10) and ("bottom" in position) == (bottom > 90)


def test_the_colour_of_a_watermark() -> None:
    image = do("add_watermark", image=Image.new("RGB", (200, 100)), color=[0, 255, 0], opacity=255)
    assert image.getextrema()[1][1] > 200 and image.getextrema()[0][1] == 0
    with pytest.raises(ValueError, match="numbers from 0 to 255"):
        do("add_watermark", image=split(), color=[1, 2])


# ---------------------------------------------------------------- grid, code


@pytest.mark.parametrize(("layout", "places"), [("panels", [(25, 50), (75, 50)]), ("rows", [(50, 25), (50, 75)])])
def test_a_grid_shows_all_images_in_order(layout: str, places: list[tuple[int, int]]) -> None:
    images = [Image.new("RGB", (10, 10), colour) for colour in (RED, BLUE)]
    sheet = do("ingredients_grid", images=images, width=100, height=100, layout=layout, gap=2, background="green")
    assert [sheet.getpixel(place) for place in places] == [RED, BLUE] and sheet.getpixel((0, 0)) == (0, 128, 0)


def test_a_grid_chooses_the_largest_cells_and_keeps_shapes() -> None:
    images = [Image.new("RGB", (20, 10), RED)] * 4
    sheet = do("ingredients_grid", images=images, width=100, height=100, gap=0)
    colours = dict((colour, count) for count, colour in sheet.getcolors())
    assert colours[RED] == 4 * 50 * 25
    covered = do("ingredients_grid", images=images, width=100, height=100, gap=0, fit="cover")
    assert covered.getcolors() == [(10000, RED)]


def test_too_many_images_for_a_grid() -> None:
    with pytest.raises(ValueError, match="3 images for a sheet of at most 2"):
        do("ingredients_grid", images=[split()] * 3, max_images=2)
    with pytest.raises(ValueError, match="no room"):
        do("ingredients_grid", images=[split()] * 3, width=10, height=10)


def test_a_qr_code_has_its_three_corners() -> None:
    code = do("qr_code", qr_code_contents="https://example.org", width=300, height=200)
    assert code.size == (300, 200) and code.getpixel((0, 0)) == (255, 255, 255)
    dark = numpy.asarray(code.convert("L")) < 128
    rows, columns = numpy.where(dark)
    side = columns.max() - columns.min() + 1
    assert side == rows.max() - rows.min() + 1
    top, left = rows.min(), columns.min()
    assert dark[top, left] and dark[top, left + side - 1] and dark[top + side - 1, left]


def test_a_qr_code_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="needs at least"):
        do("qr_code", qr_code_contents="x" * 300, width=40, height=40)


# ---------------------------------------------------------------- gathering, choosing, texts


def test_gathered_images_come_in_order() -> None:
    found = do("gather_images", glob="*.png", urls=["https://example.org/x.png"])
    assert [image.width for image in found] == [5, 6, 25]


def test_a_pattern_that_finds_nothing() -> None:
    with pytest.raises(ValueError, match="finds no file"):
        do("gather_images", glob="*.jpg")


def test_gather_inputs_hands_on() -> None:
    assert do("gather_inputs", a=1, b=[2]) == {"a": 1, "b": [2]}


def test_a_member_of_an_object() -> None:
    assert do("get_dict_value", dict={"a": [1]}, key="a") == [1]
    with pytest.raises(ValueError, match="no member 'b'; it has 'a'"):
        do("get_dict_value", dict={"a": 1}, key="b")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rule": "argmax"}, "b"),
        ({"rule": "argmin"}, "a"),
        ({"rule": "first_above", "threshold": 1.5}, "b"),
        ({"rule": "first_below", "threshold": 2.5}, "a"),
        ({"rule": "index", "index": -1}, "c"),
    ],
)
def test_select(options: dict[str, Any], expected: str) -> None:
    assert do("select", candidates=["a", "b", "c"], scores=[1, 3, 2], **options) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": [1], "rule": "argmax"}, "3 candidates but 1 scores"),
        ({"scores": [1, 2, 3], "rule": "first_above", "threshold": 9}, "no score is above 9"),
        ({"scores": [1, 2, 3], "rule": "index", "index": 3}, "no candidate 3"),
        ({"scores": [1, 2, 3], "rule": "first_below"}, "needs 'threshold'"),
        ({"scores": [1, 2, 3], "rule": "index"}, "needs 'index'"),
        ({"scores": [1, 2, 3], "rule": "best"}, "must be one of 'argmax'"),
    ],
)
def test_select_cannot(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        do("select", candidates=["a", "b", "c"], **options)


def test_compose_text() -> None:
    assert do("compose_text", parts=["a", " ", "b"]) == "a\n\nb"
    assert do("compose_text", parts=["a", "", "b"], separator="-", skip_empty=False) == "a--b"


SECTIONS = "before\n# Style\nbold\n[Light]\nsoft\nMood:\ncalm\n"


def test_extract_sections() -> None:
    assert do("extract_sections", text=SECTIONS, sections=["style", "Mood"]) == "before\n# Style\nbold\nMood:\ncalm"
    assert do("extract_sections", text=SECTIONS, sections=["light"], keep_preamble=False) == "[Light]\nsoft"
    with pytest.raises(ValueError, match="no section 'sound'"):
        do("extract_sections", text=SECTIONS, sections=["sound"])


def test_a_chat_message_is_one_result() -> None:
    (messages,) = do("format_chat_message", system_prompt="be brief", user_message="why?")
    assert [(each["role"], each["content"]) for each in messages] == [("system", "be brief"), ("user", "why?")]


# ---------------------------------------------------------------- the check of arguments


def test_every_task_tells_what_it_takes() -> None:
    for command, task in TASKS.items():
        known, _ = parameters(command)
        text = task.function.__doc__ or ""
        assert text and all(f"{name}:" in text for name in known), command


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("crop_square", {}, "needs the argument 'image'"),
        ("crop_square", {"image": "a.png"}, "must be an image, not a text"),
        ("crop_square", {"image": split(), "size": 3}, "no argument 'size'"),
        ("resize_rescale", {"image": split(), "width": True}, "must be a whole number, not true"),
        ("resize_rescale", {"image": split(), "width": 1.5}, "must be a whole number, not a number"),
        ("recenter_crop", {"image": split(), "crop": 0}, "must be above 0"),
        ("recenter_crop", {"image": split(), "center_x": 1.5}, "must be between 0.0 and 1.0"),
        ("ingredients_grid", {"images": []}, "is empty"),
        ("ingredients_grid", {"images": [1]}, r"has an item \(0\) that must be an image"),
        ("ingredients_grid", {"images": [split()], "layout": "piles"}, "must be one of 'auto', 'rows', 'panels'"),
        ("compose_text", {"parts": "a"}, "must be a list"),
        ("add_watermark", {"image": split(), "color": 3}, "must be a text, not .* or must be a list"),
        ("resize_bucket", {"image": split(), "ratios": []}, "is empty"),
    ],
)
def test_arguments_that_do_not_fit(command: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        do(command, **arguments)


def test_a_device_does_no_harm_to_a_task_without_a_model() -> None:
    assert do("get_image_size", image=Image.new("RGB", (3, 2)), device="cuda") == {"width": 3, "height": 2}


def test_values_that_are_not_known_yet_are_not_judged() -> None:
    assert check_arguments("crop_square", {"image": "previous_result:a"}, {"image"}) is None
    assert check_arguments("recenter_crop", {"image": None, "width": None}, {"image"}) is None
