"""What each family of captioners is, in a line: known without loading one. The networks are in captioner.models."""

FAMILIES = {
    "cnn_transformer": "CNN regions, a Transformer over regions and words (Vaswani 2017): the default",
    "show_tell": "one CNN vector, an LSTM, no attention (Vinyals 2015)",
    "show_attend_tell": "CNN regions, an LSTM that looks before each word, soft or hard (Xu 2015)",
    "vit_transformer": "image patches straight into a Transformer, no CNN (Dosovitskiy 2021)",
    "coca": "captions and compares photos with texts (Yu 2022)",
    "bottom_up": "boxes of a detector or of a grid, two LSTMs (Anderson 2018)",
    "fusion": "merged attention, co-attention or the Flamingo way, with pre-training heads (Li 2021, Alayrac 2022)",
}
"""Name to what it is and whose."""
