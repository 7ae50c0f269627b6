"""Reading and writing a container's files."""

from __future__ import annotations

from .part import Part


class Contents(Part):
    """Files and directories as the container sees them."""

    def read_bytes(self, path: str) -> bytes:
        """Content of the regular file *path*; `ContainerFileError`, an `OSError`, where it cannot be read."""
        with self._backend.open_file(self.id, path, "rb") as file:
            return file.read()

    def read_text(self, path: str, encoding: str = "utf-8") -> str:
        """Content of *path* as text."""
        return self.read_bytes(path).decode(encoding)

    def write_bytes(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Write the file *path*; a new one is root's with permissions *mode*. Its directory must exist."""
        with self._backend.open_file(self.id, path, "wb", mode) as file:
            file.write(data)

    def write_text(self, path: str, text: str, *, encoding: str = "utf-8", mode: int = 0o644) -> None:
        """Write *text* to the file *path*."""
        self.write_bytes(path, text.encode(encoding), mode=mode)

    def exists(self, path: str) -> bool:
        """Whether there is anything at *path*."""
        return self._backend.list_files(self.id, path) is not None

    def listdir(self, path: str) -> list[str]:
        """Sorted names in the directory *path*; `FileNotFoundError` where there is nothing."""
        names = self._backend.list_files(self.id, path)
        if names is None:
            raise FileNotFoundError(f"{path} in container {self.name}")
        return names
