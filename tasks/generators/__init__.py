"""One module per task: its sentences and vocabulary, and how documents are made of them."""
