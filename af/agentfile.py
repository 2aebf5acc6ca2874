"""The .af container: `parse` and `write`.

    # Agent File Format v1.0
    version: '1.0'
    ...                                          the header: YAML, at most 256 KiB
    sections:
    - {name: neural_weights, ... stored_bytes: 444584, ...}
    ---BINARY_SECTION:neural_weights---
    <exactly stored_bytes bytes, then one newline>
    ---BINARY_SECTION:training_data---
    ...

With an index, positions follow from it alone, so section bytes may contain anything, delimiters too. Without
one (the form the format's first specification shows) a section runs to the next delimiter line and is taken
as raw bytes. Writing is a function of the content: a file written here parses and writes back to the same
bytes. A signature is checked while the bytes it covers are at hand, so an AgentFile that came from bytes and
has one has a good one; changing an AgentFile takes its signature away.
"""

import hashlib
import re
from dataclasses import dataclass, field, replace

from af.errors import AfRefused, Problem, refused
from af.header import Header
from af.headertext import SECTIONS_KEY, read_header
from af.limits import FILE_BYTES_MAX, HEADER_BYTES_MAX, SECTIONS_MAX
from af.sections import IndexEntry, Section, decode_section, encode_section, index_problems
from af.signature import SIGNATURE_KEY, signature_problems
from af.yamltext import dump_mapping, load_mapping

_FIRST_LINE = b"# Agent File Format v1.0\n"
_DELIMITER_START = b"---BINARY_SECTION:"
_DELIMITER = re.compile(rb"^---BINARY_SECTION:([a-z][a-z0-9_]{0,63})---$", re.MULTILINE)
LETTA_MARKS = (b'"agents"', b'"agent_type"', b'"llm_config"', b'"core_memory"')
_FETCH_AGAIN = "fetch the file again from its author."


@dataclass(frozen=True, slots=True)
class AgentFile:
    """One agent: header and sections. `digest` is the SHA-256 of the bytes it was parsed from, if it was."""

    header: Header
    sections: tuple[Section, ...] = ()
    digest: str | None = field(default=None, compare=False)

    def section(self, name: str) -> Section | None:
        return next((section for section in self.sections if section.name == name), None)

    def with_section(self, section: Section) -> "AgentFile":
        """A copy with the section replaced in its place, or added at the end."""
        if self.section(section.name) is None:
            sections = (*self.sections, section)
        else:
            sections = tuple(section if old.name == section.name else old for old in self.sections)
        return replace(self, header=self.header.unsigned(), sections=sections, digest=None)

    def without_section(self, name: str) -> "AgentFile":
        kept = tuple(section for section in self.sections if section.name != name)
        return replace(self, header=self.header.unsigned(), sections=kept, digest=None)

    def with_header(self, header: Header) -> "AgentFile":
        return replace(self, header=header.unsigned(), digest=None)


def parse(data: bytes) -> AgentFile:
    """The agent in a file's bytes; AfRefused with every problem found."""
    if len(data) > FILE_BYTES_MAX:
        message = f"it has {len(data)} bytes, the most is {FILE_BYTES_MAX}."
        raise refused("file", message, "leave training data out of the file.")
    if data[:1] == b"{" and any(mark in data[:HEADER_BYTES_MAX] for mark in LETTA_MARKS):
        message = "it is JSON: a Letta agent file, which shares only its suffix with this format."
        raise refused("file, byte 0", message, "see `af-compile --help` on --from for what can be imported.")
    header_bytes = header_end(data)
    mapping = load_mapping(data[:header_bytes])
    header, index, problems = read_header(mapping)
    if header is not None and header.signature is not None:
        problems += signature_problems(data[:header_bytes], mapping, header.signature)
        if SECTIONS_KEY not in mapping and header_bytes < len(data):
            message = "the file is signed, but without an index nothing vouches for its sections."
            problems.append(Problem("header: sections", message, "sign a file that this package wrote."))
    sections: list[Section] = []
    if index is not None:
        problems += index_problems(index)
        if not problems or header is None:
            sections = _read_indexed(data, header_bytes, index, problems)
    elif SECTIONS_KEY not in mapping:
        sections = _read_delimited(data, header_bytes, problems)
    if problems or header is None:
        raise AfRefused(problems)
    return AgentFile(header, tuple(sections), hashlib.sha256(data).hexdigest())


