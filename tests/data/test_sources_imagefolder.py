import gzip
import io
import logging
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import unicodedata
import zipfile
import zlib

import numpy as np
import pyarrow
import pytest
from PIL import Image
from torchvision.transforms.functional import center_crop, resize

from modelstitch.data import datasets, sources
from modelstitch.data.sources import imagefolder, pixels
from modelstitch.errors import ModelstitchError
from tests.checkout import ROOT

CIFAR10_JPEG = ROOT.parent / "shared" / "data" / "cifar10-jpeg.tar.xz"
CLASSES = ("bird", "cat")
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst", ".zip")


@pytest.fixture
def said(caplog):
    """What was said since it was last asked."""
    caplog.set_level(logging.INFO, "modelstitch")

    def told():
        words = "\n".join(record.getMessage() for record in caplog.records)
        caplog.clear()
        return words

    return told


def encode(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def pixels_of(seed, shape=(6, 5, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def pictures(shape=(6, 5, 3)):
    """Three training and two test images per class, by their names."""
    names = [f"train/{name}/{index}.png" for name in CLASSES for index in range(3)]
    names += [f"test/{name}/{index}.png" for name in CLASSES for index in range(2)]
    return {name: encode(pixels_of(seed, shape)) for seed, name in enumerate(names)}


def make_folder(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def make_archive(path, files, extra=()):
    """An archive of the files, then of the extra members (TarInfo)."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    if path.suffix == ".zst":
        make_archive(path.with_suffix(""), files, extra)
        with pyarrow.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write(path.with_suffix("").read_bytes())
        path.with_suffix("").unlink()
        return path
    compression = {".tar": "", ".gz": "gz", ".tgz": "gz", ".xz": "xz", ".bz2": "bz2"}[path.suffix]
    with tarfile.open(path, f"w:{compression}") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member)
    return path


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def png_header(width, height):
    """A PNG of the stated size whose data are a few bytes."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def convert(source, folder, resize=None):
    settings = {"source": "imagefolder", "path": str(source), "resize": resize}
    sources.prepare(settings, folder / "out" / "dataset.h5")
    return datasets.read(folder / "out" / "dataset.h5")


def refusal(source, folder):
    """The message that refuses the source; checks that it is one line that names it, and that nothing was written."""
    with pytest.raises(ModelstitchError) as error:
        convert(source, folder)
    assert not (folder / "out").exists()
    assert str(error.value).startswith(f"{source}: ")
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{source}: ")


def test_images_are_labelled_by_their_folder_and_sorted_by_class_and_name(tmp_path):
    dataset = convert(make_folder(tmp_path / "cats", pictures()), tmp_path)
    assert (dataset.name, dataset.classes) == ("cats", CLASSES)
    np.testing.assert_array_equal(dataset.train.labels, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(dataset.test.labels, [0, 0, 1, 1])
    for first, split in ((0, dataset.train), (6, dataset.test)):
        expected = [pixels_of(first + index).transpose(2, 0, 1) for index in range(len(split.labels))]
        np.testing.assert_array_equal(split.images, expected)


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_an_archive_in_any_order_gives_the_digest_of_the_folder(tmp_path, suffix):
    files = pictures()
    folder = convert(make_folder(tmp_path / "cats", files), tmp_path)
    for order, prefix in (
        (sorted(files), ""),
        (sorted(files, key=lambda name: name[::-1]), "./"),
        (sorted(files)[::-1], "top/"),
    ):
        path = make_archive(tmp_path / f"cats{suffix}", {prefix + name: files[name] for name in order})
        archive = convert(path, tmp_path)
        assert (archive.name, archive.digest) == ("cats", folder.digest)


def test_an_archive_made_by_tar_of_a_folder_is_read(tmp_path):
    make_folder(tmp_path / "cats", pictures())
    with tarfile.open(tmp_path / "cats.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.add(tmp_path / "cats", ".")
    assert convert(tmp_path / "cats.tar.gz", tmp_path).digest == convert(tmp_path / "cats", tmp_path).digest


def test_nothing_is_unpacked(tmp_path):
    path = make_archive(tmp_path / "cats.tar.xz", pictures())
    convert(path, tmp_path)
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["cats.tar.xz", "dataset.h5", "out"]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM", "TGA"])
def test_any_format_is_read_whatever_its_name(tmp_path, kind):
    files = pictures()
    pixels = pixels_of(99)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    files["train/bird/3"] = file.getvalue()
    dataset = convert(make_archive(tmp_path / "cats.tar", files), tmp_path)
    np.testing.assert_array_equal(dataset.train.images[3], pixels.transpose(2, 0, 1))


def test_grayscale_images_have_one_channel(tmp_path):
    dataset = convert(make_folder(tmp_path / "grey", pictures(shape=(6, 5))), tmp_path)
    assert dataset.train.images.shape == (6, 1, 6, 5)
    np.testing.assert_array_equal(dataset.train.images[4, 0], pixels_of(4, (6, 5)))


@pytest.mark.parametrize("grey", ["train/bird/0.png", "test/cat/1.png"])
def test_one_grayscale_image_among_coloured_ones_becomes_rgb(tmp_path, grey):
    plain = pixels_of(99, (6, 5))
    dataset = convert(make_folder(tmp_path / "cats", pictures() | {grey: encode(plain)}), tmp_path)
    found = dataset.train.images[0] if grey.startswith("train") else dataset.test.images[3]
    np.testing.assert_array_equal(found, [plain] * 3)


def test_modes_become_8_bits_a_channel(tmp_path):
    plain = pixels_of(99)
    files = pictures()
    alpha = np.concatenate([plain, pixels_of(98, (6, 5, 1))], axis=2)
    files["train/bird/3.png"] = encode(alpha)
    deep = pixels_of(97, (6, 5)).astype(np.uint16) * 257
    files["train/bird/4.png"] = encode(deep)
    files["train/bird/5.pgm"] = encode(deep, "PPM")
    files["train/bird/6.png"] = encode(pixels_of(96, (6, 5)) > 127)
    images = convert(make_folder(tmp_path / "cats", files), tmp_path).train.images
    np.testing.assert_array_equal(images[3], plain.transpose(2, 0, 1))
    np.testing.assert_array_equal(images[4], [deep // 257] * 3)
    np.testing.assert_array_equal(images[5], [deep // 257] * 3)
    np.testing.assert_array_equal(images[6], [(pixels_of(96, (6, 5)) > 127) * 255] * 3)


def test_hidden_files_and_files_outside_are_passed_over(tmp_path):
    files = pictures()
    digest = convert(make_folder(tmp_path / "cats", files), tmp_path).digest
    for name in (".DS_Store", "train/.DS_Store", "train/bird/._0.png", "train/.ipynb_checkpoints/x", "README.md"):
        files[name] = b"not an image"
    files["train/cat/Thumbs.db"] = files["__MACOSX/train/bird/0.png"] = b"not an image"
    assert convert(make_archive(tmp_path / "cats.tar", files), tmp_path).digest == digest
    assert convert(make_folder(tmp_path / "cats", files), tmp_path).digest == digest


@pytest.mark.parametrize("name", ["/etc/x.png", "../x.png", "train/../../etc/x", "train/bird/../cat/x.png", "./.."])
def test_a_member_that_leaves_the_folder_is_refused(tmp_path, name):
    path = make_archive(tmp_path / "cats.tar.gz", pictures() | {name: encode(pixels_of(0))})
    assert refusal(path, tmp_path) == f"member {name!r} leaves the folder: refused, nothing was written"


@pytest.mark.parametrize("name", ["train/bird/9.png", "elsewhere", "train/.hidden", "train"])
@pytest.mark.parametrize(
    ("kind", "word"),
    [(tarfile.SYMTYPE, "link"), (tarfile.FIFOTYPE, "device"), (tarfile.CHRTYPE, "device")],
)
def test_links_and_devices_in_an_archive_are_refused(tmp_path, name, kind, word):
    path = make_archive(tmp_path / "cats.tar", pictures(), [special(name, kind, "train/bird/0.png")])
    assert refusal(path, tmp_path).startswith(f"member {name!r} is a {word}, expected images and folders: refused")


def test_links_in_a_folder_of_ones_own_are_followed(tmp_path):
    digest = convert(make_folder(tmp_path / "cats", pictures()), tmp_path).digest
    linked = make_folder(tmp_path / "linked", {"README.md": b"of links"})
    (linked / "test").symlink_to(tmp_path / "cats/test")
    (linked / "train/bird").mkdir(parents=True)
    for path in (tmp_path / "cats/train/bird").iterdir():
        (linked / "train/bird" / path.name).symlink_to(path)
    (linked / "train/cat").symlink_to("../../cats/train/cat")
    assert convert(linked, tmp_path).digest == digest
    assert imagefolder.glance(linked) == (((3, 6, 5), 6, 4, 2), True)
    assert sorted(imagefolder.files(linked)) == sorted(["README.md", *pictures()])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to another user")
def test_links_in_a_folder_of_another_user_are_refused(tmp_path):
    folder = make_folder(tmp_path / "cats", pictures())
    (folder / "train/bird/9.png").symlink_to("0.png")
    convert(folder, tmp_path)
    (tmp_path / "out/dataset.h5").unlink()
    (tmp_path / "out").rmdir()
    os.chown(folder, 12345, -1)
    message = refusal(folder, tmp_path)
    assert message.startswith("member 'train/bird/9.png' is a link in a folder of another user, expected images")


def test_links_without_an_end_and_devices_in_a_folder_are_refused(tmp_path):
    folder = make_folder(tmp_path / "cats", pictures())
    for name, target in (("train/bird/9.png", "8.png"), ("loop", "."), ("train/bird/up", "..")):
        (folder / name).symlink_to(target)
        assert refusal(folder, tmp_path).startswith(f"member {name!r} is a link ")
        (folder / name).unlink()
    os.mkfifo(folder / "train/bird/9.png")
    assert refusal(folder, tmp_path).startswith("member 'train/bird/9.png' is a device")


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_a_hard_link_in_an_archive_is_the_file_that_it_names(tmp_path, suffix):
    folder = make_folder(tmp_path / "cats", pictures())
    digest = convert(folder, tmp_path).digest
    (folder / "pool").mkdir()
    (folder / "train/bird/2.png").rename(folder / "pool/one.png")
    os.link(folder / "pool/one.png", folder / "train/bird/2.png")
    path = tmp_path / f"linked{suffix}"
    with tarfile.open(path, "w:" + suffix[5:]) as tar:
        for name in ("pool", "train", "test"):
            tar.add(folder / name, name)
        assert tar.getmember("train/bird/2.png").islnk()
    assert convert(path, tmp_path).digest == digest
    for target in ("train/bird/99.png", "/etc/passwd", "train/cat"):
        path = make_archive(tmp_path / "bad.tar", pictures(), [special("train/bird/9.png", tarfile.LNKTYPE, target)])
        with pytest.raises(
            ModelstitchError, match=rf"'train/bird/9\.png' is a link to {target!r}, which is not a file"
        ):
            convert(path, tmp_path)


def test_a_folder_may_be_given_by_a_link(tmp_path):
    make_folder(tmp_path / "cats", pictures())
    (tmp_path / "link").symlink_to("cats")
    assert convert(tmp_path / "link", tmp_path).name == "cats"


@pytest.mark.parametrize(("width", "height"), [(5000, 5000), (2**30, 2**30), (12_000, 12_000)])
@pytest.mark.parametrize("name", ["train/bird/0.png", "test/cat/9.png"])
@pytest.mark.filterwarnings("error")
def test_a_decompression_bomb_is_refused(tmp_path, width, height, name):
    path = make_archive(tmp_path / "cats.tar", pictures() | {name: png_header(width, height)})
    assert refusal(path, tmp_path).startswith(f"member {name!r} is ")


def test_a_member_of_huge_size_is_refused_before_it_is_read(tmp_path):
    path = make_archive(tmp_path / "cats.tar", pictures())
    member = tarfile.TarInfo("train/bird/9.png")
    member.size = 2**40
    content = path.read_bytes().rstrip(b"\0")
    content += b"\0" * (-len(content) % 512) + member.tobuf() + b"\0" * 2048
    path.write_bytes(content)
    assert refusal(path, tmp_path).startswith("member 'train/bird/9.png' has 1,099,511,627,776 bytes, more than")


def test_a_name_of_huge_size_is_refused_before_it_is_read(tmp_path):
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 2**33
    path = tmp_path / "cats.tar.gz"
    path.write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + b"a" * 2048))
    assert "a header claims 8,589,934,592 bytes" in refusal(path, tmp_path)


def test_headers_nested_without_end_are_refused(tmp_path):
    nested = special("x", tarfile.GNUTYPE_LONGNAME)
    nested.size = 512
    path = tmp_path / "cats.tar"
    path.write_bytes((nested.tobuf(tarfile.GNU_FORMAT) + b"a" * 512) * 5000 + b"\0" * 1024)
    assert refusal(path, tmp_path).startswith("not a whole archive")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"])
def test_a_truncated_image_is_refused_by_name(tmp_path, kind):
    whole = encode(pixels_of(1, (6, 5, 3)), kind)
    files = pictures() | {"train/cat/broken.img": whole[: len(whole) * 2 // 3]}
    assert refusal(make_archive(tmp_path / "cats.tar.xz", files), tmp_path).startswith("member 'train/cat/broken.img' ")
    assert refusal(make_folder(tmp_path / "cats", files), tmp_path).startswith("member 'train/cat/broken.img' ")


def test_an_image_with_a_wrong_checksum_is_refused_by_name(tmp_path):
    files = pictures()
    damaged = bytearray(files["test/cat/0.png"])
    damaged[60] ^= 0xFF
    files["test/cat/0.png"] = bytes(damaged)
    message = refusal(make_folder(tmp_path / "cats", files), tmp_path)
    assert message.startswith("member 'test/cat/0.png' can't be read (")


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 3000])
def test_a_file_that_is_no_image_is_refused_by_name(tmp_path, content):
    path = make_archive(tmp_path / "cats.tar", pictures() | {"train/bird/notes": content})
    assert refusal(path, tmp_path).startswith(
        "member 'train/bird/notes' is not an image of a format that is read (BMP, "
    )


def test_a_32_bit_image_is_refused_by_name(tmp_path):
    files = pictures() | {"train/bird/deep.tif": encode(np.ones((6, 5), np.float32), "TIFF")}
    message = refusal(make_folder(tmp_path / "cats", files), tmp_path)
    assert message.startswith("member 'train/bird/deep.tif' can't be read (32 bits per pixel, expected 8 or 16)")


@pytest.mark.parametrize("name", ["train/x.png", "train", "train/bird/young/x.png", "test/x.png"])
def test_an_image_at_another_depth_is_refused(tmp_path, name):
    path = make_archive(tmp_path / "cats.tar", pictures() | {name: encode(pixels_of(0))})
    split = name.split("/")[0]
    assert refusal(path, tmp_path).startswith(f"member {name!r} is not where an image is expected ({split}/<class>/")


def test_an_image_that_is_there_twice_is_refused(tmp_path):
    path = make_archive(tmp_path / "cats.tar", pictures() | {"./train/cat/0.png": encode(pixels_of(0))})
    assert refusal(path, tmp_path).startswith("member './train/cat/0.png' is there twice")


def test_two_data_sets_in_one_folder_are_refused(tmp_path):
    path = make_archive(tmp_path / "cats.tar", pictures() | {"old/train/cat/0.png": encode(pixels_of(0))})
    assert refusal(path, tmp_path).startswith(
        "member 'old/train/cat/0.png' stands in a second pair of train/ and test/"
    )


@pytest.mark.parametrize("shape", [(5, 6, 3), (6, 5000, 3), (7, 5, 3), (6, 6)])
def test_images_of_another_size_are_refused_by_name(tmp_path, shape):
    path = make_archive(tmp_path / "cats.tar", pictures() | {"test/cat/1.png": encode(pixels_of(0, shape))})
    assert refusal(path, tmp_path) == (
        f"member 'test/cat/1.png' is {shape[0]}x{shape[1]}, but 'train/bird/0.png' is 6x5: "
        "expected one size, or `resize`: refused, nothing was written"
    )


def test_classes_that_differ_are_refused_by_name(tmp_path):
    owl = encode(pixels_of(0))
    path = make_archive(tmp_path / "a.tar", pictures() | {"train/owl/0.png": owl})
    assert refusal(path, tmp_path).startswith("class 'owl' is in train/ but not in test/: expected the same")
    path = make_archive(tmp_path / "b.tar", pictures() | {"test/owl/0.png": owl})
    assert refusal(path, tmp_path).startswith("class 'owl' is in test/ but not in train/: expected the same")


def test_a_class_without_images_is_refused_by_name(tmp_path):
    folder = make_folder(tmp_path / "cats", pictures() | {"test/owl/0.png": encode(pixels_of(0))})
    (folder / "train/owl").mkdir()
    (folder / "train/owl/.DS_Store").write_bytes(b"")
    assert refusal(folder, tmp_path) == "train/owl/ has no image: add some or remove the folder"


def test_a_class_name_that_is_no_text_is_refused(tmp_path):
    path = make_archive(tmp_path / "cats.tar", pictures() | {"train/b\udcff/0.png": encode(pixels_of(0))})
    assert refusal(path, tmp_path).startswith(r"member 'train/b\udcff/0.png' has a class name that is not printable")


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_split_is_refused(tmp_path, split):
    files = {name: content for name, content in pictures().items() if not name.startswith(split)}
    expected = f"no image in {split}/: expected {split}/<class>/<image>"
    assert refusal(make_archive(tmp_path / "cats.tar", files), tmp_path) == expected
    assert refusal(make_folder(tmp_path / "cats", files), tmp_path) == expected


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_an_archive_cut_anywhere_is_refused(tmp_path, suffix):
    path = make_archive(tmp_path / f"cats{suffix}", pictures())
    whole = path.read_bytes()
    # Of a .tar, only the zeros that fill its last record may be missing.
    end = len(whole.rstrip(b"\0")) if suffix == ".tar" else len(whole)
    for length in {0, 1, 511, 512, 1024, 2048, 4096, end // 2, end - 300, end - 1} & set(range(end)):
        path.write_bytes(whole[:length])
        assert "refused, nothing was written" in refusal(path, tmp_path)


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_an_archive_damaged_inside_is_refused(tmp_path, suffix):
    path = make_archive(tmp_path / f"cats{suffix}", pictures())
    whole = bytearray(path.read_bytes())
    position = 2 * 1024 + 5 if suffix == ".tar" else len(whole) // 2  # in a .tar: the name in the third header
    whole[position] ^= 0xFF
    path.write_bytes(whole)
    assert "refused, nothing was written" in refusal(path, tmp_path)


def test_what_is_no_folder_and_no_archive_is_refused(tmp_path):
    assert refusal(tmp_path / "missing", tmp_path).startswith("no such file or folder")
    (tmp_path / "cats.rar").write_bytes(b"PK")
    expected = "expected a folder, or an archive named .tar, .tar.gz, .tgz, .tar.xz, "
    assert refusal(tmp_path / "cats.rar", tmp_path).startswith(expected)
    (tmp_path / "cats.tar.gz").write_bytes(b"PK")
    assert refusal(tmp_path / "cats.tar.gz", tmp_path).startswith("not a whole archive")


def test_a_refused_source_leaves_the_data_set_that_was_there(tmp_path):
    folder = make_folder(tmp_path / "cats", pictures())
    digest = convert(folder, tmp_path).digest
    (folder / "train/cat/0.png").write_bytes(b"")
    with pytest.raises(ModelstitchError):
        convert(folder, tmp_path)
    assert datasets.read(tmp_path / "out/dataset.h5").digest == digest


def test_an_archive_is_an_input_and_a_folder_has_files(tmp_path):
    archive = {"source": "imagefolder", "path": str(make_archive(tmp_path / "cats.tar", pictures()))}
    folder = {"source": "imagefolder", "path": str(make_folder(tmp_path / "cats", pictures()))}
    assert (sources.input_files(archive), sources.files_of_folder(archive)) == ([tmp_path / "cats.tar"], [])
    (tmp_path / "cats/.DS_Store").write_bytes(b"")
    assert (sources.input_files(folder), sorted(sources.files_of_folder(folder))) == ([], sorted(pictures()))


def test_a_glance_at_a_folder_tells_all_its_sizes(tmp_path):
    files = pictures() | {
        "train/cat/.DS_Store": b"",
        "README.md": b"not an image",
        "train/bird/9.png": encode(pixels_of(9)),
    }
    folder = make_folder(tmp_path / "cats", files)
    for source in (folder, make_folder(tmp_path / "outer/top", files).parent):
        dataset = convert(source, tmp_path)
        sizes, counted = sources.glance({"source": "imagefolder", "path": str(source)})
        assert counted
        assert sizes == datasets.read_sizes(tmp_path / "out/dataset.h5") == ((3, 6, 5), 7, 4, 2)
        assert sizes == (dataset.train.images.shape[1:], len(dataset.train.labels), len(dataset.test.labels), 2)
    grey = make_folder(tmp_path / "grey", pictures(shape=(6, 5)))
    assert imagefolder.glance(grey) == (((1, 6, 5), 6, 4, 2), True)


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_a_glance_at_an_archive_tells_its_image_and_counts_what_is_listed(tmp_path, suffix, monkeypatch):
    """The members of a zip, and of a tar that is not compressed, are known without reading more than one image."""
    path = make_archive(tmp_path / f"cats{suffix}", {"README.md": b"not an image"} | pictures())
    read = []
    monkeypatch.setattr(imagefolder, "content", lambda source, member: read.append(member.name) or member.read())
    found = imagefolder.glance(path)
    assert len(read) == 1
    if suffix in (".tar", ".zip"):
        assert found == (((3, 6, 5), 6, 4, 2), True)
        path.write_bytes(path.read_bytes()[:1024])
        assert imagefolder.glance(path) is None
    else:
        assert found == (((3, 6, 5), 50_000, 10_000, 10), False)


@pytest.mark.parametrize("content", [b"", b"not an image", png_header(2**14, 2**14)])
def test_a_glance_tells_nothing_where_there_is_no_readable_image(tmp_path, content):
    files = {"train/cat/0.png": content, "test/cat/0.png": content}
    assert imagefolder.glance(make_folder(tmp_path / "cats", files)) is None
    assert imagefolder.glance(make_archive(tmp_path / "cats.tar", files)) is None


def test_a_glance_tells_nothing_of_what_is_no_data_set(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cats.zip").write_bytes(b"PK")
    (tmp_path / "damaged.tar.gz").write_bytes(b"PK")
    outside = make_folder(tmp_path / "outside", {"cat/0.png": encode(pixels_of(0))})
    untested = make_folder(tmp_path / "untested", {"train/cat/0.png": encode(pixels_of(0))})
    empty = make_archive(tmp_path / "empty.tar", {})
    for source in (
        tmp_path / "missing",
        tmp_path / "empty",
        tmp_path / "cats.zip",
        tmp_path / "damaged.tar.gz",
        outside,
        untested,
        empty,
    ):
        assert imagefolder.glance(source) is None


def test_only_an_image_folder_is_glanced_at(tmp_path):
    for settings in ({"source": "digits"}, {"source": "cifar10", "folder": str(tmp_path)}):
        assert sources.glance(settings) is None


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_folder_of_test_images_may_have_another_name(tmp_path, name):
    files = pictures()
    renamed = {file.replace("test/", f"{name}/"): content for file, content in files.items()}
    digest = convert(make_folder(tmp_path / "cats", files), tmp_path).digest
    for source in (make_folder(tmp_path / "renamed", renamed), make_archive(tmp_path / "renamed.tar", renamed)):
        assert convert(source, tmp_path).digest == digest
    assert imagefolder.glance(tmp_path / "renamed") == (((3, 6, 5), 6, 4, 2), True)
    (tmp_path / "renamed" / name / "owl").mkdir()
    expected = rf"renamed: {name}/owl/ has no image"
    with pytest.raises(ModelstitchError, match=expected):
        convert(tmp_path / "renamed", tmp_path)


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_two_folders_of_test_images_are_refused(tmp_path, name):
    files = pictures() | {f"{name}/cat/9.png": encode(pixels_of(9))}
    assert refusal(make_archive(tmp_path / "cats.tar", files), tmp_path) == (
        f"member '{name}/cat/9.png' stands beside test/, expected one folder of test images: "
        "refused, nothing was written"
    )
    assert "expected one folder of test images" in refusal(make_folder(tmp_path / "cats", files), tmp_path)


@pytest.mark.parametrize("shape", [(40, 40, 3), (9, 9, 3), (40, 40), (16, 16, 3)])
def test_square_images_are_resized_as_torchvision_resizes_them(shape):
    image = pixels_of(0, shape)
    expected = np.asarray(resize(Image.fromarray(image), [16, 16])).reshape(16, 16, -1).transpose(2, 0, 1)
    found = pixels.resized(image.reshape(*shape[:2], -1).transpose(2, 0, 1), 16)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(8, 20, 3), (20, 8, 3), (8, 24)])
def test_of_an_image_that_is_no_square_the_centre_is_resized_as_torchvision_scales_and_crops(shape):
    image = pixels_of(0, shape)
    for side in (4, 8, 16):
        scaled = center_crop(resize(Image.fromarray(image), side), [side, side])
        found = pixels.resized(image.reshape(*shape[:2], -1).transpose(2, 0, 1), side)
        expected = np.asarray(scaled).reshape(side, side, -1).transpose(2, 0, 1)
        np.testing.assert_allclose(found.astype(int), expected, atol=1)  # Pillow rounds between its two passes


def test_an_image_is_smoothed_before_pixels_are_left_out():
    checkered = np.indices((40, 40)).sum(axis=0, dtype=np.uint8)[None] % 2 * 255
    assert np.abs(pixels.resized(checkered, 10)[:, 1:-1, 1:-1].astype(int) - 127).max() <= 1


def test_images_of_any_sizes_are_resized(tmp_path):
    files = pictures() | {
        "test/cat/9.png": encode(pixels_of(9, (30, 12, 3))),
        "test/bird/9.png": encode(pixels_of(8, (4, 4))),
    }
    for source in (make_folder(tmp_path / "cats", files), make_archive(tmp_path / "cats.tar", files)):
        dataset = convert(source, tmp_path, resize=7)
        assert dataset.train.images.shape == (6, 3, 7, 7) and dataset.test.images.shape == (6, 3, 7, 7)
        expected = pixels.resized(pixels_of(9, (30, 12, 3)).transpose(2, 0, 1), 7)
        np.testing.assert_array_equal(dataset.test.images[-1], expected)
        assert sources.glance({"source": "imagefolder", "path": str(source), "resize": 7}).sizes.image == (3, 7, 7)
    assert convert(tmp_path / "cats", tmp_path, resize=7).digest == dataset.digest
    grey = make_folder(tmp_path / "grey", pictures(shape=(6, 5)))
    assert convert(grey, tmp_path, resize=4).train.images.shape == (6, 1, 4, 4)


def test_a_huge_or_damaged_image_is_refused_before_it_is_resized(tmp_path):
    for content, reason in ((png_header(2**14, 2**14), "pixels of an image"), (b"damaged", "not an image")):
        path = make_archive(tmp_path / "cats.tar", pictures() | {"train/cat/9.png": content})
        with pytest.raises(ModelstitchError, match=rf"member 'train/cat/9\.png' is .*{reason}"):
            convert(path, tmp_path, resize=4)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 6\n%%EndComments\n0 0 moveto 5 6 lineto stroke\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("name", ["9.png", "9.eps"])
def test_a_format_that_is_a_program_is_not_opened(tmp_path, name):
    path = make_archive(tmp_path / "cats.tar", pictures() | {f"train/bird/{name}": EPS})
    expected = f"member 'train/bird/{name}' is not an image of a format that is read (BMP, DIB, GIF, JPEG, "
    assert refusal(path, tmp_path).startswith(expected)


def test_control_characters_of_names_reach_no_terminal(tmp_path, said):
    escape, picture = "\x1b[2J\nx", encode(pixels_of(0))
    path = make_archive(tmp_path / "cats.tar", pictures() | {escape: b"", f"train/{escape}.csv": b""})
    convert(path, tmp_path)
    words = said()
    assert "passed over: \\x1b[2J\\nx, train/\\x1b[2J\\nx.csv" in words and "\x1b" not in words
    shutil.rmtree(tmp_path / "out")
    for name in (f"train/{escape}/0.png", f"train/bird/{escape}/0.png", f"../{escape}"):
        assert refusal(make_archive(path, pictures() | {name: picture}), tmp_path).isprintable()
    folder = make_folder(tmp_path / "cats", pictures())
    (folder / "train" / escape.replace("\n", "")).mkdir()
    assert refusal(folder, tmp_path).isprintable()


def test_images_that_do_not_fit_into_the_memory_are_refused_before_it_is_taken(tmp_path):
    file = io.BytesIO()
    Image.new("L", (4096, 4096)).save(file, "PNG")
    names = (f"{split}/{name}/{i}.png" for split in ("train", "test") for name in CLASSES for i in range(40))
    files = dict.fromkeys(names, file.getvalue())
    path = make_archive(tmp_path / "cats.tar", files)
    assert path.stat().st_size < 12 * 2**20
    code = f"""
import resource
from pathlib import Path
from modelstitch.data.sources import imagefolder

size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**30, resource.RLIM_INFINITY))
imagefolder.prepare({str(path)!r}, {str(tmp_path / "out.h5")!r})
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    last = result.stderr.splitlines()[-1]
    assert re.search(r"cats\.tar: 160 images of 4096x4096 take 7\.5 GiB of memory, \d\.\d GiB are free", last), last
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("names", [("Training", "Testing"), ("TRAIN", "Val"), ("training", "valid"), ("Train", "Test")])
def test_folders_may_be_called_as_people_call_them(tmp_path, names):
    digest = convert(make_folder(tmp_path / "cats", pictures()), tmp_path).digest
    renamed = {
        name.replace("train/", f"{names[0]}/").replace("test/", f"{names[1]}/"): content
        for name, content in pictures().items()
    }
    assert convert(make_folder(tmp_path / "renamed", renamed), tmp_path).digest == digest
    assert imagefolder.glance(tmp_path / "renamed") == (((3, 6, 5), 6, 4, 2), True)
    both = make_archive(tmp_path / "both.tar", renamed | {"train/bird/9.png": encode(pixels_of(9))})
    if names[0] != "train":
        assert f"stands beside {names[0]}/, expected one folder of training" in str(refusal_of(both, tmp_path))


def refusal_of(source, folder):
    with pytest.raises(ModelstitchError) as error:
        convert(source, folder)
    return error.value


@pytest.mark.parametrize("first", ["train", "val"])
def test_tiny_imagenet_is_read_as_it_is_published(tmp_path, first):
    plain = pictures()
    digest = convert(make_folder(tmp_path / "cats", plain), tmp_path).digest
    tiny = {"wnids.txt": b"bird\ncat\n", "words.txt": b"", "test/images/test_0.png": encode(pixels_of(50))}
    lines, renamed = [], {}
    for name, content in plain.items():
        split, label, file = name.split("/")
        if split == "train":
            tiny[f"train/{label}/images/{file}"] = content
            tiny[f"train/{label}/{label}_boxes.txt"] = b"0.png\t0\t0\t1\t1\n"
        else:
            renamed[f"val/images/{label}{file}"] = content
            lines.append(f"{label}{file}\t{label}\t0\t0\t1\t1\n")
    tiny |= renamed | {"val/val_annotations.txt": "".join(lines).encode()}
    order = sorted(tiny, key=lambda name: (not name.startswith(first), name))
    prefixed = {f"tiny-imagenet-200/{name}": tiny[name] for name in order}
    for source in (make_archive(tmp_path / "tiny.zip", prefixed), make_folder(tmp_path / "tiny", prefixed)):
        assert convert(source, tmp_path).digest == digest
    assert imagefolder.glance(tmp_path / "tiny") == (((3, 6, 5), 6, 4, 2), True)
    shutil.rmtree(tmp_path / "out")
    path = make_archive(tmp_path / "more.zip", prefixed | {"tiny-imagenet-200/val/images/x.png": encode(pixels_of(0))})
    assert refusal(path, tmp_path).startswith(
        "member 'tiny-imagenet-200/val/images/x.png' is not in val/val_annotations.txt"
    )


def test_links_and_passwords_in_a_zip_are_refused(tmp_path):
    for name, attribute, expected in (
        ("train/bird/9.png", stat.S_IFLNK, "is a link, expected images"),
        ("train/bird/9.png", stat.S_IFIFO, "is a device, expected images"),
        ("../9.png", stat.S_IFREG, "leaves the folder"),
    ):
        path = make_archive(tmp_path / "cats.zip", pictures())
        with zipfile.ZipFile(path, "a") as archive:
            member = zipfile.ZipInfo(name)
            member.external_attr = (attribute | 0o644) << 16
            archive.writestr(member, "/etc/passwd")
        assert refusal(path, tmp_path).startswith(f"member {name!r} {expected}")
    path = make_archive(tmp_path / "locked.zip", pictures())
    content = bytearray(path.read_bytes())
    for start, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(start) + flag] |= 1
    path.write_bytes(content)
    assert "password required" in refusal(path, tmp_path)


def test_a_zip_without_a_flag_has_names_in_utf8(tmp_path):
    files = {name.replace("bird", "Vögel"): content for name, content in pictures().items()}
    path = make_archive(tmp_path / "cats.zip", files)
    content = path.read_bytes().replace(b"\x14\x00\x00\x08", b"\x14\x00\x00\x00")  # version 2.0, flags
    assert content != path.read_bytes()
    path.write_bytes(content)
    assert convert(path, tmp_path).classes == ("Vögel", "cat")


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    photograph = np.zeros((16, 24, 3), np.uint8)
    photograph[:8, :8] = 255
    files = pictures(shape=(24, 16, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    file = io.BytesIO()
    Image.fromarray(photograph).save(file, "JPEG", quality=95, exif=exif)
    files["train/bird/0.png"] = file.getvalue()
    dataset = convert(make_folder(tmp_path / "cats", files), tmp_path)
    found = dataset.train.images[0].transpose(1, 2, 0)
    np.testing.assert_allclose(found.astype(int), np.rot90(photograph, -1).astype(int), atol=20)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_images_of_16_bits_are_read_as_the_bits_that_they_fill(tmp_path, bits, said):
    plain = {name: pixels_of(seed, (6, 5)) for seed, name in enumerate(pictures())}
    files = {name: encode(values.astype(np.uint16) << (bits - 8)) for name, values in plain.items()}
    dataset = convert(make_archive(tmp_path / "deep.tar", files), tmp_path)
    expected = convert(make_archive(tmp_path / "deep.tar", {n: encode(v) for n, v in plain.items()}), tmp_path)
    assert dataset.digest == expected.digest
    assert (f"read as {bits} bits" in said()) == (bits < 16)


def test_images_of_12_bits_take_the_memory_of_the_data_set_once(tmp_path):
    """They are read twice: the second time it is known how many bits they fill."""
    files = {
        f"{split}/{label}/{place}.png": encode(pixels_of(place, (256, 256)).astype(np.uint16) << 4)
        for split in ("train", "test")
        for label in ("cat", "owl")
        for place in range(10)
    }
    source = make_folder(tmp_path / "deep", files)
    tracemalloc.start()
    train, test, _ = imagefolder.read(source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    channels_of_three = 3 * (train.images.nbytes + test.images.nbytes)
    assert train.images.shape == (20, 1, 256, 256) and peak < 1.5 * channels_of_three


def test_coloured_images_of_16_bits_that_would_be_nearly_black_are_refused(tmp_path):
    files = pictures()
    for name in files:
        files[name] = png_16(pixels_of(0).astype(np.uint16) << 4)
    expected = "member 'train/bird/0.png' has 16 bits per channel, of which no image fills more than 12"
    assert refusal(make_archive(tmp_path / "deep.tar", files), tmp_path).startswith(expected)
    for name in files:
        files[name] = png_16(pixels_of(0).astype(np.uint16) << 8)
    np.testing.assert_array_equal(
        convert(make_archive(tmp_path / "deep.tar", files), tmp_path).train.images[0], pixels_of(0).transpose(2, 0, 1)
    )


def png_16(values):
    """A PNG of 16 bits per channel, which Pillow reads but does not write."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, _ = values.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_names_in_two_forms_of_unicode_are_one_class_and_it_is_said(tmp_path, said):
    composed, apart = (unicodedata.normalize(form, "Vögel") for form in ("NFC", "NFD"))
    assert composed != apart
    files = {
        name.replace("bird", composed if name.startswith("train") else apart): content
        for name, content in pictures().items()
    }
    dataset = convert(make_folder(tmp_path / "cats", files), tmp_path)
    assert dataset.classes == (composed, "cat")
    assert "'Vögel' is spelled in two forms of Unicode" in said()
    one_form = {unicodedata.normalize("NFD", name): content for name, content in files.items()}
    assert convert(make_folder(tmp_path / "apart", one_form), tmp_path).digest == dataset.digest
    assert "Unicode" not in said()


def test_what_systems_and_people_leave_beside_images_is_passed_over(tmp_path, said):
    files = pictures()
    digest = convert(make_folder(tmp_path / "cats", files), tmp_path).digest
    files |= {"train/bird/@eaDir/0.png/x.jpg": b"", "train/cat/Icon\r": b"", "train/cat/thumbs.db": b""}
    files |= {"labels.csv": b"", "train/labels.csv": b"", "train/cat/README.md": b"", "test/bird/boxes.TXT": b""}
    for source in (make_archive(tmp_path / "cats.tar", files), make_folder(tmp_path / "left", files)):
        said()
        assert convert(source, tmp_path).digest == digest
        words = said()
        assert "labels.csv" in words and "and 1 more" in words and "@eaDir" not in words
    assert imagefolder.glance(tmp_path / "left") == (((3, 6, 5), 6, 4, 2), True)


def test_a_majority_and_a_single_class_are_told_beside_chance(tmp_path, said):
    convert(make_folder(tmp_path / "even", pictures()), tmp_path)
    assert said() == ""
    many = {f"{split}/cat/m{i}.png": encode(pixels_of(i)) for split in ("train", "test") for i in range(36)}
    convert(make_folder(tmp_path / "cats", pictures() | many), tmp_path)
    assert (
        f"{tmp_path / 'cats'}: test: 95% of the images are of class 'cat': whoever always answers that has an accuracy "
        "of 0.950, and chance among 2 classes is 0.500"
    ) in said()
    convert(make_folder(tmp_path / "one", {n: c for n, c in pictures().items() if "/cat/" in n}), tmp_path)
    assert "one: train: one class, 'cat': every network is right, by chance too" in said()


@pytest.mark.skipif(not CIFAR10_JPEG.exists(), reason=f"needs {CIFAR10_JPEG.name}, which is not in ../shared/data")
def test_cifar10_as_jpeg_has_its_known_statistics(tmp_path):
    dataset = convert(CIFAR10_JPEG, tmp_path)
    assert dataset.train.images.shape == (50_000, 3, 32, 32)
    assert dataset.test.images.shape == (10_000, 3, 32, 32)
    assert ", ".join(dataset.classes) == "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck"
    assert set(np.bincount(dataset.train.labels)) == {5_000}
    assert set(np.bincount(dataset.test.labels)) == {1_000}
    np.testing.assert_allclose(dataset.mean, [0.4913, 0.4821, 0.4465], atol=6e-5)
    np.testing.assert_allclose(dataset.std, [0.2452, 0.2428, 0.2606], atol=6e-5)
