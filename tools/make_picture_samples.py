#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the small pictures of the test suite, and what Pillow says of pictures.

    make_picture_samples.py samples tests/fuzz/corpus/picture     writes the files
    make_picture_samples.py oracle DIR [SUBDIR...] > FILE.tsv     one line for each picture below

Needs Pillow and numpy (not needed to build or test: the results are committed). A line of the
oracle: path, width, height, and the upright RGB picture as a 4 x 4 grid of mean colours, in hex; or
'-' where Pillow refuses the file.
"""
import io
import pathlib
import struct
import sys
import warnings
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps


def scene(width, height):
    """Four different quadrants and a gradient: every turn and mirror shows."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([np.where(x < width / 2, 230, 40), np.where(y < height / 2, 60, 200),
                    255 * (x + y) // (width + height)], axis=-1)
    return rgb.astype(np.uint8)


def save(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png(width, height, depth, color, rows, interlace=0, extra=b''):
    """PNG of raw rows, for the kinds that Pillow does not write."""
    header = struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, interlace)
    data = zlib.compress(b''.join(b'\0' + row for row in rows))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + extra + chunk(b'IDAT', data) +
            chunk(b'IEND', b''))


def adam7(rgb):
    starts = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
              (0, 1, 1, 2)]
    return [row.tobytes() for x, y, dx, dy in starts for row in rgb[y::dy, x::dx] if row.size]


def jpeg_samples(rgb):
    image = Image.fromarray(rgb)
    yield 'baseline_420.jpg', save(image, format='jpeg', quality=80)
    yield 'baseline_422.jpg', save(image, format='jpeg', subsampling='4:2:2')
    yield 'baseline_444.jpg', save(image, format='jpeg', quality=90, subsampling='4:4:4')
    yield 'progressive.jpg', save(image, format='jpeg', progressive=True)
    yield 'restart.jpg', save(image, format='jpeg', restart_marker_blocks=1)
    yield 'grey.jpg', save(image.convert('L'), format='jpeg')
    yield 'cmyk.jpg', save(image.convert('CMYK'), format='jpeg')
    no_eoi = save(image, format='jpeg')[:-2]
    yield 'no_eoi.jpg', no_eoi
    yield 'garbage_behind.jpg', no_eoi + b'\xff\xd9' + b'<html>' * 4
    sof = no_eoi.index(b'\xff\xc0')
    yield 'sof_65535.jpg', no_eoi[:sof + 5] + b'\xff' * 4 + no_eoi[sof + 9:]
    yield 'sof_zero.jpg', no_eoi[:sof + 5] + b'\0' * 4 + no_eoi[sof + 9:]
    yield 'sof_12bit.jpg', no_eoi[:sof + 4] + b'\x0c' + no_eoi[sof + 5:]
    yield 'sof_lossless.jpg', no_eoi[:sof] + b'\xff\xc3' + no_eoi[sof + 2:]


def png_samples(rgb):
    image = Image.fromarray(rgb)
    height, width = rgb.shape[:2]
    grey = image.convert('L')
    alpha = grey.point(lambda v: 255 - v)
    yield 'rgb8.png', save(image, format='png')
    yield 'rgba8.png', save(Image.merge('RGBA', (*image.split(), alpha)), format='png')
    yield 'grey8.png', save(grey, format='png')
    yield 'grey_alpha8.png', save(Image.merge('LA', (grey, alpha)), format='png')
    yield 'grey1.png', save(grey.convert('1'), format='png')
    yield 'palette4.png', save(image.quantize(16), format='png', bits=4)
    yield 'palette8_trns.png', save(image.quantize(64), format='png', transparency=3)
    wide = (rgb.astype('>u2') * 257 - 100).astype('>u2')
    yield 'rgb16.png', png(width, height, 16, 2, [row.tobytes() for row in wide])
    yield 'rgb16_trns.png', png(width, height, 16, 2, [row.tobytes() for row in wide],
                                extra=chunk(b'tRNS', wide[0, 0].tobytes()))
    yield 'grey2.png', png(8, 4, 2, 0, [b'\x1b\xe4'] * 4)
    yield 'interlaced.png', png(width, height, 8, 2, adam7(rgb), 1)
    yield 'interlaced_1x1.png', png(1, 1, 8, 2, adam7(rgb[:1, :1]), 1)
    frames = [image, image.transpose(Image.Transpose.ROTATE_180)]
    yield 'animated.png', save(frames[0], format='png', save_all=True, append_images=frames[1:])
    bomb = struct.pack('>I', 0x7fffffff)
    yield 'bomb_header.png', png(1, 1, 8, 2, [b'abc']).replace(struct.pack('>I', 1), bomb, 1)
    plain = save(image, format='png')  # ... IDAT data, its checksum, 12 bytes of IEND
    yield 'bad_adler.png', plain[:-17] + bytes([plain[-17] ^ 1]) + plain[-16:]
    yield 'bad_crc.png', plain[:-16] + bytes([plain[-16] ^ 1]) + plain[-15:]
    text = chunk(b'zTXt', b'x\0\0' + zlib.compress(b'a' * 100000))
    yield 'ztxt.png', png(1, 1, 8, 2, [b'abc'], extra=text)


