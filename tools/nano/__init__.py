"""How nano's weights are made, and what they are worth.

`pictures` and `motion` make the data, `captions` its words; `vae`, `text` and `transformer` say what a part learns,
`training` how, `train` in which order. `publish` puts the weights into the form that an export reads, and `judge`
measures the videos that come out.
"""
