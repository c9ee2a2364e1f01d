"""What is sent of pictures and texts, and what is read from the answers: the server decodes."""

import struct

INPUT = "@{ sent }@"


def tensors_of(contents):
    """Name, type, shape and bytes of each tensor of some encoded pictures or texts."""
    prefixed = b"".join(struct.pack("<I", len(content)) + content for content in contents)
    return [(INPUT, "BYTES", (len(contents), 1), prefixed)]


def answers_of(outputs, count):
    """The outputs by name, one dictionary a row."""
    widths = {name: len(values) // count for name, values in outputs.items()}
    return [
        {name: values[row * widths[name] : (row + 1) * widths[name]] for name, values in outputs.items()}
        for row in range(count)
    ]


def broken(content):
    """What is wrong, and tensors that hold it."""
    if INPUT.endswith("_bytes"):
        yield "a picture that is cut off", tensors_of([content[: len(content) // 2]])
        yield "a broken JPEG", tensors_of([b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01" + bytes(40)])
    else:
        yield "a text that is no UTF-8", tensors_of([b"\xff\xfe"])
