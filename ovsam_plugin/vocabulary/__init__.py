"""Vocabularies: classes with synonyms, the sentences they are read in, and their vectors."""

from ovsam_plugin.vocabulary.classifier import Classifier, build_classifier
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.tables import BUILT_IN
from ovsam_plugin.vocabulary.templates import CLIP_TEMPLATES, PLAIN_TEMPLATES
from ovsam_plugin.vocabulary.text import TextTower, load_text_tower
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

__all__ = [
    "BUILT_IN",
    "CLIP_TEMPLATES",
    "PLAIN_TEMPLATES",
    "Category",
    "Classifier",
    "TextTower",
    "Vocabulary",
    "build_classifier",
    "load_text_tower",
    "load_vocabulary",
]
