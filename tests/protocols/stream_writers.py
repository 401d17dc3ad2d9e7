"""The bytes of a stream, as a server writes them: the reverse of `nbkit.http.framing`."""

from zlib import crc32

CONTENT_TYPES = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "aws-event-stream": "application/vnd.amazon.eventstream",
}


def write_sse(event, data):
    return (f"event: {event}\n".encode() if event else b"") + b"data: " + data + b"\n\n"


def write_line(event, data):
    return data + b"\n"


def write_aws_event(event, data):
    return write_frame({":event-type": event, ":content-type": "application/json", ":message-type": "event"}, data)


def write_frame(headers, payload):
    """Write a frame of an AWS event stream: a prelude of two lengths and a checksum, headers, payload, checksum."""
    encoded = b"".join(
        len(name).to_bytes(1) + name.encode() + b"\x07" + len(value).to_bytes(2) + value.encode()
        for name, value in headers.items()
    )
    prelude = (16 + len(encoded) + len(payload)).to_bytes(4) + len(encoded).to_bytes(4)
    frame = prelude + crc32(prelude).to_bytes(4) + encoded + payload
    return frame + crc32(frame).to_bytes(4)


WRITERS = {"sse": write_sse, "ndjson": write_line, "aws-event-stream": write_aws_event}