def webp_samples(rgb):
    image = Image.fromarray(rgb)
    alpha = image.convert('L')
    rgba = Image.merge('RGBA', (*image.split(), alpha))
    yield 'lossy.webp', save(image, format='webp', quality=80)
    yield 'lossless.webp', save(image, format='webp', lossless=True)
    yield 'lossy_alpha.webp', save(rgba, format='webp', quality=80)
    yield 'lossless_alpha.webp', save(rgba, format='webp', lossless=True, exact=True)
    sprite = Image.new('RGBA', image.size)
    sprite.paste(image.crop((0, 0, 9, 7)), (6, 4))
    frames = [sprite, rgba]
    yield 'animated.webp', save(frames[0], format='webp', save_all=True, lossless=True,
                                append_images=frames[1:])


def foreign_samples(rgb):
    image = Image.fromarray(rgb[:4, :4])
    for kind in ('gif', 'bmp', 'tiff', 'ppm', 'ico'):
        yield f'foreign.{kind}', save(image, format=kind)
    yield 'text.jpg', b'<html><body>404</body></html>'


def exif_samples(rgb):
    image = Image.fromarray(rgb[::2, ::2])
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f'exif_{orientation}.jpg', save(image, format='jpeg', exif=exif)
        yield f'exif_{orientation}.png', save(image, format='png', exif=exif)
        yield f'exif_{orientation}.webp', save(image, format='webp', lossless=True, exif=exif)


def write_samples(folder):
    rgb = scene(34, 22)
    for make in (jpeg_samples, png_samples, webp_samples, foreign_samples, exif_samples):
        for name, data in make(rgb):
            (folder / name).write_bytes(data)


def grid(rgb):
    height, width = rgb.shape[:2]
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    cells = []
    for row in range(4):
        for column in range(4):
            cell = rgb[rows == row][:, columns == column].reshape(-1, 3)
            mean = cell.mean(axis=0) if cell.size else np.zeros(3)
            cells += [int(v + 0.5) for v in mean]
    return bytes(cells).hex()


def verdict(path):
    try:
        with Image.open(path) as image:
            if image.format not in ('JPEG', 'MPO', 'PNG', 'WEBP'):
                return '-'
            wide_grey = image.mode.startswith('I')
            image = ImageOps.exif_transpose(image)
            if wide_grey:  # Pillow's I;16 to RGB saturates instead of keeping the high byte
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            rgb = np.asarray(image.convert('RGB'))
    except Exception:  # whatever Pillow raises is a refusal
        return '-'
    return f'{rgb.shape[1]}\t{rgb.shape[0]}\t{grid(rgb)}'


def print_oracle(folder, subfolders):
    print(f'# path, width, height, grid of mean colours, by Pillow {PIL.__version__}')
    for top in subfolders or ['.']:
        for path in sorted((folder / top).rglob('*')):
            if path.is_file():
                print(f'{path.relative_to(folder)}\t{verdict(path)}')


def main():
    warnings.simplefilter('ignore')
    if len(sys.argv) < 3 or sys.argv[1] not in ('samples', 'oracle'):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[2])
    if sys.argv[1] == 'samples':
        write_samples(folder)
    else:
        print_oracle(folder, sys.argv[3:])


if __name__ == '__main__':
    main()
