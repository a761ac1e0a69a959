"""COCO and LVIS annotation files: the one reader of them, for whatever reads any."""

from ovsam_plugin.annotations.reader import read_annotation_file
from ovsam_plugin.annotations.records import (
    AnnotatedCategory,
    AnnotatedImage,
    Annotation,
    AnnotationFile,
)
from ovsam_plugin.annotations.values import Id

__all__ = [
    "AnnotatedCategory",
    "AnnotatedImage",
    "Annotation",
    "AnnotationFile",
    "Id",
    "read_annotation_file",
]
