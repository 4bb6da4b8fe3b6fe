"""The part of a YAML document that settings are made of: mappings that know where their keys stand."""


class Mapped(dict[str, object]):
    """A mapping of the file. `lines` holds the line of each key, from 1 on; `line` is that of the mapping itself."""

    def __init__(self, values: dict[str, object], lines: dict[str, int], line: int, name: str) -> None:
        super().__init__(values)
        self.lines = lines
        self.line = line
        self.name = name

    def place(self, key: str) -> str:
        """`FILE:LINE` of the key, or of the mapping where the key is absent."""
        return f"{self.name}:{self.lines.get(key, self.line)}"
