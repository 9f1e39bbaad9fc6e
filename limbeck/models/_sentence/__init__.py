"""Sentence models: an encoder and what makes one vector of a text's hidden states.

On disk they are folders of sentence-transformers, which loads what is written here, and whose
folders are read: `modules.json`, and a numbered folder for each module after the encoder.
"""
