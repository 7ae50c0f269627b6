"""How an image becomes files: layers unpacked into directories, directories stacked under an upper dir."""