def write(agent: AgentFile) -> bytes:
    """The one byte string of an agent file."""
    mapping = agent.header.to_mapping()
    if agent.sections:
        mapping[SECTIONS_KEY] = [
            section.entry.model_dump(mode="json", exclude_defaults=True) for section in agent.sections
        ]
    if SIGNATURE_KEY in mapping:
        mapping[SIGNATURE_KEY] = mapping.pop(SIGNATURE_KEY)  # the last key: it covers everything before it
    header = _FIRST_LINE + dump_mapping(mapping)
    if len(header) > HEADER_BYTES_MAX:
        message = f"it has {len(header)} bytes, the most is {HEADER_BYTES_MAX}."
        raise refused("header", message, "move bulk data into a binary section.")
    parts = [header]
    for section in agent.sections:
        parts += [_delimiter_line(section.name), section.stored, b"\n"]
    size_bytes = sum(map(len, parts))
    if size_bytes > FILE_BYTES_MAX:
        message = f"it would have {size_bytes} bytes, the most is {FILE_BYTES_MAX}."
        raise refused("file", message, "leave training data out of the file.")
    return b"".join(parts)


def header_end(data: bytes) -> int:
    """Where the header ends and the first section's delimiter line begins."""
    if data.startswith(_DELIMITER_START):
        return 0
    found = data.find(b"\n" + _DELIMITER_START, 0, HEADER_BYTES_MAX + 1 + len(_DELIMITER_START))
    return len(data) if found < 0 else found + 1


def _delimiter_line(name: str) -> bytes:
    return _DELIMITER_START + name.encode("ascii") + b"---\n"


def _read_indexed(
    data: bytes, offset: int, index: tuple[IndexEntry, ...], problems: list[Problem]
) -> list[Section]:
    """Sections by their index. Damage inside a section is noted and reading goes on; a lost place ends it."""
    sections: list[Section] = []
    for entry in index:
        line = _delimiter_line(entry.name)
        if data[offset : offset + len(line)] != line:
            message = f"the delimiter line {line.decode().rstrip()!r} should begin here."
            problems.append(Problem(f"section {entry.name}, byte {offset}", message, _FETCH_AGAIN))
            return sections
        offset += len(line)
        stored = data[offset : offset + entry.stored_bytes]
        if len(stored) < entry.stored_bytes:
            message = f"it is truncated: {len(stored)} of {entry.stored_bytes} bytes are there."
            problems.append(Problem(f"section {entry.name}, byte {offset}", message, _FETCH_AGAIN))
            return sections
        try:
            sections.append(decode_section(entry, stored, offset))
        except AfRefused as error:
            problems += error.problems
        offset += entry.stored_bytes
        if data[offset : offset + 1] != b"\n":
            message = f"the section should end with a newline after {entry.stored_bytes} bytes."
            problems.append(Problem(f"section {entry.name}, byte {offset}", message, _FETCH_AGAIN))
            return sections
        offset += 1
    if offset != len(data):
        message = f"{len(data) - offset} bytes follow the last section of the index."
        problems.append(Problem(f"file, byte {offset}", message, "add them to the index or cut them off."))
    return sections


def _read_delimited(data: bytes, offset: int, problems: list[Problem]) -> list[Section]:
    if offset == len(data):
        return []
    found = []
    for match in _DELIMITER.finditer(data, offset):
        found.append(match)
        if len(found) > SECTIONS_MAX:
            problems.append(
                Problem("file", f"more than {SECTIONS_MAX} sections.", "put related data together.")
            )
            return []
    if not found or found[0].start() != offset:
        message = "this delimiter line is not of the form ---BINARY_SECTION:name---."
        problems.append(Problem(f"file, byte {offset}", message, "name the section with a-z, 0-9 and _."))
        return []
    ends = [match.start() for match in found[1:]] + [len(data)]
    sections = []
    for match, end in zip(found, ends, strict=True):
        content = data[match.end() + 1 : end].removesuffix(b"\n")
        sections.append(encode_section(match.group(1).decode("ascii"), content))
    problems += index_problems(tuple(section.entry for section in sections))
    return sections
