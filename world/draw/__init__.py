"""The renderer: forms, styles and scenes as signed distances, and the words that captions are made of."""
